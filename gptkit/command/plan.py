"""The command `plan`: computes parameters, operations, memory and time of a run from its settings, without allocating weights."""

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
"""The vocabulary size that is assumed for tokenizers whose size depends on the text, such as `char`."""

USABLE_MEMORY = 0.92
"""Share of a device's memory that a run can use. The rest is for the context, workspaces of kernels and rounding of allocations."""

FORWARD_STAGES = ("generate", "score", "reference")
"""The stages of `ObjectiveConfig.forward_passes` that train nothing."""

ADAPTER_SHARE = 2 / 3
"""The cost of training an adapter, relative to training the model: gradients of the weights of the base are not computed."""

TOKENS_PER_PASS = 16_384
"""Upper limit of tokens per pass of batch.micro=auto on a CPU, where larger passes are not faster."""


def plan(settings: PlanCommand) -> dict[str, Any]:
    """Print the plan to standard output, as a table or a JSON object, and return it as plain values.

    Raises:
        ConfigError: the device is unknown, or the run has no step.
    """
    result = make_plan(settings)
    if settings.format == "json":
        print(json.dumps(result, indent=2))
    else:
        from gptkit.command.plan_table import print_plan

        print_plan(result)
    return result


def make_plan(settings: PlanCommand) -> dict[str, Any]:
    """Return the plan as plain values, in operations, bytes and seconds, as `format=json` prints it."""
    model, attention = settings.model, settings.attention
    known_vocabulary = settings.tokenizer.vocabulary_size()
    vocabulary = (ESTIMATED_VOCABULARY if known_vocabulary is None else known_vocabulary) + settings.objective.added_tokens
    parts = parameters_by_part(model, attention, vocabulary)
    parameters = sum(parts.values())
    forward = forward_flops_per_token(model, attention, vocabulary)
    adapter = _adapter_parameters(settings, vocabulary)
    by_stage = {
        stage: times * forward * (ADAPTER_SHARE if adapter is not None and stage not in FORWARD_STAGES else 1)
        for stage, times in settings.objective.forward_passes().items()
    }
    flops_per_token = sum(by_stage.values())
    tokens_per_step = settings.batch.size * model.context
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
        "adapter": settings.adapter.name if settings.adapter is not None else None,
        "trained_parameters": parameters if adapter is None else adapter,
        "tokens": tokens,
        "tokens_per_step": tokens_per_step,
        "steps": steps,
        "flops_per_token": flops_per_token,
        "flops_per_token_by_stage": by_stage,
        "attention_share": attention_flops_per_token(model, attention) / forward,
        "flops_total": flops_per_token * tokens,
        "pf_days": pf_days(parameters, tokens),
        "pf_days_counted": flops_per_token * tokens / PF_DAY,
    }
    memory = _memory(settings, vocabulary, plan_device, parts, adapter)
    return result | memory | _time(plan_device, settings.devices, tokens, flops_per_token)


def _adapter_parameters(settings: PlanCommand, vocabulary: int) -> int | None:
    """Return the parameters of the run's adapter; None if it has none."""
    if settings.adapter is None:
        return None
    from gptkit.scaling.meta_device_counts import count_adapter_parameters

    return count_adapter_parameters(settings.model, settings.attention, vocabulary, settings.adapter)


def _frozen_models(settings: PlanCommand) -> list[str]:
    """Return the further models that are not trained: with an adapter, the reference is the model itself, but the value network
    that starts from a reward model needs a copy of it."""
    frozen = list(settings.objective.frozen_models)
    if settings.adapter is None:
        return frozen
    starts_from_reward = (
        getattr(settings.reward, "name", "") == "model" and getattr(settings.objective, "value_from", "") != "policy"
    )
    copies = settings.objective.trained_models if starts_from_reward else ()
    return [name for name in frozen if name != "reference"] + list(copies)


def _memory(
    settings: PlanCommand, vocabulary: int, device: PlanDevice, parameters: dict[str, int], adapter: int | None
) -> dict[str, Any]:
    """Return the memory with the micro-batch size of the settings, or the largest that fits."""
    strategy = _strategy(str(settings.trainer.get("strategy", "auto")), settings.devices)
    placement = Placement(settings.devices, strategy, device.on_processor)

    objective = settings.objective
    frozen_models = _frozen_models(settings)
    others = Others(len(objective.trained_models), len(frozen_models), bool(settings.ema), adapter)

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

    device_batch_size = settings.batch.size if strategy == "tp" else -(-settings.batch.size // settings.devices)
    if isinstance(settings.batch.micro, int):
        micro = min(settings.batch.micro, device_batch_size)
    else:
        most = max(1, TOKENS_PER_PASS // settings.model.context) if device.on_processor else device_batch_size
        micro = min(device_batch_size, most)
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
        "frozen_models": frozen_models,
        "memory_per_device_bytes": by_part | {"total": sum(by_part.values())},
        "device_memory_bytes": round(device.memory_bytes),
        "fits": fits(micro),
    }


def _strategy(name: str, devices: int) -> str:
    """Return the strategy of the estimate. Strategies without a formula count as ddp, with a whole copy on each device."""
    if devices == 1:
        return "single"
    return name if name in ("fsdp2", "tp") else "ddp"


def _time(device: PlanDevice, devices: int, tokens: int, flops_per_token: float) -> dict[str, Any]:
    rate = None if device.peak_flops is None else device.mfu * device.peak_flops * devices / flops_per_token
    return {
        "peak_flops_per_device": device.peak_flops,
        "peak_source": device.peak_source,
        "mfu_assumed": device.mfu,
        "tokens_per_second": rate,
        "time_seconds": None if rate is None else tokens / rate,
    }
