"""Detects reward hacking and other collapses of reinforcement learning from metrics on held-out prompts.

See "Scaling Laws for Reward Model Overoptimization". Other signs are responses that grow, shrink or do not end, and a policy far
from its reference.
"""

from __future__ import annotations

from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.diagnostics import Diagnostic

LARGEST_KL = 50.0
"""Threshold in nats per response, above which the policy has little in common with its reference. Our own choice."""

LONGER, SHORTER = 2.0, 1 / 3
"""Thresholds for drift of the mean response length, relative to the first validation. Our own choice."""


ENDLESS_SHARE = 0.98
"""Threshold for the share of responses without end-of-text, above which nearly all responses get the same score. Our own choice."""


def diagnose_collapse(curves: Curves, missing_end_score: float | None = None) -> list[Diagnostic]:
    """Return a diagnostic for each collapse that the validations show, or one of level good if there is none.

    Returns an empty list before the second validation.

    Args:
        curves: curves of `val/score`, `val/kl`, `val/length` and `val/missing_end_of_text`, and of `val/judge` if the run has an
            independent judge.
        missing_end_score: the score of every response without end-of-text; None: the reward scores such responses.
    """
    _, score = curves.pair("val/score")
    _, kl = curves.pair("val/kl")
    if len(score) < 2 or not len(kl):
        return []
    diagnostics = (
        _diagnose_exploited_reward(curves),
        _diagnose_endless_responses(curves, missing_end_score),
        _diagnose_length_drift(curves),
        _diagnose_divergence(float(kl[-1])),
    )
    problems = [diagnostic for diagnostic in diagnostics if diagnostic is not None]
    words = (
        f"On held-out prompts the score went from {score[0]:.3g} to {score[-1]:.3g}, with a KL divergence of {kl[-1]:.3g} nats per "
        "response from the reference."
    )
    return problems or [Diagnostic("good", "No sign of a collapse", words)]


def _diagnose_exploited_reward(curves: Curves) -> Diagnostic | None:
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
        f"Score {score[best]:.3g} to {score[-1]:.3g}, independent judge {judge[best]:.3g} to {judge[-1]:.3g}: the policy exploits "
        "errors of the reward. Stop earlier, raise objective.kl_coef, or train the reward on such responses.",
    )


def _diagnose_endless_responses(curves: Curves, missing_end_score: float | None) -> Diagnostic | None:
    _, missing = curves.pair("val/missing_end_of_text")
    if missing_end_score is None or not len(missing) or missing[-1] < ENDLESS_SHARE:
        return None
    return Diagnostic(
        "bad",
        "Responses do not end",
        f"{missing[-1]:.0%} of the responses to held-out prompts get the score objective.missing_end_of_text="
        f"{missing_end_score:g} regardless of their text, so the policy cannot learn. Start from a model that ends its responses "
        "(objective=sft), raise objective.max_new_tokens, or set objective.missing_end_of_text=null.",
    )


def _diagnose_length_drift(curves: Curves) -> Diagnostic | None:
    _, length = curves.pair("val/length")
    if len(length) < 2 or SHORTER < length[-1] / max(length[0], 1e-9) < LONGER:
        return None
    return Diagnostic(
        "note",
        "The length of responses has drifted",
        f"From {length[0]:.1f} to {length[-1]:.1f} tokens. Check whether the reward depends on the length, and "
        "objective.missing_end_of_text.",
    )


def _diagnose_divergence(kl: float) -> Diagnostic | None:
    if kl <= LARGEST_KL:
        return None
    return Diagnostic(
        "bad",
        "The policy is far from its reference",
        f"The KL divergence is {kl:.3g} nats per response. Raise objective.kl_coef, set objective.kl_target, or lower "
        "optimizer.lr.",
    )
