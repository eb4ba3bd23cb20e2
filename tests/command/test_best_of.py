"""`gptkit generate best_of=n`: the best of many continuations, by any reward."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from gptkit.attention import DenseAttentionConfig
from gptkit.model import GPTConfig
from gptkit.records import Prompt, Turn
from gptkit.reward import RulesRewardConfig
from tests.command_line import GptkitCommand

WORDS = ("max_new_tokens=16", "seed=3", "precision=fp32", "format=json")
JUDGE = ("reward=rules", "reward.length=1", "reward.words=6")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, untrained_run: Callable[..., Path]) -> Path:
    def change(model: Any) -> None:
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))

    model = GPTConfig(layers=1, heads=2, width=16, context=48)
    return untrained_run(tmp_path_factory.mktemp("best_of") / "run", model=model, attention=DenseAttentionConfig(), change=change)


@pytest.fixture
def lines(run: Path, tmp_path: Path, gptkit_command: GptkitCommand) -> Callable[..., list[dict[str, Any]]]:
    (tmp_path / "prompts.txt").write_text("One says\nAnother\n")

    def of(*words: str) -> list[dict[str, Any]]:
        outcome = gptkit_command("generate", f"checkpoint={run}", f"prompts={tmp_path / 'prompts.txt'}", *WORDS, *words)
        assert outcome.status == 0, outcome.err
        return [json.loads(line) for line in outcome.out.splitlines()]

    return of


def test_best_of_keeps_the_highest_scores_of_the_same_texts(lines: Any) -> None:
    sampled, kept = lines("samples=6"), lines("best_of=6", "samples=2", *JUDGE)
    judge = RulesRewardConfig(length=1.0, words=6).build(load=lambda source: pytest.fail("no run is read"))
    for number in range(2):
        own = sampled[6 * number : 6 * number + 6]
        prompts = [Prompt((Turn("user", text["prompt"]),)) for text in own]
        scores = judge(prompts, [text["text"] for text in own]).tolist()
        best = sorted(range(6), key=lambda index: -scores[index])[:2]
        result = kept[2 * number : 2 * number + 2]
        assert [text["text"] for text in result] == [own[index]["text"] for index in best]
        assert [text["score"] for text in result] == [scores[index] for index in best]
        assert result[0]["scores"] == result[1]["scores"] == scores
    assert len({text["score"] for text in kept}) > 1


def test_reward_reads_the_turns_of_a_transcript() -> None:
    from gptkit.command import GenerateCommand
    from gptkit.command.best_of import best_of
    from gptkit.reward.base import Reward
    from gptkit.tokenizer import BytesTokenizerConfig

    class Listener(Reward):
        scored_prompts: ClassVar[set[tuple[Turn, ...]]] = set()

        def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
            self.scored_prompts.update(prompt.turns for prompt in prompts)
            return torch.zeros(len(responses))

    tokenizer = BytesTokenizerConfig().build(texts=[])
    model = GPTConfig(layers=1, heads=2, width=16, context=48).build(attention=DenseAttentionConfig(), vocabulary=tokenizer.size)
    settings = GenerateCommand(checkpoint="runs/x", max_new_tokens=2, best_of=2, reward=RulesRewardConfig())
    list(best_of(settings, model, tokenizer, ["\n\nHuman: Hi.\n\nAssistant:", "Hi."], Listener()))
    assert Listener.scored_prompts == {(Turn("user", "Hi."),)}


def test_text_format_prints_no_scores(run: Path, gptkit_command: GptkitCommand) -> None:
    words = ("generate", f"checkpoint={run}", "prompt=Say", "max_new_tokens=8", "best_of=3", *JUDGE)
    outcome = gptkit_command(*words)
    assert outcome.status == 0
    assert outcome.out.startswith("Say")
    assert "score" not in outcome.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("best_of=4",), "best_of=4 needs a reward: set reward="),
        (("best_of=4", "temperature=0", *JUDGE), "best_of=4 chooses among texts that are all the same at temperature=0"),
        (("reward=lexicon",), "reward=lexicon is only used by best_of; add best_of=4"),
        (("best_of=1", *JUDGE), "best_of=1 must be at least 2"),
        (("best_of=3", "samples=4", *JUDGE), "best_of=3 must be at least 2, and not below samples=4"),
        (("best_of=3", "stream=true", *JUDGE), "best_of and stream=true contradict each other"),
        (("best_of=3", "reward=rule"), "there is no reward=rule. Did you mean reward=rules?"),
    ],
)
def test_invalid_settings_are_reported_in_one_line(
    run: Path, gptkit_command: GptkitCommand, words: tuple[str, ...], message: str
) -> None:
    outcome = gptkit_command("generate", f"checkpoint={run}", "prompt=x", *words)
    assert message in outcome.error_line
    assert outcome.status == 2
    assert outcome.out == ""
