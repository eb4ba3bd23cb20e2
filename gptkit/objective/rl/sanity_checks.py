"""Sanity checks of the first rollout of a run: are sampling, scoring and training consistent?

Each check detects an error with which a run would continue, but learn nothing or the wrong thing. The checks have no side effects.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.errors import GptkitError
from gptkit.generation.sampling import candidates, uniforms
from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.base import mean_over_items
from gptkit.objective.log_probs import token_log_probs
from gptkit.objective.precision import upcast
from gptkit.objective.rl.policy_loss import probability_ratios
from gptkit.objective.rl.rollout import (
    pad_responses,
    response_hidden_states,
    response_log_probs,
    response_positions,
    select_rows,
    split_into_chunks,
    unpad_responses,
)

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.objective.rl.base import ReinforcementLearning
    from gptkit.objective.rl.rollout import Rollout
    from gptkit.objective.rollout_objective import Minibatch

_log = logging.getLogger("gptkit")

CHECKED_ROWS = 8
"""The number of responses that are checked individually."""

MIN_EXPECTED_ENDINGS = 1e-3
"""Minimum expected number of responses that end in a step. Below it, a run of a thousand steps has less than one of them."""

ROUNDING = 0.02
"""Tolerance of the cumulative probability at which a token is sampled. In a GPT of a million parameters, bfloat16 changes it by at
most 0.006; a temperature of 0.95 instead of 1 changes it by more than the tolerance for a quarter of the tokens."""

MIN_REPRODUCED = 0.95
"""Minimum fraction of the sampled tokens that the forward pass of training must reproduce, up to rounding."""


def check_rollout(
    objective: ReinforcementLearning,
    model: Model,
    rollout: Rollout,
    scores: Tensor,
    *,
    seed: int,
    samples: Sequence[tuple[int, int]],
) -> None:
    """Check a rollout before the first update of this process.

    Args:
        objective: the objective that generated the rollout.
        model: the policy.
        rollout: the rollout, with the columns `old_log_probs` and `reference_log_probs`.
        scores: (B,) scores of the responses.
        seed: the seed with which the responses were sampled.
        samples: item and sample number of each response.

    Raises:
        GptkitError: a check fails.
    """
    batch = rollout.batch
    subset = select_rows(batch, slice(0, CHECKED_ROWS))
    tolerance = _tolerance(model, objective.settings.clip)
    _check_ratios(model, subset, objective.settings.temperature, objective.settings.clip, tolerance)
    _check_padding(objective, model, subset, tolerance)
    if objective.policy_is_reference:
        _check_reference(batch, tolerance)
    _check_sampling(objective, model, rollout, seed, samples[:CHECKED_ROWS], tolerance)
    if objective.policy_is_reference and objective.settings.missing_end_of_text is not None:
        _check_endings(objective, model, rollout)
    _check_reward(objective, rollout, scores)


@torch.no_grad()
def check_loss(objective: ReinforcementLearning, model: Model, minibatch: Minibatch) -> None:
    """Check that the loss of the first minibatch reports an unchanged policy, since no update was made.

    Raises:
        GptkitError: a check fails.
    """
    episodes = [batch for batch in minibatch.values() if "old_log_probs" in batch]
    if not episodes:
        raise _failure("the first minibatch has no episodes with `old_log_probs`, so its probability ratios cannot be checked")
    subset = select_rows(episodes[0], slice(0, CHECKED_ROWS))
    _, metrics = objective.loss(model, subset)
    missing = [name for name in ("approximate_kl", "clip_fraction") if name not in metrics]
    if missing:
        raise _failure(f"the metrics of the loss lack {' and '.join(missing)}, which must be 0 before any update")
    shares = [mean_over_items(metrics[name], len(subset["lengths"])) for name in ("approximate_kl", "clip_fraction")]
    kl, clipped = (float(share.total / share.count) for share in shares if share is not None)
    if kl > _tolerance(model, objective.settings.clip) ** 2 / 2 or clipped > 0:
        raise _failure(
            f"before any update the loss reports that the policy has changed: approximate_kl is {kl:.2g} and clip_fraction "
            f"{clipped:.2g}, but both must be 0; the loss uses other positions or another temperature than the rollout"
        )


def _check_ratios(model: Model, subset: dict[str, Tensor], temperature: float, clip: float, tolerance: float) -> None:
    """Check that the ratio of new to old probabilities is 1 before any update."""
    with without_dropout(model), torch.no_grad():  # as in the loss
        log_probs, _ = response_log_probs(model, subset, temperature)
    old = torch.cat([row[:length] for row, length in zip(subset["old_log_probs"], subset["lengths"].tolist(), strict=True)])
    ratio = probability_ratios(log_probs, old)
    worst = float((ratio - 1).abs().max())
    if worst > tolerance:
        clipped = float(((ratio - 1).abs() > clip).float().mean())
        raise _failure(
            f"before any update the ratio of new to old probabilities must be 1, but one differs by {worst:.2g} "
            f"({clipped:.0%} are clipped): two forward passes over the same responses differ; "
            "look for dropout or other randomness in the model"
        )


def _check_padding(objective: ReinforcementLearning, model: Model, subset: dict[str, Tensor], tolerance: float) -> None:
    for row in range(len(subset["lengths"])):
        one = select_rows(subset, slice(row, row + 1))
        length = int(one["prompt_lengths"] + one["lengths"])
        alone = objective.compute_log_probs(model, {**one, "tokens": one["tokens"][:, :length]})[0]
        worst = float((alone - subset["old_log_probs"][row, : len(alone)]).abs().max())
        if worst > tolerance:
            raise _failure(
                f"log-probabilities of a response change by {worst:.2g} without padding and without other responses in the batch; "
                "the model or its attention mixes rows, or attends to later tokens"
            )


def _check_reference(batch: dict[str, Tensor], tolerance: float) -> None:
    worst = float((batch["old_log_probs"] - batch["reference_log_probs"]).abs().max())
    if worst > tolerance:
        raise _failure(
            f"before any update the policy differs from its reference by {worst:.2g} nats at a token; the reference must be a copy"
        )


@torch.no_grad()
def _check_sampling(
    objective: ReinforcementLearning,
    model: Model,
    rollout: Rollout,
    seed: int,
    samples: Sequence[tuple[int, int]],
    tolerance: float,
) -> None:
    """Check that the forward pass of training samples the tokens of decoding with the same random numbers, up to rounding, and that
    the log-probabilities in the rollout are from the same distribution."""
    subset = select_rows(rollout.batch, slice(0, len(samples)))
    rows, positions = response_positions(subset)
    columns = positions - subset["prompt_lengths"][rows]
    numbers = uniforms(seed, samples, objective.new_tokens).to(positions.device)[rows, columns]
    tokens = subset["tokens"][rows, positions]
    logits = upcast(model.logits(response_hidden_states(model, subset)))
    share = reproduced_fraction(logits, tokens, numbers, temperature=objective.settings.temperature)
    if share < MIN_REPRODUCED:
        raise _failure(
            f"with the same random numbers, training reproduces only {share:.0%} of the sampled tokens; sampling and training use "
            "different logits or temperatures"
        )
    sampled = token_log_probs(logits, tokens, temperature=objective.settings.temperature)
    worst = float((sampled - unpad_responses(subset["old_log_probs"], subset["lengths"])).abs().max())
    if worst > tolerance:
        raise _failure(
            f"the log-probabilities in training differ by {worst:.2g} nats at a token from those of the sampling distribution; "
            "they are from another position or another temperature"
        )


def reproduced_fraction(logits: Tensor, tokens: Tensor, uniforms: Tensor, *, temperature: float) -> float:
    """Return the fraction of tokens that their random numbers sample from these logits, within a tolerance of `ROUNDING`.

    Args:
        logits: (N, V) logits of the positions.
        tokens: (N,) int64, the sampled tokens.
        uniforms: (N,) float64 in [0, 1), the random numbers of the tokens.
        temperature: divides the logits.
    """
    probabilities, _ = candidates(logits, temperature=temperature)
    sums = probabilities.cumsum(dim=-1, dtype=torch.float64)  # the end of each token's interval of [0, 1)
    ends = (sums / sums[:, -1:]).gather(-1, tokens[:, None]).squeeze(-1)
    starts = ends - probabilities.gather(-1, tokens[:, None]).squeeze(-1)
    return float((torch.maximum(starts - uniforms, uniforms - ends) <= ROUNDING).double().mean())


@torch.no_grad()
def _check_endings(objective: ReinforcementLearning, model: Model, rollout: Rollout) -> None:
    if bool(rollout.ended.any()):
        return
    expected = 0.0
    for chunk in split_into_chunks(rollout.batch):
        logits = upcast(model.logits(response_hidden_states(model, chunk))) / objective.settings.temperature
        ends = logits.softmax(dim=-1)[:, objective.end].double()
        expected += expected_endings(pad_responses(ends, chunk["lengths"], int(chunk["lengths"].max())))
    if expected >= 1:
        return
    what = (
        f"none of {len(rollout.texts)} responses ended within objective.max_new_tokens={objective.settings.max_new_tokens}, and "
        f"the expected number in a step is {expected:.1g}"
    )
    fix = "start from a model that was trained to end its responses (objective=sft), or set objective.missing_end_of_text=null"
    if expected < MIN_EXPECTED_ENDINGS:
        raise _failure(f"{what}, so all scores are objective.missing_end_of_text and there is no training signal; {fix}")
    _log.warning(
        "%s; steps whose scores are all objective.missing_end_of_text have no training signal; use more prompts, or %s", what, fix
    )


def expected_endings(probabilities: Tensor) -> float:
    """Return the expected number of B responses that end, given the probabilities of end-of-text at their positions (B, R)."""
    return float((1 - (1 - probabilities).prod(dim=1)).sum())


def _check_reward(objective: ReinforcementLearning, rollout: Rollout, scores: Tensor) -> None:
    if objective.settings.missing_end_of_text is not None:
        checked = rollout.ended.nonzero().squeeze(-1).tolist()[:CHECKED_ROWS]
    else:
        checked = list(range(min(CHECKED_ROWS, len(rollout.texts))))
    assert objective.reward is not None
    for row in checked:
        alone = float(objective.score(objective.reward, [rollout.prompts[row]], [rollout.texts[row]]))
        together = float(scores[row])
        if abs(alone - together) > 1e-3 * max(1.0, abs(together)):
            raise _failure(
                f"the reward scores a response {together:.4g} in a batch and {alone:.4g} alone; a score must depend only on the "
                "prompt and the response"
            )


def _tolerance(model: Model, clip: float) -> float:
    """Return the tolerance of log-probabilities in nats: larger for 16-bit products, but small enough that no ratio is clipped."""
    weight = next(model.parameters())
    is_16_bit = torch.is_autocast_enabled(weight.device.type) or weight.dtype.itemsize < 4
    return min(0.25, clip) if is_16_bit else 1e-3


def _failure(what: str) -> GptkitError:
    return GptkitError(f"objective.sanity_checks: {what} (objective.sanity_checks=false skips this check)")
