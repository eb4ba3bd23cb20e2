"""What differs between configurations, in short."""

from gptkit.training.reporting.config_difference import differing_keys, flatten, round_numbers


def test_only_the_keys_that_differ() -> None:
    settings = [
        {"model": {"name": "gpt", "layers": 2}, "callback": {}, "samples": {"prompts": ["a", "b"]}, "reward": None},
        {"model": {"name": "gpt", "layers": 4}, "callback": {}, "samples": {"prompts": ["a"]}, "reward": None},
        {"model": {"name": "gpt"}, "callback": {}, "samples": {"prompts": ["a"]}, "reward": None},
    ]
    flat = [flatten(each) for each in settings]
    assert differing_keys(flat) == ["model.layers", "samples.prompts"]
    assert flat[0]["samples.prompts"] == "[a, b]"
    assert differing_keys([flat[0], {}]) == []  # nothing is known of a run whose configuration cannot be read


def test_values_of_a_search_are_rounded_and_stay_distinct() -> None:
    assert round_numbers(["0.0034001070703856117", "3e-3", "gpt", "12345678"]) == ["0.0034", "3e-3", "gpt", "12345678"]
    assert round_numbers(["0.100000001", "0.100000002"]) == ["0.100000001", "0.100000002"]
    assert round_numbers(["0.12345678", "0.12345111"]) == ["0.12346", "0.12345"]
    assert round_numbers(["nan", "inf", "1e999", ""]) == ["nan", "inf", "1e999", ""]
