"""Diagnoses whether the speed and the training of a run look normal, for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptkit.page.numbers import format_count
from gptkit.training.reporting.curves import Curves, smooth
from gptkit.training.reporting.environment import Environment


@dataclass(frozen=True)
class Diagnostic:
    """One finding of the report. `level` is good, note (worth knowing) or bad (a problem)."""

    level: str
    title: str
    text: str


PUBLISHED = "GPT-3 21%, Gopher 33%, Megatron-Turing 530B 30%, PaLM 46%"
"""Utilisation of large published runs: "PaLM: Scaling Language Modeling with Pathways", table 3."""

LARGEST_NORMAL_LOSS = 1e3
"""Losses above this indicate that nothing is learned: losses of scores, ranks and classes are a few units."""

RISE_SHARE = 0.1
"""The loss rose if the mean of the last losses exceeds the first one by more than this share of it."""

SECONDS_PREFIX = "seconds_"
"""Prefix of the names in summary.json that hold the seconds of each phase of a reinforcement learning step."""

# Usual utilisation of one accelerator, by parameters. Kernel launches and memory bandwidth limit small models. Our own estimates.
_TYPICAL_GPU = ((20e6, 0.02, 0.15), (200e6, 0.15, 0.45), (math.inf, 0.30, 0.55))

# Usual utilisation of CPUs, by parameters; for steps so small that launching operations dominates, by the operations of a step.
# The ranges span the measurements of docs/benchmarks.md ("CPU utilization"), bf16 and fp32, with the lowest halved, because cores
# wait for one another in small products. Larger models and other devices were not measured, and are not judged.
_TYPICAL_CPU = ((200e3, 0.035, 0.35), (2e6, 0.06, 0.7), (20e6, 0.12, 0.8), (200e6, 0.3, 0.8))
_SMALL_STEPS_CPU = ((1e8, 0.003, 0.35), (1e9, 0.02, 0.35))


def diagnose_speed(summary: Mapping[str, Any], environment: Environment | None) -> Diagnostic:
    """Diagnose whether the training speed is normal for the model and the device."""
    phase_seconds = {
        name.removeprefix(SECONDS_PREFIX): float(value)
        for name, value in summary.items()
        if name.startswith(SECONDS_PREFIX) and value
    }
    if phase_seconds:
        return _diagnose_phases(phase_seconds)
    rate, mfu = summary.get("tokens_per_second"), summary.get("mfu")
    if not rate:
        return Diagnostic("note", "Not measured yet", "The run is too short, or has not reached its first validation.")
    if environment is None or mfu is None or environment.peak_flops is None or environment.flops_per_token is None:
        device = environment.device if environment else "this device"
        return Diagnostic(
            "note", f"{rate:,.0f} tokens per second", f"The peak of {device} is unknown, so this speed cannot be compared with it."
        )
    on_cpu = "measured" in environment.peak_source
    usual_range = _usual_range(summary, environment, on_cpu)
    flops_per_second = rate * environment.flops_per_token
    per_device = f" on each of {environment.devices} devices" if environment.devices > 1 else ""
    facts = (
        f"{rate:,.0f} tokens per second of {format_operations(environment.flops_per_token)}FLOP each are "
        f"{format_operations(flops_per_second)}FLOP/s: "
        f"{mfu:.1%} of {format_operations(environment.peak_flops)}FLOP/s{per_device} ({environment.peak_source})."
    )
    if usual_range is None:
        return Diagnostic(
            "note",
            f"{rate:,.0f} tokens per second",
            f"{facts} What is usual for such a model on this device has not been measured.",
        )
    subject, low, high = usual_range
    facts += f" {subject} usually reaches {low:.1%} to {high:.0%} on such a device" + (
        "." if on_cpu else f"; large published runs: {PUBLISHED}."
    )
    if mfu > 1.1 and on_cpu:
        return Diagnostic(
            "note", "Faster than the measured peak", f"{facts} The machine was probably busy when the peak was measured."
        )
    if mfu >= low:
        return Diagnostic("good", "Yes, this speed is normal", facts)
    return Diagnostic("bad" if mfu < low / 2 else "note", "Slower than usual", f"{facts} {_advice(on_cpu, environment)}")


def _usual_range(summary: Mapping[str, Any], environment: Environment, on_cpu: bool) -> tuple[str, float, float] | None:
    """Return the class of the run and its lowest and highest usual utilisation; None if no such run was measured."""
    steps, tokens = summary.get("steps") or 0, summary.get("tokens") or 0
    flops_per_step = (environment.flops_per_token or 0) * tokens / steps if steps else 0
    for limit, low, high in _SMALL_STEPS_CPU if on_cpu and flops_per_step else ():
        if flops_per_step < limit:
            return f"A step of {format_operations(flops_per_step)}FLOP", low, high
    for limit, low, high in _TYPICAL_CPU if on_cpu else _TYPICAL_GPU:
        if environment.parameters < limit:
            return f"A model of {format_count(environment.parameters)} parameters", low, high
    return None


def _diagnose_phases(seconds: Mapping[str, float]) -> Diagnostic:
    """Report how a step that also generates and scores responses spends its time; utilisation does not apply to it."""
    total = sum(seconds.values())
    shares = ", ".join(f"{name} {value / total:.0%}" for name, value in seconds.items())
    return Diagnostic("note", f"A step takes {total:.2g} s", f"Of the last step's time: {shares}.")


def _advice(on_cpu: bool, environment: Environment) -> str:
    if on_cpu:
        return (
            "Look for other programs on the machine, and for more threads than cores (OMP_NUM_THREADS); try a larger batch.micro."
        )
    precision = " precision is 32-bit: try trainer.precision=bf16-mixed;" if environment.precision.startswith("32") else ""
    return f"Try compile=true and a larger batch.micro;{precision} look for other programs on the device."


def diagnose_training(
    curves: Curves, summary: Mapping[str, Any], settings: Mapping[str, Any], guessing: float | None
) -> list[Diagnostic]:
    """Diagnose whether training looks normal.

    Args:
        curves: the logged metrics of the run.
        summary: the content of summary.json.
        settings: the run's settings as plain values.
        guessing: the loss of uniform probabilities over the vocabulary, ln V; None for a loss that is not over tokens.
    """
    is_rl = _is_reinforcement_learning(curves, summary)
    diagnostics = [
        _diagnose_finite_values(curves),
        None if is_rl else _diagnose_loss(curves, guessing, settings),
        None if is_rl else _diagnose_validation(curves, guessing),
        _diagnose_gradient(curves, settings),
        _diagnose_end(curves, summary),
    ]
    return [diagnostic for diagnostic in diagnostics if diagnostic is not None]


def _diagnose_finite_values(curves: Curves) -> Diagnostic | None:
    loss, steps = curves.columns.get("train/loss", np.empty(0)), curves.columns.get("step", np.empty(0))
    norm = curves.columns.get("grad_norm", np.empty(0))
    is_training_row = np.isfinite(curves.columns.get("lr", np.empty(0)))  # rows of validations have no learning rate
    if not is_training_row.any():
        return None
    is_invalid = is_training_row & (~np.isfinite(loss) | (~np.isfinite(norm) if len(norm) else False))
    if is_invalid.any():
        step = int(steps[is_invalid][0])
        return Diagnostic(
            "bad",
            "The loss or the gradient is not finite",
            f"First at step {step:,}, in {int(is_invalid.sum()):,} of {int(is_training_row.sum()):,} logged steps. "
            "Lower optimizer.lr, lengthen the warm-up, or use bf16 instead of fp16.",
        )
    return Diagnostic("good", "Every loss and gradient is finite", f"In all {int(is_training_row.sum()):,} logged steps.")


def _is_reinforcement_learning(curves: Curves, summary: Mapping[str, Any]) -> bool:
    """Return whether the run is reinforcement learning, whose loss restarts with every rollout and does not show progress."""
    return bool(len(curves.pair("val/kl")[0])) or any(name.startswith(SECONDS_PREFIX) and value for name, value in summary.items())


def _diagnose_loss(curves: Curves, guessing: float | None, settings: Mapping[str, Any]) -> Diagnostic | None:
    _, loss = curves.pair("train/loss")
    if not len(loss):
        return None
    last_fifth = loss[-max(len(loss) // 5, 1) :]
    quarter = max(len(last_fifth) // 4, 1)
    first, before, last = float(loss[0]), float(last_fifth[:quarter].mean()), float(last_fifth[-quarter:].mean())
    words = f"From {first:.3f} to {last:.3f}" if len(loss) > 1 else f"It is {last:.3f}"
    words += f" nats per token; guessing uniformly among all tokens costs ln V = {guessing:.3f}." if guessing is not None else "."
    fix = "Lower optimizer.lr, lengthen the warm-up, and look at the data."
    if last > (LARGEST_NORMAL_LOSS if guessing is None else 1.2 * guessing):
        problem = "The loss is worse than guessing" if guessing is not None else "The loss is far too large"
        if guessing is not None and first > 1.2 * guessing and not settings.get("init_from"):
            problem = "The first losses are worse than guessing, and so are the last"
        return Diagnostic("bad", problem, f"{words} {fix}")
    if guessing is not None and first > 1.2 * guessing and not settings.get("init_from"):
        return Diagnostic(
            "bad",
            "The first losses are worse than guessing",
            f"{words} The initial weights are too large, or optimizer.lr is too high.",
        )
    if len(loss) < 2:
        return None
    if last - first > RISE_SHARE * max(abs(first), 0.1):
        return Diagnostic("bad", "The loss rose", f"{words} {fix}")
    if guessing is None:
        return Diagnostic("good", "The loss fell", words) if last < first else Diagnostic("note", "The loss did not fall", words)
    if last > guessing - 0.05:
        return Diagnostic("bad", "The model is not better than guessing", f"{words} Look at optimizer.lr, and at the data.")
    if last >= first:
        return Diagnostic("note", "The loss did not fall", words)
    more = " It was still falling at the end: more tokens would help." if before - last > 0.01 * last and quarter > 1 else ""
    return Diagnostic("good", "The loss fell well below guessing", f"{words}{more}")


def _diagnose_validation(curves: Curves, guessing: float | None) -> Diagnostic | None:
    val_tokens, val = curves.pair("val/loss")
    tokens, train = curves.pair("train/loss")
    if not len(val) or not len(train):
        return None
    best = int(np.argmin(val))
    train_loss = float(np.interp(val_tokens[-1], tokens, smooth(train)))
    words = f"Validation {val[-1]:.3f}, training {train_loss:.3f}."
    if val[-1] > (LARGEST_NORMAL_LOSS if guessing is None else 1.2 * guessing):
        problem = "far too large" if guessing is None else f"worse than guessing, which costs {guessing:.3f}"
        return Diagnostic(
            "bad", "The validation loss is too large", f"{words} It is {problem}. Lower optimizer.lr, and look at the data."
        )
    if best < len(val) - 1 and val[-1] > 1.02 * val[best]:
        return Diagnostic(
            "note",
            "The validation loss has turned upward",
            f"{words} Its minimum was {val[best]:.3f} at {format_count(val_tokens[best])} tokens; that checkpoint is kept and "
            "loaded. More data, a smaller model or dropout would help.",
        )
    if val[-1] - train_loss > 0.15 * abs(train_loss):
        return Diagnostic("note", "Validation is well above training", f"{words} The model begins to memorize its training text.")
    return Diagnostic("good", "Validation follows training", words)


def _diagnose_gradient(curves: Curves, settings: Mapping[str, Any]) -> Diagnostic | None:
    _, norm = curves.pair("grad_norm")
    if len(norm) < 2:
        return None
    clip = float((settings.get("optimizer") or {}).get("clip") or 0)
    spikes = spike_count(norm)
    words = f"Median norm {float(np.median(norm)):.3g}, largest {float(norm.max()):.3g}."
    if clip:
        words += f" {float((norm > clip).mean()):.0%} of the logged steps were clipped at {clip:g}."
    if spikes > max(2, 0.02 * len(norm)):
        return Diagnostic(
            "note", f"{spikes} gradient spikes", f"{words} A lower optimizer.lr or a longer warm-up makes training more stable."
        )
    return Diagnostic("good", "The gradient is stable", f"{words} {spikes or 'No'} spike{'' if spikes == 1 else 's'}.")


def spike_count(norm: Any) -> int:
    """Return how many gradient norms exceed five times the median of the twenty before them."""
    return sum(float(norm[index]) > 5 * float(np.median(norm[max(0, index - 20) : index])) for index in range(5, len(norm)))


def _diagnose_end(curves: Curves, summary: Mapping[str, Any]) -> Diagnostic | None:
    if not summary or summary.get("finished"):
        return None
    return Diagnostic(
        "note",
        "The run has not reached its end",
        f"It is at step {int(summary.get('steps', 0)):,}. gptkit train hydra.run.dir=<this folder> continues it from its last "
        "checkpoint.",
    )


def format_operations(number: float) -> str:
    """Format a number of operations with its SI prefix: 117 G."""
    for limit, unit in ((1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.3g} "
