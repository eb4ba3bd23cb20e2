"""A look at the first rollout of a run: do sampling, scoring and training agree with one another?

Each check stands for mistakes that let a run go on and learn nothing, or the wrong thing. Nothing is changed by looking.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.errors import GptkitError
from gptkit.generation.responses import draws
from gptkit.generation.sampling import candidates
from gptkit.model.evaluation_mode import without_dropout
from gptkit.objective.base import mean_over_items
from gptkit.objective.precision import in_full
from gptkit.objective.rl.policy_loss import ratios
from gptkit.objective.rl.rollout import gathered, log_probabilities, pieces, rows_of, spots, spread, states

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.objective.rl.base import Reinforcement, Rollout
    from gptkit.objective.rollout_objective import Minibatch

_log = logging.getLogger("gptkit")

LOOKED_AT = 8
"""Episodes that are read again, alone."""

REACHABLE = 1e-3
"""Endings to be expected of a step, below which it takes a thousand steps, as many as most runs have, and more to see one."""

ROUNDING = 0.02
"""Probability by which logits computed in one pass may move a token's place in the running sum that is drawn from: bfloat16 moves
it by 0.006 at most in a GPT of a million parameters, and a temperature of 0.95 for 1 moves a quarter of the tokens further."""

AGREEING = 0.95
"""Share of the drawn tokens that must be where they were, but for rounding."""


def examine(
    objective: Reinforcement,
    model: Model,
    written: Rollout,
    scores: Tensor,
    *,
    seed: int,
    places: Sequence[tuple[int, int]],
) -> None:
    """Check a rollout.

    Args:
        objective: whose rollout it is, before any update of this process.
        model: the policy.
        written: its episodes, with `old_log_probs` and `reference_log_probs`.
        scores: (B,) theirs.
        seed: with which they were drawn.
        places: item and sample of each.

    Raises:
        GptkitError: what is wrong, in one line.
    """
    batch = written.batch
    few = rows_of(batch, slice(0, LOOKED_AT))
    tolerance = _tolerance(model, objective.settings.clip)
    _read_again(model, few, objective.settings.temperature, objective.settings.clip, tolerance)
    _alone(objective, model, few, tolerance)
    if objective.fresh:
        _same_as_reference(batch, tolerance)
    _drawn_again(objective, model, written, seed, places[:LOOKED_AT], tolerance)
    if objective.fresh and objective.settings.missing_end_of_text is not None:
        _can_end(objective, model, written)
    _scored_alone(objective, written, scores)


@torch.no_grad()
def examine_loss(objective: Reinforcement, model: Model, minibatch: Minibatch) -> None:
    """Check the first minibatch before any update: the loss that is learned from must find that nothing has moved.

    Raises:
        GptkitError: what is wrong, in one line.
    """
    episodes = [batch for batch in minibatch.values() if "old_log_probs" in batch]
    if not episodes:
        raise _ill("the first minibatch has no episodes with `old_log_probs`, so nothing can be said of its ratios")
    few = rows_of(episodes[0], slice(0, LOOKED_AT))
    _, measured = objective.loss(model, few)
    missing = [name for name in ("approximate_kl", "clip_fraction") if name not in measured]
    if missing:
        raise _ill(f"the loss does not measure {' and '.join(missing)}, which must be 0 before any update")
    shares = [mean_over_items(measured[name], len(few["lengths"])) for name in ("approximate_kl", "clip_fraction")]
    kl, clipped = (float(share.total / share.count) for share in shares if share is not None)
    if kl > _tolerance(model, objective.settings.clip) ** 2 / 2 or clipped > 0:
        raise _ill(
            f"before any update the loss finds that the policy has moved: approximate_kl is {kl:.2g} and clip_fraction "
            f"{clipped:.2g}, and both must be 0; the loss reads other places or another temperature than the rollout did"
        )


def _read_again(model: Model, few: dict[str, Tensor], temperature: float, clip: float, tolerance: float) -> None:
    """The first minibatch's ratios must be 1: no update was made."""
    with without_dropout(model), torch.no_grad():  # as the loss reads them
        now, _ = log_probabilities(model, few, temperature)
    old = torch.cat([row[:length] for row, length in zip(few["old_log_probs"], few["lengths"].tolist(), strict=True)])
    ratio = ratios(now, old)
    worst = float((ratio - 1).abs().max())
    if worst > tolerance:
        clipped = float(((ratio - 1).abs() > clip).float().mean())
        raise _ill(
            f"before any update the ratio of new to old probabilities must be 1, and one is off by {worst:.2g} "
            f"({clipped:.0%} are clipped): two readings of the same responses differ; "
            "look for dropout or other randomness in the model"
        )


def _alone(objective: Reinforcement, model: Model, few: dict[str, Tensor], tolerance: float) -> None:
    for row in range(len(few["lengths"])):
        one = rows_of(few, slice(row, row + 1))
        length = int(one["prompt_lengths"] + one["lengths"])
        alone = objective.log_probs(model, {**one, "tokens": one["tokens"][:, :length]})[0]
        worst = float((alone - few["old_log_probs"][row, : len(alone)]).abs().max())
        if worst > tolerance:
            raise _ill(
                f"log-probabilities of a response change by {worst:.2g} when it is read without padding and company; "
                "the model or its attention mixes rows, or sees what comes later"
            )


def _same_as_reference(batch: dict[str, Tensor], tolerance: float) -> None:
    worst = float((batch["old_log_probs"] - batch["reference_log_probs"]).abs().max())
    if worst > tolerance:
        raise _ill(
            f"the policy has not moved yet, and differs from its reference by {worst:.2g} nats at a token; it must be a copy"
        )


@torch.no_grad()
def _drawn_again(
    objective: Reinforcement,
    model: Model,
    written: Rollout,
    seed: int,
    places: Sequence[tuple[int, int]],
    tolerance: float,
) -> None:
    """With the same random numbers, training's forward pass must draw what was drawn token by token, but for rounding, and the
    log-probabilities that are learned from must be those of that distribution."""
    few = rows_of(written.batch, slice(0, len(places)))
    rows, at = spots(few)
    columns = at - few["prompt_lengths"][rows]
    numbers = draws(seed, places, objective.new_tokens).to(at.device)[rows, columns]
    logits = in_full(model.logits(states(model, few)))
    share = drawn_alike(logits, few["tokens"][rows, at], numbers, temperature=objective.settings.temperature)
    if share < AGREEING:
        raise _ill(
            f"only {share:.0%} of the tokens are drawn again from the distribution that is learned from; sampling and "
            "training do not use the same logits or the same temperature"
        )
    drawn_with = (
        (logits / objective.settings.temperature).log_softmax(dim=-1).gather(-1, few["tokens"][rows, at][:, None]).squeeze(-1)
    )
    worst = float((drawn_with - gathered(few["old_log_probs"], few["lengths"])).abs().max())
    if worst > tolerance:
        raise _ill(
            f"the log-probabilities that are learned from differ by {worst:.2g} nats at a token from those of the distribution "
            "that was drawn from; they are of another place or another temperature"
        )


def drawn_alike(logits: Tensor, tokens: Tensor, numbers: Tensor, *, temperature: float) -> float:
    """The share of tokens whose random number draws them from these logits, or misses them by a probability of `ROUNDING` at most.

    Args:
        logits: (N, V).
        tokens: (N,) int64, as they were drawn.
        numbers: (N,) float64 in [0, 1), with which they were.
        temperature: divides the logits.
    """
    chances, _ = candidates(logits, temperature=temperature)
    above = chances.cumsum(dim=-1, dtype=torch.float64)  # where each token's piece of [0, 1) ends
    ends = (above / above[:, -1:]).gather(-1, tokens[:, None]).squeeze(-1)
    begins = ends - chances.gather(-1, tokens[:, None]).squeeze(-1)
    return float((torch.maximum(begins - numbers, numbers - ends) <= ROUNDING).double().mean())


@torch.no_grad()
def _can_end(objective: Reinforcement, model: Model, written: Rollout) -> None:
    if bool(written.ended.any()):
        return
    expected = 0.0
    for piece in pieces(written.batch):
        logits = in_full(model.logits(states(model, piece))) / objective.settings.temperature
        ends = logits.softmax(dim=-1)[:, objective.end_of_text].double()
        expected += endings(spread(ends, piece["lengths"], int(piece["lengths"].max())))
    if expected >= 1:
        return
    what = (
        f"none of {len(written.texts)} responses ended within objective.max_new_tokens={objective.settings.max_new_tokens}, and "
        f"{expected:.1g} endings are to be expected of such a step"
    )
    mend = "start from a model that learned to end (objective=sft), or set objective.missing_end_of_text=null"
    if expected < REACHABLE:
        raise _ill(f"{what}, so all score objective.missing_end_of_text and nothing can be learned: {mend}")
    _log.warning("%s: steps in which all score objective.missing_end_of_text teach nothing; take more prompts, or %s", what, mend)


def endings(chances: Tensor) -> float:
    """How many of B responses are to be expected to end, with these probabilities of end-of-text at their places (B, R)."""
    return float((1 - (1 - chances).prod(dim=1)).sum())


def _scored_alone(objective: Reinforcement, written: Rollout, scores: Tensor) -> None:
    if objective.settings.missing_end_of_text is not None:
        judged = written.ended.nonzero().squeeze(-1).tolist()[:LOOKED_AT]
    else:
        judged = list(range(min(LOOKED_AT, len(written.texts))))
    assert objective.reward is not None
    for row in judged:
        alone = float(objective.opinion(objective.reward, [written.prompts[row]], [written.texts[row]]))
        together = float(scores[row])
        if abs(alone - together) > 1e-3 * max(1.0, abs(together)):
            raise _ill(
                f"the reward scores a response {together:.4g} among others and {alone:.4g} alone; a score must depend on nothing "
                "but its prompt and its response"
            )


def _tolerance(model: Model, clip: float) -> float:
    """In nats: what rounding does, which is coarse where products are in 16 bits; never so much that a ratio is clipped."""
    weight = next(model.parameters())
    coarse = torch.is_autocast_enabled(weight.device.type) or weight.dtype.itemsize < 4
    return min(0.25, clip) if coarse else 1e-3


def _ill(what: str) -> GptkitError:
    return GptkitError(f"objective.doctor: {what} (objective.doctor=false goes on all the same)")
