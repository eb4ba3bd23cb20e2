"""What every reward is once built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.errors import GptkitError
from gptkit.records import Prompt

if TYPE_CHECKING:
    from gptkit.objective.base import TrainedModel


class Reward(ABC):
    """A judge of responses. Scores do not depend on what else is in the batch."""

    trained: TrainedModel | None = None
    """The model that scores, where it is one trained with objective=reward: a value network may start from it."""

    fingerprint: str = ""
    """Of what scores beside the settings: other weights have another. A run that is continued must find it again."""

    untaken: tuple[str, str] = ("are none to which the reward can score a response", "give other prompts, or another reward")
    """What is said of prompts that it does not take, and what mends it: "12 of 40 prompts of the train split ..."."""

    @abstractmethod
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """(B,) float32 scores, higher is better, of B responses to B prompts, on the CPU."""

    def takes(self, prompt: Prompt) -> bool:
        """Whether responses to the prompt can be scored; those who ask leave it out otherwise.

        Raises: DataError: nothing of the prompt's kind ever can.
        """
        return True

    def to(self, device: torch.device) -> None:  # noqa: B027  # most judges have no weights
        """Score on this device from now on."""


class ComparingReward(Reward):
    """A judge that looks at two responses at once and may favour the one that it is shown first."""

    @abstractmethod
    def prefers(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        """(B,) float32, on the CPU: how sure it is that the first response is the better one; 0.5: no preference."""


def preferences(judge: ComparingReward, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
    """How sure a judge is that the first responses are the better ones, (B,) float32, on the CPU, checked.

    Raises:
        GptkitError: as many preferences as prompts did not come, or one is no number from 0 to 1.
    """
    with torch.no_grad():
        found = torch.as_tensor(judge.prefers(prompts, first, second)).float().cpu()
    if found.shape != (len(prompts),):
        raise GptkitError(f"the judge gave preferences of shape {tuple(found.shape)} for {len(prompts)} pairs of responses")
    broken = (~((found >= 0) & (found <= 1))).nonzero().flatten().tolist()
    if broken:
        raise GptkitError(
            f"the judge gave {float(found[broken[0]])} for {first[broken[0]][:60]!r} against {second[broken[0]][:60]!r}, "
            "and a preference is a number from 0 to 1; mend the judge"
        )
    return found


def scored(reward: Reward, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
    """The scores of a judge, (B,) float32, on the CPU, checked: a score that is no number would spoil whatever it enters.

    Raises:
        GptkitError: as many scores as responses did not come, or one is no finite number; names its response.
    """
    with torch.no_grad():
        scores = torch.as_tensor(reward(prompts, responses)).float().cpu()
    if scores.shape != (len(responses),):
        raise GptkitError(f"the reward gave scores of shape {tuple(scores.shape)} for {len(responses)} responses")
    broken = (~scores.isfinite()).nonzero().flatten().tolist()
    if broken:
        turns = prompts[broken[0]].turns
        shown = turns[-1].text if turns else ""
        raise GptkitError(
            f"the reward gave {float(scores[broken[0]])} for {responses[broken[0]][:60]!r}, in answer to {shown[:40]!r}, "
            "which is no finite number; mend the reward (a run that was training continues from its last checkpoint)"
        )
    return scores


def scored_where_ended(
    judge: Callable[[Sequence[Prompt], Sequence[str]], Tensor],
    prompts: Sequence[Prompt],
    responses: Sequence[str],
    *,
    ended: Sequence[bool],
    missing: float | None,
) -> Tensor:
    """(B,) float32 scores, on the CPU: the judge's of responses that end with end-of-text, and `missing` of those that do not.

    Args:
        judge: scores responses to prompts, and is not asked about none.
        ended: which of the responses do.
        missing: None: the judge scores them all.
    """
    scores = torch.full((len(responses),), 0.0 if missing is None else missing)
    judged = [row for row, has_ended in enumerate(ended) if has_ended or missing is None]
    if judged:
        scores[judged] = judge([prompts[row] for row in judged], [responses[row] for row in judged])
    return scores
