"""How reinforcement goes wrong while its reward rises: what held-out prompts show of the known collapses.

What is looked for: the reward is found out ("Scaling Laws for Reward Model Overoptimization"), responses become ever longer or
shorter or do not end, or the policy leaves its reference altogether.
"""

from __future__ import annotations

from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.diagnostics import Diagnostic

FAR = 50.0
"""Nats per response beyond which hardly anything of the reference is left: our own mark."""

LONGER, SHORTER = 2.0, 1 / 3
"""Mean length, relative to the first validation's, at which it has drifted: our own marks."""


ENDLESS = 0.98
"""Share of responses without an end from which on hardly anything but one and the same score is given: our own mark."""


def collapse_verdicts(curves: Curves, unended: float | None = None) -> list[Diagnostic]:
    """A verdict for each collapse that the validations show, one that says so where they show none, and none before there are two.

    Args:
        curves: with `val/score`, `val/kl`, `val/length` and `val/missing_end_of_text`; `val/judge` where the run has an independent
            judge.
        unended: the score of every response that does not end; None: the reward judges it.
    """
    _, score = curves.pair("val/score")
    _, kl = curves.pair("val/kl")
    if len(score) < 2 or not len(kl):
        return []
    looked = (_found_out(curves), _endless(curves, unended), _length(curves), _far(float(kl[-1])))
    found = [verdict for verdict in looked if verdict is not None]
    words = f"On held-out prompts the score went from {score[0]:.3g} to {score[-1]:.3g}, {kl[-1]:.3g} nats per response away."
    return found or [Diagnostic("good", "No sign of a collapse", words)]


def _found_out(curves: Curves) -> Diagnostic | None:
    _, score = curves.pair("val/score")
    _, judge = curves.pair("val/judge")
    if len(judge) < 2 or len(judge) != len(score):
        return None
    best = int(judge.argmax())
    if best == len(judge) - 1 or score[-1] <= score[best] or judge[best] - judge[-1] <= 0.25 * max(judge[best] - judge.min(), 1e-9):
        return None
    return Diagnostic(
        "bad",
        "The reward rises while the judge falls",
        f"Score {score[best]:.3g} to {score[-1]:.3g}, independent judge {judge[best]:.3g} to {judge[-1]:.3g}: the policy has found "
        "what the reward is blind to. Stop earlier, raise objective.kl_coef, or train the reward on such responses.",
    )


def _endless(curves: Curves, unended: float | None) -> Diagnostic | None:
    _, missing = curves.pair("val/missing_end_of_text")
    if unended is None or not len(missing) or missing[-1] < ENDLESS:
        return None
    return Diagnostic(
        "bad",
        "Responses do not end",
        f"{missing[-1]:.0%} of those to held-out prompts, which all score objective.missing_end_of_text={unended:g} whatever they "
        "say: nothing can be learned. Start from a model that learned to end (objective=sft), raise objective.max_new_tokens, or "
        "set objective.missing_end_of_text=null.",
    )


def _length(curves: Curves) -> Diagnostic | None:
    _, length = curves.pair("val/length")
    if len(length) < 2 or SHORTER < length[-1] / max(length[0], 1e-9) < LONGER:
        return None
    return Diagnostic(
        "note",
        "The length of responses has drifted",
        f"From {length[0]:.1f} to {length[-1]:.1f} tokens. Look whether the reward pays for length, and at "
        "objective.missing_end_of_text.",
    )


def _far(kl: float) -> Diagnostic | None:
    if kl <= FAR:
        return None
    return Diagnostic(
        "bad",
        "The policy has left its reference",
        f"{kl:.3g} nats per response. Raise objective.kl_coef, set objective.kl_target, or lower optimizer.lr.",
    )
