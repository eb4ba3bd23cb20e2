"""`gptkit eval`: win rates, what alignment costs, tasks of one model, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.attention import DenseAttentionConfig
from gptkit.data import PromptsConfig
from gptkit.errors import DataError, GptkitError
from gptkit.evaluation.runner import evaluate
from gptkit.model import GPTConfig
from gptkit.objective import SFTConfig
from gptkit.records import Document, Prompt, Turn
from gptkit.reward import RulesRewardConfig
from gptkit.reward.base import PairwiseReward, Reward
from gptkit.task import WinRateConfig
from gptkit.task.comparison import Subject
from gptkit.task.held_out import prompt_of
from gptkit.task.win_rate import wins
from gptkit.tokenizer import BytesTokenizerConfig
from tests.command_line import GptkitCommand

MODEL: dict[str, Any] = {"layers": 1, "heads": 2, "width": 16, "context": 48}
JUDGE = ("reward=rules", "reward.length=1", "reward.words=5", "reward.repetition=1", "reward.run=1")


def moved(seed: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))

    return change


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, untrained_run: Callable[..., Path]) -> Path:
    """Runs a and b with prompts and a judge of their own, one run `plain` without, and a text."""
    root = tmp_path_factory.mktemp("eval")
    for split, count in (("train", 3), ("held_out", 24)):
        rows = [json.dumps({"prompt": f"{split} {number} says"}) + "\n" for number in range(count)]
        (root / f"{split}.jsonl").write_text("".join(rows))
    data = PromptsConfig(path=[str(root / "train.jsonl")], validation=[str(root / "held_out.jsonl")])
    own = {"data": data, "reward": RulesRewardConfig(length=1.0, words=5), "objective": SFTConfig()}
    for seed, name in enumerate("ab"):
        untrained_run(root / name, model=GPTConfig(**MODEL), attention=DenseAttentionConfig(), change=moved(seed), **own)
    untrained_run(root / "plain", model=GPTConfig(**MODEL), attention=DenseAttentionConfig())
    (root / "text.txt").write_text("".join(f"Number {n} is the square of {n**0.5:.3f} — said Émile.\n" for n in range(200)))
    return root


@pytest.fixture
def scores_of(folder: Path, gptkit_command: GptkitCommand) -> Callable[..., dict[str, float]]:
    def run(task: str, checkpoint: str, *words: str) -> dict[str, float]:
        outcome = gptkit_command("eval", f"task={task}", f"checkpoint={folder / checkpoint}", "format=json", *words)
        assert outcome.status == 0, outcome.err
        result: dict[str, float] = json.loads(outcome.out)["scores"]
        return result

    return run


def test_model_wins_half_against_itself(folder: Path, scores_of: Any) -> None:
    result = scores_of("win_rate", "a", f"against={folder / 'a'}", "task.max_new_tokens=12")
    assert result["win_rate"] == result["win_rate_low"] == result["win_rate_high"] == 0.5
    assert result["score"] == result["score_against"]
    assert result["prompts"] == 24


def test_swapping_models_inverts_the_win_rate(folder: Path, scores_of: Any) -> None:
    words = ("task.max_new_tokens=24", *JUDGE)
    one = scores_of("win_rate", "a", f"against={folder / 'b'}", *words)
    other = scores_of("win_rate", "b", f"against={folder / 'a'}", *words)
    assert 0 < one["win_rate"] < 1
    assert one["win_rate_low"] < one["win_rate"] < one["win_rate_high"]
    assert other["win_rate"] == pytest.approx(1 - one["win_rate"])
    assert other["win_rate_low"] == pytest.approx(1 - one["win_rate_high"])
    assert (other["score"], other["score_against"]) == (one["score_against"], one["score"])


def test_seed_determines_the_responses(folder: Path, scores_of: Any) -> None:
    words = (f"against={folder / 'b'}", "task.max_new_tokens=24", *JUDGE)
    first = scores_of("win_rate", "a", *words)
    assert scores_of("win_rate", "a", *words) == first
    assert scores_of("win_rate", "a", *words, "seed=1") != first


def test_data_replaces_the_prompts_of_the_run(folder: Path, scores_of: Any) -> None:
    words = (f"against={folder / 'a'}", "data=prompts", f"data.path={folder / 'held_out.jsonl'}")
    assert scores_of("win_rate", "a", *words, "task.max_new_tokens=4")["prompts"] == 24  # all of the file
    assert scores_of("win_rate", "a", f"against={folder / 'a'}", "task.prompts=7", "task.max_new_tokens=4")["prompts"] == 7


def test_ties_count_as_half_a_win() -> None:
    assert wins(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 2.0])).tolist() == [0.0, 0.5, 1.0]


class Biased(PairwiseReward):
    """Favours what it is shown first, whatever it is."""

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return torch.zeros(len(responses))

    def prefers(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        return torch.full((len(first),), 0.9)


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    tokenizer = BytesTokenizerConfig().build(texts=[])
    result = []
    for seed in range(2):
        model = GPTConfig(**MODEL).build(attention=DenseAttentionConfig(), vocabulary=tokenizer.size)
        moved(seed)(model)
        result.append(Subject(model.eval(), tokenizer, f"runs/{seed}"))
    return result


def compare(comparison: Any, subjects: Sequence[Subject], judge: Reward | None = None) -> dict[str, float]:
    """The scores of the first model against the second."""
    scores: dict[str, float] = comparison(
        subjects[0], against=subjects[1], judge=judge, evaluate=lambda task, subject: evaluate(task, subject).metrics, seed=0
    )
    return scores


def test_position_bias_of_the_judge_cancels_out(subjects: list[Subject], folder: Path) -> None:
    task = WinRateConfig(max_new_tokens=8).build(
        data=PromptsConfig(path=[str(folder / "train.jsonl")], validation=[str(folder / "held_out.jsonl")])
    )
    assert compare(task, subjects, Biased())["win_rate"] == pytest.approx(0.5)


def test_nan_preference_is_reported(subjects: list[Subject], folder: Path) -> None:
    class Broken(Biased):
        def prefers(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
            return torch.full((len(first),), torch.nan)

    task = WinRateConfig(max_new_tokens=8).build(data=PromptsConfig(path=[str(folder / "held_out.jsonl")]))
    with pytest.raises(GptkitError, match=r"the reward returned nan for .* a preference must be a number from 0 to 1"):
        compare(task, subjects, Broken())


def test_too_long_prompts_are_skipped_and_counted(
    subjects: list[Subject], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"prompt": "short"}, {"prompt": "long " * 20}, {"prompt": "also short"}]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "train.jsonl").write_text(json.dumps(rows[0]) + "\n")
    data = PromptsConfig(path=[str(tmp_path / "train.jsonl")], validation=[str(tmp_path / "all.jsonl")])
    task = WinRateConfig(max_new_tokens=8).build(data=data)
    assert compare(task, subjects, Biased())["prompts"] == 2
    assert "1 of 3 prompts leave no room for an answer" in caplog.text


def test_records_without_prompts_are_rejected() -> None:
    from gptkit.records import Dialogue, Ranking

    question, answer = Turn("user", "Why?"), Turn("assistant", "So.")
    assert prompt_of(Dialogue((question, answer, question, answer)), "x").turns == (question, answer, question)
    assert prompt_of(Ranking((question,), ("a", "b"), (0, 1)), "x").turns == (question,)
    with pytest.raises(DataError, match="the source yields Document records; choose a source of prompts"):
        prompt_of(Document("text"), "task=win_rate")


def test_alignment_tax_of_a_model_against_itself_is_zero(folder: Path, scores_of: Any) -> None:
    text = ("data=text", f"data.path={folder / 'text.txt'}", "task.fraction=0.2")
    result = scores_of("alignment_tax", "a", f"against={folder / 'a'}", *text)
    assert result["loss_change"] == result["bits_per_byte_change"] == 0.0
    one = scores_of("alignment_tax", "a", f"against={folder / 'b'}", *text, "task.windows=8")
    other = scores_of("alignment_tax", "b", f"against={folder / 'a'}", *text, "task.windows=8")
    assert one["loss_change"] == pytest.approx(one["loss"] - one["loss_against"]) == pytest.approx(-other["loss_change"])


def test_loss_equals_validation_and_bits_are_per_byte(subjects: list[Subject], folder: Path) -> None:
    from gptkit.data import TextConfig
    from gptkit.data.windows import language_model_datasets
    from gptkit.task import AlignmentTaxConfig

    source = TextConfig(path=[str(folder / "text.txt")])
    result = compare(AlignmentTaxConfig(fraction=0.2, windows=0).build(data=source), subjects)
    subject = subjects[0]
    windows = language_model_datasets(source.build(), subject.tokenizer, context=48, validation_fraction=0.2)["validation"]
    batch = windows.batch(range(len(windows)))
    with torch.no_grad():
        logits = subject.model.logits(subject.model(batch["tokens"]))
    slow = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten()).item()
    assert result["loss"] == pytest.approx(slow, rel=1e-5)
    text = subject.tokenizer.decode(batch["targets"].flatten().tolist())
    assert result["bits_per_byte"] == pytest.approx(slow / math.log(2) * batch["targets"].numel() / len(text.encode()), rel=0.02)


def test_task_of_one_model_is_evaluated_alone_and_against_another(
    folder: Path, scores_of: Any, gptkit_command: GptkitCommand
) -> None:
    words = ("task.examples=8",)
    alone = scores_of("choice", "a", *words)
    tasks = "task.tasks={story:{name:choice,examples:8}}"
    text = ("data=text", f"data.path={folder / 'text.txt'}", "task.fraction=0.2", "task.windows=2")
    both = scores_of("alignment_tax", "a", f"against={folder / 'plain'}", *text, tasks)
    assert both["story"] == alone["accuracy"]
    assert both["story_change"] == both["story"] - both["story_against"]
    outcome = gptkit_command("eval", "task=choice", f"checkpoint={folder / 'a'}", *words)
    header, row = outcome.out.splitlines()
    assert header.split("  ")[0] == "metric"
    assert row.split()[:2] == ["accuracy", f"{alone['accuracy']:.4f}"]
    assert row.split()[-1] == "8"


QUESTIONS = [{"query": f"Number {number} is", "choices": ["even", "odd", "a fruit"], "gold": number % 2} for number in range(12)]


@pytest.fixture
def questions(folder: Path) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    return path


def test_data_path_alone_goes_to_the_source_of_the_task(folder: Path, questions: Path, scores_of: Any) -> None:
    words = (f"data.path={questions}", "task.normaliser=none")
    assert scores_of("choice", "a", *words) == scores_of("choice", "a", "data=choices", *words)


def test_results_and_items_are_written_and_read_again(
    folder: Path, tmp_path: Path, questions: Path, gptkit_command: GptkitCommand
) -> None:
    words = ("task=choice", f"checkpoint={folder / 'a'}", f"data.path={questions}", f"to={tmp_path / 'out'}")
    first = gptkit_command("eval", *words, "batch=1")
    assert first.status == 0, first.err
    written = (tmp_path / "out" / "results.json").read_bytes()
    assert gptkit_command("eval", *words, "batch=5").out == first.out
    assert (tmp_path / "out" / "results.json").read_bytes() == written
    results = json.loads(written)
    assert results["items"] == len((tmp_path / "out" / "items.jsonl").read_text().splitlines()) == 12
    assert results["chance"] == {"accuracy": pytest.approx(1 / 3)}
    assert results["protocol"]["task"]["normaliser"] == "tokens"
    assert results["data"] == questions.name
    refused = gptkit_command("eval", *words, "task.normaliser=bytes")
    assert refused.status == 2
    assert 'task.normaliser is "tokens" there and "bytes" here' in refused.error_line


def test_interval_and_number_of_items_are_printed_as_json(folder: Path, questions: Path, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("eval", "task=choice", f"checkpoint={folder / 'a'}", f"data.path={questions}", "format=json")
    content = json.loads(outcome.out)
    metric = content["metrics"]["accuracy"]
    assert metric["value"] == content["scores"]["accuracy"]
    assert metric["low"] < metric["value"] < metric["high"]
    assert content["items"] == 12


def test_long_questions_are_truncated_with_a_warning(
    folder: Path, tmp_path: Path, gptkit_command: GptkitCommand, caplog: pytest.LogCaptureFixture
) -> None:
    row = {"query": "long " * 20, "choices": ["a", "b"], "gold": 0}
    (tmp_path / "long.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {"query": "x"}) + "\n")
    outcome = gptkit_command("eval", "task=choice", f"checkpoint={folder / 'a'}", f"data.path={tmp_path / 'long.jsonl'}")
    assert outcome.status == 0
    assert "2 of 4 requests are longer than the context of 48 tokens" in caplog.text + outcome.err


def test_eval_writes_no_files(in_folder: Path, folder: Path, scores_of: Any) -> None:
    scores_of("choice", "a", "task.examples=2")
    assert list(in_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("task=win_rate", "checkpoint={a}"), 2, "task=win_rate compares two models; set the second with against=<run>"),
        (("task=next_word", "checkpoint={a}", "against={b}"), 2, "task=next_word evaluates one model; remove against"),
        (("task=next_word", "checkpoint={a}", "reward=lexicon"), 2, "task=next_word uses no judge; remove reward"),
        (("task=win_rate", "checkpoint={plain}", "against={a}"), 2, "was trained without a reward; set reward="),
        (
            ("task=win_rate", "checkpoint={plain}", "against={a}", *JUDGE, "data=sotu"),
            1,
            "yields Document records; choose a source of prompts",
        ),
        (("task=win_rate", "checkpoint={a}", "against={a}", "task.max_new_tokens=48"), 1, "lower task.max_new_tokens"),
        (("task=win_rate", "checkpoint={a}", "against={a}/nowhere"), 1, "there is no such folder"),
        (("task=win_rate", "checkpoint={a}", "against={b}", "reward={a}"), 1, "reward=model needs a run with objective=reward"),
        (
            ("task=win_rate", "checkpoint={a}", "against={b}", "task.max_new_tokens=0"),
            2,
            "task.max_new_tokens=0 must be at least 1",
        ),
        (("task=likely_option", "checkpoint={a}"), 2, "task=likely_option is now called task=choice"),
        (("task=chioce", "checkpoint={a}", "data.path=x.jsonl"), 2, "there is no task=chioce. Did you mean task=choice?"),
        (("task=choice", "checkpoint={a}", "data.path={a}/x.jsonl"), 1, "x.jsonl"),
        (("task=win_rate", "checkpoint={a}", "against={b}", "to={a}/out"), 2, "compares two models and writes no items"),
        (("task=choice", "checkpoint={a}", "task.normaliser=words"), 2, "task.normaliser=words"),
        (("task=winrate", "checkpoint={a}"), 2, "there is no task=winrate. Did you mean task=win_rate?"),
        (
            ("task=next_word", "checkpoint={a}", "reward.x=1"),
            2,
            "reward.x is set, but no reward is chosen; add one of reward=model",
        ),
        (
            ("task=alignment_tax", "checkpoint={a}", "against={b}", "task.tasks={{x:{{name:win_rate}}}}"),
            2,
            "task.tasks.x: task=win_rate compares two models or needs a judge",
        ),
    ],
)
def test_invalid_settings_are_reported_in_one_line(
    folder: Path, gptkit_command: GptkitCommand, words: tuple[str, ...], status: int, message: str
) -> None:
    places = {name: str(folder / name) for name in ("a", "b", "plain")}
    outcome = gptkit_command("eval", *(word.format(**places) for word in words))
    assert message in outcome.error_line
    assert outcome.status == status
    assert outcome.out == ""


def test_few_shot_draws_from_the_file_itself_or_from_another(
    folder: Path, questions: Path, tmp_path: Path, scores_of: Any, gptkit_command: GptkitCommand
) -> None:
    (tmp_path / "pool.jsonl").write_text('{"query": "Is it so?", "choices": ["yes", "no"], "gold": 1}\n')
    base = ("eval", "task=choice", f"checkpoint={folder / 'a'}", f"data.path={questions}")
    for name, words, expected in (
        ("own", ("fewshot.k=1",), "Number"),
        ("other", (f"fewshot.path={tmp_path / 'pool.jsonl'}", "fewshot.k=1"), "Is it so? no\n\n"),
    ):
        outcome = gptkit_command(*base, f"to={tmp_path / name}", *words)
        assert outcome.status == 0, outcome.err
        lines = [json.loads(line) for line in (tmp_path / name / "items.jsonl").read_text().splitlines()]
        assert all(line["requests"][0]["context"].startswith(expected) for line in lines)
        results = json.loads((tmp_path / name / "results.json").read_text())
        assert results["fewshot"] == {"k": 1, "mean": 1.0, "items_with_fewer": 0}
        assert results["protocol"]["fewshot"]["k"] == 1
    outcome = gptkit_command(*base, f"to={tmp_path / 'own'}")
    assert outcome.status == 2
    assert "fewshot is" in outcome.err and "holds another evaluation" in outcome.err


def test_few_shot_that_does_not_fit_is_reported(
    folder: Path, questions: Path, gptkit_command: GptkitCommand, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = gptkit_command("eval", "task=choice", f"checkpoint={folder / 'a'}", f"data.path={questions}", "fewshot.k=11")
    assert outcome.status == 0
    assert "12 of 12 items have fewer examples than fewshot.k=11, 1.0 on average" in caplog.text
    assert "more do not fit the context of 48 tokens" in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("task=choice", "fewshot.k=12"), "fewshot.k=12 is larger than the pool, which has 11 examples besides the evaluated one"),
        (("task=choice", "fewshot.k=-1"), "fewshot.k=-1"),
        (("task=choice", "fewshot.k=1", "fewshot.path=nowhere.jsonl"), "nowhere.jsonl"),
        (("task=win_rate", "against=x", "fewshot.k=1"), "takes no examples in context; remove fewshot.k"),
    ],
)
def test_few_shot_settings_that_cannot_be_used_are_refused(
    words: tuple[str, ...], message: str, folder: Path, questions: Path, gptkit_command: GptkitCommand
) -> None:
    data = () if "task=win_rate" in words else (f"data.path={questions}",)
    outcome = gptkit_command("eval", f"checkpoint={folder / 'a'}", *data, *words)
    assert outcome.status in (1, 2)
    assert message in outcome.err and outcome.err.count("\n") == 1
