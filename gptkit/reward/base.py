"""The base classes of rewards, and functions that call a reward and check its scores."""

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
    """Scores responses to prompts. The score of a response does not depend on the rest of the batch."""

    trained_model: TrainedModel | None = None
    """The reward model that computes the scores, if there is one. A value network may start from its weights."""

    fingerprint: str = ""
    """Identifies everything except the settings that determines the scores, such as weights. A resumed run checks it."""

    rejection_message: tuple[str, str] = ("cannot be scored by the reward", "use other prompts, or choose another reward")
    """The reason for rejecting prompts, which completes "12 of 40 prompts of the train split ...", and the fix."""

    @abstractmethod
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Score B responses to B prompts: (B,) float32 on the CPU, higher is better."""

    def accepts(self, prompt: Prompt) -> bool:
        """Return whether responses to the prompt can be scored. Callers skip prompts that are not accepted.

        Raises:
            DataError: the reward can score no prompt of this kind.
        """
        return True

    def to(self, device: torch.device) -> None:  # noqa: B027  # most rewards have no weights
        """Move the reward's weights, if any, to a device."""


class PairwiseReward(Reward):
    """Compares two responses at a time. It may favour the first one, so callers compare them in both orders."""

    @abstractmethod
    def prefers(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        """Return the probability that each first response is better than the second: (B,) float32 on the CPU, 0.5 for a tie."""


def compute_preferences(reward: PairwiseReward, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
    """Call a pairwise reward and check its preferences, (B,) float32 on the CPU.

    Raises:
        GptkitError: the shape is wrong, or a preference is not a number from 0 to 1.
    """
    with torch.no_grad():
        result = torch.as_tensor(reward.prefers(prompts, first, second)).float().cpu()
    if result.shape != (len(prompts),):
        raise GptkitError(f"the reward returned preferences of shape {tuple(result.shape)} for {len(prompts)} pairs of responses")
    invalid = (~((result >= 0) & (result <= 1))).nonzero().flatten().tolist()
    if invalid:
        raise GptkitError(
            f"the reward returned {float(result[invalid[0]])} for {first[invalid[0]][:60]!r} against {second[invalid[0]][:60]!r}, "
            "but a preference must be a number from 0 to 1; fix the reward"
        )
    return result


def compute_scores(reward: Reward, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
    """Call a reward and check its scores, (B,) float32 on the CPU: a NaN would make every average NaN.

    Raises:
        GptkitError: the shape is wrong, or a score is not finite.
    """
    with torch.no_grad():
        scores = torch.as_tensor(reward(prompts, responses)).float().cpu()
    if scores.shape != (len(responses),):
        raise GptkitError(f"the reward returned scores of shape {tuple(scores.shape)} for {len(responses)} responses")
    invalid = (~scores.isfinite()).nonzero().flatten().tolist()
    if invalid:
        turns = prompts[invalid[0]].turns
        shown = turns[-1].text if turns else ""
        raise GptkitError(
            f"the reward returned {float(scores[invalid[0]])} for {responses[invalid[0]][:60]!r}, in answer to {shown[:40]!r}, "
            "which is not a finite number; fix the reward (a training run resumes from its last checkpoint)"
        )
    return scores


def score_finished_responses(
    score: Callable[[Sequence[Prompt], Sequence[str]], Tensor],
    prompts: Sequence[Prompt],
    responses: Sequence[str],
    *,
    ended: Sequence[bool],
    missing: float | None,
) -> Tensor:
    """Score the responses that end with end-of-text; the others get the constant `missing`.

    Args:
        score: scores responses to prompts. Not called with an empty batch.
        ended: whether each response ends with end-of-text.
        missing: the score of responses that do not end. None: score all of them.

    Returns:
        (B,) float32 on the CPU.
    """
    scores = torch.full((len(responses),), 0.0 if missing is None else missing)
    rows = [row for row, has_ended in enumerate(ended) if has_ended or missing is None]
    if rows:
        scores[rows] = score([prompts[row] for row in rows], [responses[row] for row in rows])
    return scores
