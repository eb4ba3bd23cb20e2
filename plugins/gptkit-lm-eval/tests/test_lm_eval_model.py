"""`--model gptkit` of the harness answers as its own class for transformers models does."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gptkit_lm_eval.command import main
from gptkit_lm_eval.instances import to_request
from gptkit_lm_eval.model import GptkitLM, RequestsTask
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from gptkit.errors import CheckpointError, ConfigError
from gptkit.task.requests import Generation, LogLikelihood


@pytest.fixture(scope="module")
def ours(gpt2: Path) -> GptkitLM:
    return GptkitLM(f"hf:{gpt2}", device="cpu")


@pytest.fixture(scope="module")
def theirs(gpt2: Path) -> Any:
    return HFLM(pretrained=str(gpt2), dtype="float32", device="cpu", batch_size=4)


def instances(request_type: Any, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [Instance(request_type, {}, each, 0, ("a task", number, 1)) for number, each in enumerate(arguments)]


def test_log_likelihoods_equal_those_of_transformers(ours: GptkitLM, theirs: Any) -> None:
    contexts = ("the cat", "the cat", "", "the mat \n", "the " * 90)
    requests = instances("loglikelihood", *zip(contexts, (" sat", " sat on", "the old dog", " dog", "cat"), strict=True))
    for (one, one_greedy), (other, other_greedy) in zip(
        ours.loglikelihood(requests), theirs.loglikelihood(requests, disable_tqdm=True), strict=True
    ):
        assert one == pytest.approx(other, abs=1e-4, rel=1e-6)
        assert one_greedy == other_greedy


def test_texts_longer_than_the_context_are_scored_in_the_same_windows(ours: GptkitLM, theirs: Any) -> None:
    requests = instances("loglikelihood_rolling", ("the cat sat " * 99,), ("a dog",))
    expected = theirs.loglikelihood_rolling(requests, disable_tqdm=True)
    assert ours.loglikelihood_rolling(requests) == pytest.approx(expected, abs=1e-3, rel=1e-6)


def test_generated_texts_equal_those_of_transformers(ours: GptkitLM, theirs: Any) -> None:
    settings: dict[str, Any] = {"until": ["mat", "\n\n"], "max_gen_toks": 12, "do_sample": False, "temperature": 0.0}
    requests = instances("generate_until", ("the cat sat", settings), ("the old", {"until": [], "max_gen_toks": 5}))
    texts = ours.generate_until(requests)
    assert texts == theirs.generate_until(requests, disable_tqdm=True)
    assert any(texts)


def test_continuations_of_one_context_are_one_item() -> None:
    requests = instances("loglikelihood", ("a", " b"), ("c", " d"), ("a", " e"))
    assert [len(item.requests) for item in RequestsTask(requests, print).items()] == [2, 1]


def test_settings_of_generation_become_those_of_gptkit() -> None:
    settings = {"until": "\n", "do_sample": True, "temperature": 0.5, "top_k": 3, "max_new_tokens": 7, "top_p": 1.0}
    (instance,) = instances("generate_until", ("a", settings))
    assert to_request(instance) == Generation("a", 7, ("\n",), 0.5, 3)
    (greedy,) = instances("generate_until", ("a", {"until": ["\n"], "temperature": 0.0, "top_p": 0.9}))
    assert to_request(greedy) == Generation("a", 256, ("\n",))
    (unknown,) = instances("generate_until", ("a", {"do_sample": True, "temperature": 1.0, "typical_p": 0.9}))
    with pytest.raises(ConfigError, match=r"task a task sets typical_p=0.9 for generation, which gptkit does not support"):
        to_request(unknown)
    (image,) = instances("loglikelihood", ("a", "b", {"visual": []}))
    with pytest.raises(ConfigError, match="task a task contains images or audio"):
        to_request(image)
    assert to_request(instances("loglikelihood", ("a", "b"))[0]) == LogLikelihood("a", "b")


@pytest.mark.parametrize("num_fewshot", [0, 2])
def test_the_harness_computes_the_same_scores_with_both(
    ours: GptkitLM, theirs: Any, write_task: Callable[..., Path], num_fewshot: int
) -> None:
    manager = TaskManager(include_path=str(write_task("piqa_local")), include_defaults=False)
    one, other = (
        simple_evaluate(model=model, tasks=["piqa_local"], task_manager=manager, num_fewshot=num_fewshot, bootstrap_iters=0)
        for model in (ours, theirs)
    )
    assert one["results"] == other["results"]
    for our_sample, their_sample in zip(one["samples"]["piqa_local"], other["samples"]["piqa_local"], strict=True):
        for [(our_value, _)], [(their_value, _)] in zip(our_sample["resps"], their_sample["resps"], strict=True):
            assert our_value == pytest.approx(their_value, abs=1e-4, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({}, ConfigError, "--model gptkit needs --model_args checkpoint="),
        ({"checkpont": "x"}, ConfigError, "gptkit has no argument checkpont. Did you mean checkpoint?"),
        ({"checkpoint": "x", "precision": "fp8"}, ConfigError, "precision=fp8 must be one of auto, fp32, bf16"),
        ({"checkpoint": "/nowhere/x"}, CheckpointError, "/nowhere/x"),
    ],
)
def test_invalid_arguments_are_one_line(arguments: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as raised:
        GptkitLM(**arguments)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.process
def test_the_command_line_of_the_harness_knows_the_model(gpt2: Path, write_task: Callable[..., Path]) -> None:
    words = ["--include_path", str(write_task("piqa_local")), "--tasks", "piqa_local", "--model", "gptkit"]
    command = [str(Path(sys.executable).with_name("gptkit-lm-eval")), *words, "--model_args", f"checkpoint=hf:{gpt2}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=gpt2, check=False)
    assert done.returncode == 0, done.stderr
    assert "|piqa_local|" in done.stdout.replace(" ", "")


def test_an_error_of_gptkit_is_one_line_with_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", GptkitLM)  # without a checkpoint
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 2
    assert capsys.readouterr().err == "gptkit: --model gptkit needs --model_args checkpoint=<run, checkpoint folder or hf:name>\n"
