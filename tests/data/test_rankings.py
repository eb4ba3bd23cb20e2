"""The source `rankings`: all published layouts give the same ranking, and invalid rows are one-line errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.data import RankingsConfig
from gptkit.errors import GptkitError
from gptkit.records import Ranking, Turn

Table = Callable[..., Path]

QUESTION = Turn("user", "Best tree?")
TREE_RANKING = Ranking((QUESTION,), ("Oak.", "Ash."), (0, 1))
EARLIER_TURNS = (Turn("user", "Hi"), Turn("assistant", "Hello."), QUESTION)


def message(turn: Turn) -> dict[str, str]:
    return {"role": turn.role, "content": turn.text}


def assistant_message(text: str) -> dict[str, str]:
    return message(Turn("assistant", text))


def rankings(path: Any, split: str = "train", **settings: Any) -> list[Ranking]:
    return list(RankingsConfig(path=str(path), **settings).build().records(split))  # type: ignore[arg-type]


def fails(path: Any, split: str = "train", **settings: Any) -> str:
    with pytest.raises(GptkitError) as caught:
        rankings(path, split, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.jsonl", "b.parquet"])
@pytest.mark.parametrize(
    "row",
    [
        {"prompt": QUESTION.text, "chosen": "Oak.", "rejected": "Ash."},
        {"prompt": [message(QUESTION)], "chosen": [assistant_message("Oak.")], "rejected": [assistant_message("Ash.")]},
        {
            "prompt": QUESTION.text,
            "chosen": [message(QUESTION), assistant_message("Oak.")],
            "rejected": [message(QUESTION), assistant_message("Ash.")],
        },
        {
            "chosen": [message(QUESTION), assistant_message("Oak.")],
            "rejected": [message(QUESTION), assistant_message("Ash.")],
            "score_chosen": 8.0,
        },
        {"chosen": f"\n\nHuman: {QUESTION.text}\n\nAssistant: Oak.", "rejected": f"\n\nHuman: {QUESTION.text}\n\nAssistant: Ash."},
        {"prompt": QUESTION.text, "completions": ["Oak.", "Ash."], "ranks": [1, 2]},
        {"prompt": QUESTION.text, "responses": ["Oak.", "Ash."], "ranking": [0, 5]},
        {"prompt": QUESTION.text, "completions": ["Oak.", "Ash."], "scores": [0.5, -1.25]},
        {"prompt": f"\n\nHuman: {QUESTION.text}\n\nAssistant:", "completions": ["Oak.", "Ash."], "ranks": [1.5, 2.5]},
    ],
    ids=lambda row: "+".join(row),
)
def test_every_layout_gives_the_same_ranking(table: Table, row: dict[str, Any], name: str) -> None:
    assert rankings(table(row, row, name=name)) == [TREE_RANKING] * 2


def test_whole_dialogues_share_the_turns_before_the_last_answer(table: Table) -> None:
    begin = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Best tree?\n\nAssistant:"
    lists = [[*map(message, EARLIER_TURNS), assistant_message(text)] for text in ("Oak.", "Ash.")]
    path = table({"chosen": f"{begin} Oak.", "rejected": f"{begin} Ash."}, {"chosen": lists[0], "rejected": lists[1]})
    assert rankings(path) == [Ranking(EARLIER_TURNS, ("Oak.", "Ash."), (0, 1))] * 2


@pytest.mark.parametrize(
    ("numbers", "ranks"),
    [
        ({"ranks": [3, 1, 3, 2]}, (2, 0, 2, 1)),
        ({"scores": [7, 9.5, 7.0, 8]}, (2, 0, 2, 1)),
        ({"ranks": [4, 4, 4, 4]}, (0, 0, 0, 0)),
    ],
)
def test_lower_ranks_and_higher_scores_are_better_and_equal_values_tie(
    table: Table, numbers: dict[str, list[float]], ranks: tuple[int, ...]
) -> None:
    (ranking,) = rankings(table({"prompt": "x", "completions": list("abcd"), **numbers}))
    assert ranking.ranks == ranks


@pytest.mark.parametrize("name", ["a.jsonl", "b.parquet"])
def test_comparison_of_summaries_is_a_ranking(table: Table, name: str) -> None:
    info = {"id": "t3_1", "subreddit": "pets", "title": "My cat", "post": "It sleeps.", "article": None}
    summaries = [{"text": " Cats.", "policy": "sup1"}, {"text": " A cat sleeps.", "policy": "ref"}]
    (ranking,) = rankings(table({"info": info, "summaries": summaries, "choice": 1, "worker": "w7", "split": "train"}, name=name))
    prompt = "SUBREDDIT: r/pets\n\nTITLE: My cat\n\nPOST: It sleeps.\n\nTL;DR:"
    assert ranking == Ranking((Turn("user", prompt),), (" Cats.", " A cat sleeps."), (1, 0), labeler="w7")


def rated(response: Any, **scores: Any) -> dict[str, Any]:
    """A completion in the format of UltraFeedback."""
    return {"model": "m", "principle": "truthfulness", "custom_system_prompt": "Be true.", "response": response, **scores}


@pytest.mark.parametrize("name", ["a.jsonl", "b.parquet"])
def test_scores_within_completions_are_read(table: Table, name: str) -> None:
    texts = {"Oak.": 9.0, "Ash.": 4.5, "Elm.": 9.0, "Fir.": 1.0}
    both = [rated(text, **{"overall_score": score, "fine-grained_score": 10 - score}) for text, score in texts.items()]
    fine = [rated(text, **{"overall_score": None, "fine-grained_score": score}) for text, score in texts.items()]
    row = {"source": "flan", "instruction": QUESTION.text, "models": ["m"], "correct_answers": ["None"]}
    expected = Ranking((QUESTION,), tuple(texts), (0, 1, 0, 2))
    assert rankings(table({**row, "completions": both}, {**row, "completions": fine}, name=name)) == [expected] * 2
    (other,) = rankings(table({"prompt": QUESTION.text, "completions": both}))
    assert other == expected


def test_demonstration_labeler_and_system_message_are_read(table: Table) -> None:
    row = {
        "prompt": QUESTION.text,
        "chosen": "Oak.",
        "rejected": "Ash.",
        "system": "Be brief.",
        "labeler": 3,
        "demonstration": "Elm.",
    }
    assert rankings(table(row)) == [Ranking((Turn("system", "Be brief."), QUESTION), ("Oak.", "Ash."), (0, 1), "3", "Elm.")]


def labelled(table: Table) -> Path:
    return table(
        *({"prompt": "x", "chosen": f"{labeler}{n}", "rejected": "z", "labeler": labeler} for n in range(3) for labeler in "abc")
    )


def test_rankings_of_held_out_labelers_are_used_for_validation_only(table: Table) -> None:
    path = labelled(table)
    built = RankingsConfig(path=str(path), held_out_labelers=["b"]).build()
    assert built.splits == ("train", "validation")
    labelers = {split: [record.labeler for record in built.records(split)] for split in built.splits}
    assert labelers == {"train": ["a", "c"] * 3, "validation": ["b"] * 3}
    assert not any("b" in text for text in built.texts())
    assert built.fingerprint != RankingsConfig(path=str(path)).build().fingerprint


def test_held_out_rankings_precede_those_of_validation_files(table: Table) -> None:
    more = table({"prompt": "x", "chosen": "more", "rejected": "z"}, name="validation.jsonl")
    result = rankings(labelled(table), "validation", validation=str(more), held_out_labelers=["b"])
    assert [ranking.completions[0] for ranking in result] == ["b0", "b1", "b2", "more"]


def test_error_names_an_unknown_labeler(table: Table) -> None:
    assert "data.held_out_labelers: no ranking is by d; labelers are a, b, c." in fails(labelled(table), held_out_labelers=["d"])
    unsigned = table({"prompt": "x", "chosen": "a", "rejected": "z"}, name="unsigned.jsonl")
    assert "no ranking is by d; no ranking names its labeler" in fails(unsigned, held_out_labelers=["d"])


def test_tokenizer_is_trained_on_every_completion(table: Table) -> None:
    path = table({"prompt": "x", "chosen": "a", "rejected": "b", "demonstration": "c"})
    assert list(RankingsConfig(path=str(path)).build().texts()) == ["x\na\nb\nc"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "x", "completions": ["a"], "ranks": [1]}, "there is only one completion; a ranking needs at least two"),
        (
            {"prompt": "x", "completion": "a"},
            "the columns prompt, completion match no known layout; expected info + summaries + choice; or",
        ),
        (
            {"prompt": "x", "completions": ["a", "b"]},
            "column completions: completion 1 is not an object with response and overall_score or fine-grained_score",
        ),
        (
            {"instruction": "x", "completions": [rated("a", overall_score=3.0), rated("b", **{"fine-grained_score": 3.0})]},
            "column completions.overall_score: value 2 is None instead of a finite number; rank that completion, or leave it out",
        ),
        (
            {"instruction": "x", "completions": [rated("a"), rated("b")]},
            "column completions.overall_score: value 1 is None instead of a finite number",
        ),
        (
            {"instruction": "x", "completions": [rated("a", overall_score=3.0), rated(None, overall_score=2.0)]},
            "column completions.response holds null instead of text",
        ),
        ({"instruction": "x", "completions": [rated("a", overall_score=3.0)]}, "there is only one completion"),
        ({"instruction": "x", "completions": []}, "there is no completion"),
        ({"prompt": "x", "completions": ["a", "b"], "ranks": None}, "column ranks holds null instead of a list of numbers"),
        (
            {"prompt": "x", "completions": ["a", "b"], "ranks": [1, None]},
            "column ranks: value 2 is None instead of a finite number",
        ),
        ({"prompt": "x", "completions": ["a", "b"], "ranks": [1, "?"]}, "column ranks: value 2 is ? instead of a finite number"),
        (
            {"prompt": "x", "completions": ["a", "b"], "scores": [float("nan"), 1]},
            "column scores: value 1 is nan instead of a finite number",
        ),
        (
            {"prompt": "x", "completions": ["a", "b"], "ranks": [1, 2, 3]},
            "column ranks holds 3 numbers, but there are 2 completions",
        ),
        ({"prompt": "x", "completions": ["a", ""], "ranks": [1, 2]}, "answer 2 is empty; drop such rows"),
        ({"prompt": "x", "completions": "ab", "ranks": [1, 2]}, "column completions holds str instead of a list of completions"),
        ({"prompt": "x", "chosen": "", "rejected": "b"}, "answer 1 is empty; drop such rows"),
        ({"prompt": "x", "chosen": "a", "rejected": "b", "demonstration": ""}, "the demonstration is empty"),
        ({"prompt": "x", "chosen": "a", "rejected": "b", "labeler": [1]}, "column labeler holds list instead of a name or number"),
        ({"chosen": "a", "rejected": "b"}, "so a prompt is needed; data.columns={prompt:...} names its column"),
        (
            {"chosen": "\n\nHuman: a\n\nAssistant: x", "rejected": "\n\nHuman: b\n\nAssistant: y"},
            "columns chosen and rejected do not end with two answers to the same prompt",
        ),
        (
            {
                "chosen": [message(QUESTION), assistant_message("a")],
                "rejected": [message(EARLIER_TURNS[0]), assistant_message("b")],
            },
            "columns chosen and rejected do not end with two answers to the same prompt",
        ),
        ({"info": {"title": "t"}, "summaries": [{"text": "a"}] * 2, "choice": 0}, "column info has neither post nor article"),
        (
            {"info": {"post": "t"}, "summaries": [{"text": "a"}] * 2, "choice": 2},
            "column choice is 2; it must be the number of a summary, 0 to 1",
        ),
        ({"info": {"post": "t"}, "summaries": ["a", "b"], "choice": 0}, "column summaries must hold a list of objects with text"),
    ],
)
def test_invalid_row_is_a_one_line_error_that_names_the_line(table: Table, row: dict[str, Any], reason: str) -> None:
    path = table({"prompt": "x", "chosen": "a", "rejected": "b"}, row)
    error = fails(path)
    assert error.startswith(f"{path}:2: ") and reason in error, error


def test_empty_keep_accepts_an_empty_chosen_answer(table: Table) -> None:
    path = table({"chosen": "\n\nHuman: a\n\nAssistant: ", "rejected": "\n\nHuman: a\n\nAssistant: y"})
    assert rankings(path, empty="keep") == [Ranking((Turn("user", "a"),), ("", "y"), (0, 1))]
