"""Supervised fine-tuning: the loss mask, averaging, mixed-in pre-training text, and selection by a reward."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gptkit
from gptkit.chat_template import TranscriptConfig
from gptkit.errors import DataError, GptkitError
from gptkit.records import Dialogue, Prompt, Turn
from gptkit.reward.base import Reward
from gptkit.training.checkpoints.checkpoint import best_checkpoint

Sft = Callable[..., Any]
Speak = Callable[..., Dialogue]
END = 256  # end-of-text of the byte tokenizer


def learned_of(batch: Any, row: int = 0) -> list[int]:
    return batch["targets"][row][batch["loss_mask"][row]].tolist()


def test_the_loss_covers_the_response_and_its_end_of_text(sft: Sft, dialogue: Speak, source: Any) -> None:
    dialogues = source([dialogue("Name?", " Ann")])
    batch = sft().datasets(dialogues, validation_fraction=0)["train"].batch([0])
    assert bytes(batch["tokens"][0].tolist()) == b"Name? Ann"
    assert learned_of(batch) == [*b" Ann", END]
    batch = sft(learn="all").datasets(dialogues, validation_fraction=0)["train"].batch([0])
    assert learned_of(batch) == [*b"ame? Ann", END]


def test_every_answer_of_a_dialogue_ends_with_end_of_text(sft: Sft, source: Any) -> None:
    turns = (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d"))
    batch = (
        sft(context=100, template=TranscriptConfig).datasets(source([Dialogue(turns)]), validation_fraction=0)["train"].batch([0])
    )
    assert learned_of(batch) == [*b" b", END, *b" d", END]
    assert batch["tokens"][0].tolist().count(END) == 1  # the last one is only a target


def test_an_empty_prompt_is_end_of_text(sft: Sft, dialogue: Speak, source: Any) -> None:
    batch = sft().datasets(source([dialogue("", "hi")]), validation_fraction=0)["train"].batch([0])
    assert batch["tokens"][0].tolist() == [END, *b"hi"]
    assert learned_of(batch) == [*b"hi", END]


def test_padding_is_not_in_the_loss(sft: Sft, dialogue: Speak, source: Any) -> None:
    built = sft(context=12)
    batch = built.datasets(source([dialogue("abcdef", "ghi"), dialogue("j", "klmn")]), validation_fraction=0)["train"].batch([0, 1])
    assert batch["tokens"].shape == (2, 9)
    assert batch["tokens"][1, 5:].tolist() == [0] * 4
    assert learned_of(batch, 1) == [*b"klmn", END]
    assert built.counts(batch) == {"sft": 4 + 5}


def test_long_dialogues_are_left_out_and_counted(sft: Sft, dialogue: Speak, source: Any, caplog: pytest.LogCaptureFixture) -> None:
    short, long = dialogue("a", "b"), dialogue("a" * 30, "b" * 30)
    with caplog.at_level(logging.WARNING, "gptkit"):
        datasets = sft().datasets(source([short, long]), validation_fraction=0)
    assert "1 of 2 dialogues of the training split are longer than model.context=40" in caplog.text
    assert len(datasets["train"]) == 1
    with pytest.raises(DataError, match=r"all 2 dialogues of the training split are longer than model\.context=40"):
        sft().datasets(source([long, long]), validation_fraction=0)


def test_other_records_are_refused(sft: Sft, source: Any, examples: Any) -> None:
    with pytest.raises(DataError, match="objective=sft reads dialogues, but the source yields Examples"):
        sft().datasets(source(examples["classification"]), validation_fraction=0)


def test_the_loss_matches_one_from_all_logits(sft: Sft, dialogue: Speak, source: Any, model_of: Any) -> None:
    built = sft(context=16)
    batch = built.datasets(source([dialogue("abc", "def"), dialogue("gh", "i"), dialogue("jklmn", "opq")]), validation_fraction=0)[
        "train"
    ].batch([0, 1])
    model = model_of(built)
    with torch.no_grad():
        terms, _ = built.loss(model, batch)
    chances = model.logits(model(batch["tokens"], segments=batch["segments"])).log_softmax(-1)
    slow = -sum(
        chances[row, index, batch["targets"][row, index]]
        for row in range(len(batch["tokens"]))
        for index in range(batch["tokens"].shape[1])
        if batch["loss_mask"][row, index]
    )
    assert float(terms["sft"][1]) == pytest.approx(float(slow.detach()), rel=1e-6)


@pytest.fixture
def story(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "story.txt"
    path.write_text("Once upon a time there was a fox. " * 40, encoding="utf-8")
    return {"name": "text", "path": str(path)}


def test_pretraining_text_has_its_share_and_is_new_in_every_epoch(
    sft: Sft, dialogue: Speak, source: Any, model_of: Any, story: dict[str, str]
) -> None:
    built = sft(context=16, pretraining=0.25, pretraining_data=story)
    train = built.datasets(source([dialogue("question", "answer")] * 9), validation_fraction=0)["train"]
    assert len(train) == 12
    epoch = train.batch(range(12))
    assert epoch["loss_mask"].all(1).tolist() == [False] * 9 + [True] * 3
    assert not torch.equal(epoch["tokens"][9:], train.batch(range(21, 24))["tokens"])  # the next epoch reads the following windows
    alone = train.batch([11])
    assert torch.equal(alone["tokens"][0], epoch["tokens"][11])
    assert built.counts(epoch) == {"sft": 9 * (len("answer") + 1) + 3 * 16}
    model = model_of(built).requires_grad_(False)
    terms, _ = built.loss(model, epoch)
    parts = [built.loss(model, {name: tensor[rows] for name, tensor in epoch.items()})[0] for rows in (slice(9), slice(9, 12))]
    assert sum(float(part["sft"][1]) for part in parts) == pytest.approx(float(terms["sft"][1]), rel=1e-5)
    windows = model.logits(model(epoch["tokens"][9:])).flatten(0, 1)  # where every token is a target
    slow = torch.nn.functional.cross_entropy(windows, epoch["targets"][9:].flatten(), reduction="sum")
    assert float(parts[1]["sft"][1]) == pytest.approx(float(slow), rel=1e-5)


class Likes(Reward):
    """Scores a response by the number of times that a letter occurs."""

    def __init__(self, letter: str) -> None:
        self.letter = letter
        self.scored: list[str] = []

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        assert prompts  # a reward never gets an empty batch
        self.scored += [prompt.turns[-1].text for prompt in prompts]
        return torch.tensor([float(self.letter) if self.letter == "nan" else response.count(self.letter) for response in responses])


def test_with_a_reward_the_best_checkpoint_is_the_one_whose_responses_score_highest(
    sft: Sft, dialogue: Speak, source: Any, model_of: Any
) -> None:
    built, likes = sft(max_new_tokens=5), Likes("a")
    built.use_reward(likes)
    held_out = [dialogue("abc", " d"), dialogue("e", " fghi"), dialogue("jk", " l")]
    validation = built.datasets(source([dialogue("x", "y")], held_out), validation_fraction=0)["validation"]
    model = model_of(built)

    def scores(*places: int) -> list[float]:
        with torch.no_grad():
            return built.validate(model, validation.batch(places), seed=0)[2]["scores"].tolist()

    together = scores(0, 1, 2)
    assert likes.scored == ["abc", "e", "jk"]
    assert together == [*scores(0), *scores(2, 1)[::-1]]  # independent of the rest of the batch
    metrics = built.compute_metrics({"scores": torch.tensor([1.0, 2.0, 6.0])})
    assert metrics == {"reward": 3.0}
    assert built.checkpoint_value(0.5, metrics) == -3.0
    assert built.checkpoint_value(0.5, {}) == 0.5
    built.use_reward(Likes("nan"))
    with pytest.raises(GptkitError, match=r"the reward returned nan for .* in answer to 'e', which is not a finite number"):
        scores(1)


def test_a_response_that_does_not_end_scores_missing_end_of_text(sft: Sft, dialogue: Speak, source: Any, model_of: Any) -> None:
    """An untrained model ends none of its responses within five tokens."""
    built, likes = sft(max_new_tokens=5, missing_end_of_text=-3.0), Likes("a")
    built.use_reward(likes)
    validation = built.datasets(source([dialogue("x", "y")], [dialogue("abc", " d"), dialogue("e", " f")]), validation_fraction=0)
    batch, model = validation["validation"].batch([0, 1]), model_of(built)
    with torch.no_grad():
        assert built.validate(model, batch, seed=0)[2]["scores"].tolist() == [-3.0, -3.0]
        assert likes.scored == []
        built.settings.missing_end_of_text = None
        assert built.validate(model, batch, seed=0)[2]["scores"].min() >= 0.0
    assert likes.scored == ["abc", "e"]


def test_a_held_out_prompt_without_room_is_not_scored(
    sft: Sft, dialogue: Speak, source: Any, model_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    built = sft(context=16, max_new_tokens=8)
    built.use_reward(Likes("a"))
    held_out = [dialogue("abcdefghij", " d"), dialogue("e", " f"), dialogue("jk", " l")]
    with caplog.at_level(logging.WARNING, "gptkit"):
        validation = built.datasets(source([dialogue("x", "y")], held_out), validation_fraction=0)["validation"]
    assert "1 of 3 held-out prompts leave no room for a response of 8 tokens" in caplog.text
    model = model_of(built)
    with torch.no_grad():
        scores = built.validate(model, validation.batch([0, 1, 2]), seed=0)[2]["scores"]
        alone = built.validate(model, validation.batch([0]), seed=0)[2]["scores"]
    assert scores.isnan().tolist() == [True, False, False]
    assert alone.isnan().all()
    assert built.compute_metrics({"scores": torch.tensor([torch.nan, 1.0, 2.0])}) == {"reward": 1.5}
    with pytest.raises(DataError, match=r"none of 1 held-out prompts leaves room for a response of 8 tokens"):
        built.datasets(source([dialogue("x", "y")], held_out[:1]), validation_fraction=0)


def test_max_new_tokens_above_half_of_the_context_warns(
    sft: Sft, dialogue: Speak, source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    built = sft(context=16, max_new_tokens=500)
    built.use_reward(Likes("a"))
    built.datasets(source([dialogue("x", "y")], [dialogue("e", " f")]), validation_fraction=0)
    assert "objective.max_new_tokens=500 is more than half of model.context=16: responses have at most 8 tokens" in caplog.text


def test_a_tiny_model_learns_to_answer_and_to_end(sft: Sft, dialogue: Speak, source: Any, model_of: Any) -> None:
    from gptkit.generation import generate

    built = sft(context=16)
    train = built.datasets(source([dialogue("a?", " yes"), dialogue("b?", " no")]), validation_fraction=0)["train"]
    torch.manual_seed(0)
    model = model_of(built)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    batch = train.batch(range(len(train)))
    for _ in range(150):
        optimizer.zero_grad()
        (built.loss(model, batch)[0]["sft"][1] / built.counts(batch)["sft"]).backward()
        optimizer.step()
    first = train.batch([0])["tokens"][0]
    prompt = bytes(first[:2].tolist()).decode()  # the prompt of the first dialogue in the row
    (answer,) = generate(model, built.tokenizer, [prompt], max_new_tokens=10, temperature=0)[0]
    assert (answer.text, answer.finish_reason) == ({"a?": " yes", "b?": " no"}[prompt], "end_of_text")


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
def test_a_run_with_a_reward_keeps_its_best_checkpoint_by_the_reward(tmp_path: Path) -> None:
    """All demonstrations get a low reward, so the loss is best at the end of the run, and the reward is best earlier."""
    path = tmp_path / "dialogues.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{n}?", "completion": " no no"}) + "\n" for n in range(40)), encoding="utf-8")
    words = [
        "objective=sft",
        "objective.max_new_tokens=8",
        "data=dialogues",
        f"data.path={path}",
        "val.fraction=0.1",
        "val.every=20",
    ]
    words += [
        "reward=rules",
        "reward.forbidden=1",
        "reward.forbidden_words=[no]",
        "tokenizer=bytes",
        "model.layers=1",
        "model.heads=1",
    ]
    words += ["model.width=32", "model.context=16", "batch.size=8", "optimizer.lr=1e-2", "optimizer.schedule.warmup=0"]
    words += ["save.every=20", "trainer.accelerator=cpu", "trainer.max_steps=80", "samples.prompts=[]"]
    gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={tmp_path / 'run'}"]))
    with (tmp_path / "run" / "metrics.csv").open(encoding="utf-8", newline="") as file:
        result = [
            (int(row["step"]), float(row["val/loss"]), float(row["val/reward"])) for row in csv.DictReader(file) if row["val/loss"]
        ]
    best = best_checkpoint(tmp_path / "run")
    assert best is not None
    assert min(result, key=lambda row: row[1])[0] == 80
    assert result[-1][2] < max(row[2] for row in result)
    step = int(best.name.removeprefix("step-"))
    assert {row[0]: row[2] for row in result}[step] == max(row[2] for row in result)
