"""Detect reward hacking and other collapses of reinforcement learning from metrics on held-out prompts, and warn during the run.

See "Scaling Laws for Reward Model Overoptimization". Other signs are responses that grow, shrink or do not end, and a policy far
from its reference.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback

from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.diagnostics import Diagnostic
from gptkit.training.reporting.metrics_csv import read_metrics

LARGEST_KL = 50.0
"""Nats per response beyond which hardly anything of the reference is left: our own mark."""

LONGER, SHORTER = 2.0, 1 / 3
"""Mean length, relative to the first validation's, at which it has drifted: our own marks."""


ENDLESS_SHARE = 0.98
"""Share of responses without an end from which on hardly anything but one and the same score is given: our own mark."""


def diagnose_collapse(curves: Curves, unended: float | None = None) -> list[Diagnostic]:
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
    diagnostics = (
        _diagnose_exploited_reward(curves),
        _diagnose_endless_responses(curves, unended),
        _diagnose_length_drift(curves),
        _diagnose_divergence(float(kl[-1])),
    )
    problems = [diagnostic for diagnostic in diagnostics if diagnostic is not None]
    words = f"On held-out prompts the score went from {score[0]:.3g} to {score[-1]:.3g}, {kl[-1]:.3g} nats per response away."
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
        f"Score {score[best]:.3g} to {score[-1]:.3g}, independent judge {judge[best]:.3g} to {judge[-1]:.3g}: the policy has found "
        "what the reward is blind to. Stop earlier, raise objective.kl_coef, or train the reward on such responses.",
    )


def _diagnose_endless_responses(curves: Curves, unended: float | None) -> Diagnostic | None:
    _, missing = curves.pair("val/missing_end_of_text")
    if unended is None or not len(missing) or missing[-1] < ENDLESS_SHARE:
        return None
    return Diagnostic(
        "bad",
        "Responses do not end",
        f"{missing[-1]:.0%} of those to held-out prompts, which all score objective.missing_end_of_text={unended:g} whatever they "
        "say: nothing can be learned. Start from a model that learned to end (objective=sft), raise objective.max_new_tokens, or "
        "set objective.missing_end_of_text=null.",
    )


def _diagnose_length_drift(curves: Curves) -> Diagnostic | None:
    _, length = curves.pair("val/length")
    if len(length) < 2 or SHORTER < length[-1] / max(length[0], 1e-9) < LONGER:
        return None
    return Diagnostic(
        "note",
        "The length of responses has drifted",
        f"From {length[0]:.1f} to {length[-1]:.1f} tokens. Look whether the reward pays for length, and at "
        "objective.missing_end_of_text.",
    )


def _diagnose_divergence(kl: float) -> Diagnostic | None:
    if kl <= LARGEST_KL:
        return None
    return Diagnostic(
        "bad",
        "The policy has left its reference",
        f"{kl:.3g} nats per response. Raise objective.kl_coef, set objective.kl_target, or lower optimizer.lr.",
    )


_log = logging.getLogger("gptkit")


class RewardHackingWarning(Callback):
    """Warns of each known collapse once in the life of a run, at the first validation that shows it. See `collapse_verdicts`."""

    def __init__(self, folder: Path, unended: float | None = None) -> None:
        """Args:
        folder: of the run.
        unended: the score of every response that does not end, if there is one.
        """
        self.folder = folder
        self.unended = unended
        self._validations: list[dict[str, float]] = []
        self._reported: set[str] = set()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """What the run had been told of before it was stopped is not told again."""
        columns = read_metrics(self.folder)
        names = [name for name in columns if name == "tokens" or name.startswith("val/")]
        for number, loss in enumerate(columns["val/loss"]):
            if not math.isnan(loss):
                self._new_diagnostics({name: columns[name][number] for name in names})

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        state = pl_module.state
        if not trainer.is_global_zero or state.val_step != state.step:
            return
        for diagnostic in self._new_diagnostics(
            {"tokens": state.tokens, **{f"val/{name}": value for name, value in state.val_metrics.items()}}
        ):
            _log.warning("step %s: %s. %s", state.step, diagnostic.title, diagnostic.text)

    def _new_diagnostics(self, validation: dict[str, float]) -> list[Diagnostic]:
        """What a further validation shows that none before it did."""
        self._validations.append(validation)
        names = dict.fromkeys(name for each in self._validations for name in each)
        curves = Curves({name: np.array([each.get(name, math.nan) for each in self._validations]) for name in names})
        problems = [
            each for each in diagnose_collapse(curves, self.unended) if each.level != "good" and each.title not in self._reported
        ]
        self._reported.update(each.title for each in problems)
        return problems
