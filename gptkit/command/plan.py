"""The verb `plan`: parameters, operations, memory and time of a run, from its settings; nothing is allocated or read."""

from __future__ import annotations

import json
from typing import Any

from gptkit.command import PlanCommand
from gptkit.command.plan_device import PlanDevice, resolve_device
from gptkit.scaling.compute import PF_DAY, attention_flops_per_token, forward_flops_per_token, parameters_by_part, pf_days
from gptkit.scaling.memory_estimate import Others, Placement, Precision, memory_per_device
from gptkit.training.duration import run_length
from gptkit.training.trainer_arguments import precision_name

ESTIMATED_VOCABULARY = 256
"""For tokenizers that know their size only when they have read the text, such as `char`."""

USABLE_MEMORY = 0.92
"""Of a device's memory; the rest goes to its own context, the kernels' workspaces and the allocator's rounding."""

TOKENS_PER_PASS = 16_384
"""On a processor, batch.micro=auto takes no more: larger passes are no faster there."""


def plan(settings: PlanCommand) -> dict[str, Any]:
    """Print the plan to standard output, as a table or as one JSON object; gives the same as plain values.

    Raises:
        ConfigError: an unknown device, or a run of no step.
    """
    result = make_plan(settings)
    if settings.format == "json":
        print(json.dumps(result, indent=2))
    else:
        from gptkit.command.plan_table import print_plan

        print_plan(result)
    return result


def make_plan(settings: PlanCommand) -> dict[str, Any]:
    """The plan as plain values: what `format=json` prints. Operations, bytes and seconds."""
    model, attention = settings.model, settings.attention
    known_vocabulary = settings.tokenizer.vocabulary_size()
    vocabulary = (ESTIMATED_VOCABULARY if known_vocabulary is None else known_vocabulary) + settings.objective.added_tokens
    parts = parameters_by_part(model, attention, vocabulary)
    parameters = sum(parts.values())
    forward = forward_flops_per_token(model, attention, vocabulary)
    by_stage = {stage: times * forward for stage, times in settings.objective.forward_passes().items()}
    per_token = sum(by_stage.values())
    per_step = settings.batch.size * model.context
    steps, tokens = run_length(settings)
    precision = precision_name(settings.trainer.get("precision") or "auto")
    plan_device = resolve_device(settings.device, precision, settings.trainer.get("accelerator", "auto"))
    result: dict[str, Any] = {
        "model": model.name,
        "attention": attention.name if model.attends else None,
        "vocabulary": vocabulary,
        "vocabulary_estimated": known_vocabulary is None,
        "parameters": parameters,
        "parameters_by_part": parts,
        "tokens": tokens,
        "tokens_per_step": per_step,
        "steps": steps,
        "flops_per_token": per_token,
        "flops_per_token_by_stage": by_stage,
        "attention_share": attention_flops_per_token(model, attention) / forward,
        "flops_total": per_token * tokens,
        "pf_days": pf_days(parameters, tokens),
        "pf_days_counted": per_token * tokens / PF_DAY,
    }
    return result | _memory(settings, vocabulary, plan_device, parts) | _time(plan_device, settings.devices, tokens, per_token)


def _memory(settings: PlanCommand, vocabulary: int, device: PlanDevice, parameters: dict[str, int]) -> dict[str, Any]:
    """Memory with the micro-batch that is asked for, or the largest that fits."""
    strategy = _strategy(str(settings.trainer.get("strategy", "auto")), settings.devices)
    placement = Placement(settings.devices, strategy, device.on_processor)

    objective = settings.objective
    others = Others(len(objective.trained_models), len(objective.frozen_models), bool(settings.ema))

    def memory_of(sequences: int) -> dict[str, float]:
        return memory_per_device(
            settings.model,
            settings.attention,
            settings.optimizer,
            vocabulary,
            sequences=sequences,
            precision=Precision.of(device.precision),
            placement=placement,
            others=others,
            parts=parameters,
        )

    def fits(sequences: int) -> bool:
        return sum(memory_of(sequences).values()) <= USABLE_MEMORY * device.memory_bytes

    share = settings.batch.size if strategy == "tp" else -(-settings.batch.size // settings.devices)
    if isinstance(settings.batch.micro, int):
        micro = min(settings.batch.micro, share)
    else:
        micro = min(share, max(1, TOKENS_PER_PASS // settings.model.context)) if device.on_processor else share
        while micro > 1 and not fits(micro):
            micro = -(-micro // 2)
    by_part = {part: round(count) for part, count in memory_of(micro).items()}
    return {
        "device": device.name,
        "devices": settings.devices,
        "strategy": strategy,
        "precision": device.precision,
        "micro": micro,
        "trained_models": list(objective.trained_models),
        "frozen_models": list(objective.frozen_models),
        "memory_per_device_bytes": by_part | {"total": sum(by_part.values())},
        "device_memory_bytes": round(device.memory_bytes),
        "fits": fits(micro),
    }


def _strategy(name: str, devices: int) -> str:
    """How the devices share the work; strategies that the kit does not know are taken to hold whole copies, as ddp does."""
    if devices == 1:
        return "single"
    return name if name in ("fsdp2", "tp") else "ddp"


def _time(device: PlanDevice, devices: int, tokens: int, per_token: float) -> dict[str, Any]:
    rate = None if device.peak_flops is None else device.mfu * device.peak_flops * devices / per_token
    return {
        "peak_flops_per_device": device.peak_flops,
        "peak_source": device.peak_source,
        "mfu_assumed": device.mfu,
        "tokens_per_second": rate,
        "time_seconds": None if rate is None else tokens / rate,
    }
