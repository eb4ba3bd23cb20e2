"""Prints a plan as a table."""

from __future__ import annotations

import itertools
from typing import Any

from rich.table import Table

from gptkit.terminal import make_console


def print_plan(plan: dict[str, Any]) -> None:
    """Print the result of `gptkit.command.plan.make_plan`."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for rows in (_parameter_rows(plan), _operations_rows(plan), _memory_rows(plan), _time_rows(plan)):
        if table.row_count:
            table.add_row()
        (title, *first), *rest = rows
        table.add_row(f"[bold]{title}[/bold]", *first)
        for label, *cells in rest:
            table.add_row(f"  {label}", *cells)
    make_console(highlight=False).print(table)


def _parameter_rows(plan: dict[str, Any]) -> list[tuple[str, ...]]:
    attention = "no" if plan["attention"] is None else plan["attention"]
    description = f"{plan['model']}, {attention} attention, {plan['vocabulary']:,} tokens"
    if plan["vocabulary_estimated"]:
        description += " (estimated: the tokenizer's size depends on the text)"
    total = plan["parameters"]
    parts = plan["parameters_by_part"].items()
    rows = [("parameters", f"{total:,}", description)]
    if plan["adapter"] is not None:
        trained = plan["trained_parameters"]
        rows.append(("trained", f"{trained:,}", f"{trained / total:.2%}: adapter={plan['adapter']}; the others are frozen"))
    return [*rows, *((part, f"{count:,}", f"{count / total:.1%}") for part, count in parts)]


def _operations_rows(plan: dict[str, Any]) -> list[tuple[str, ...]]:
    by_stage = plan["flops_per_token_by_stage"]
    only_trains = list(by_stage) == ["train"]
    stages = "forward + backward" if only_trains else "all stages"
    rows: list[tuple[str, ...]] = [
        ("operations", format_quantity(plan["flops_total"], "FLOP"), f"counted: {format_pf_days(plan['pf_days_counted'])}"),
        ("per token", format_quantity(plan["flops_per_token"], "FLOP"), f"{stages}; {plan['attention_share']:.1%} scores"),
    ]
    if not only_trains:
        total = plan["flops_per_token"]
        rows += [(f"  {stage}", format_quantity(count, "FLOP"), f"{count / total:.1%}") for stage, count in by_stage.items()]
    rows.append(("tokens", f"{plan['tokens']:,}", f"{plan['steps']:,} steps of {plan['tokens_per_step']:,}"))
    if only_trains:
        rows.append(("by 6 N D", format_pf_days(plan["pf_days"]), "N: all parameters, as in table D.1"))
    return rows


def _memory_rows(plan: dict[str, Any]) -> list[tuple[str, ...]]:
    parts = dict(plan["memory_per_device_bytes"])
    total = parts.pop("total")
    sequences = "1 sequence" if plan["micro"] == 1 else f"{plan['micro']} sequences"
    verdict = "fits" if plan["fits"] else "DOES NOT FIT"
    device_memory = format_quantity(plan["device_memory_bytes"], "B")
    strategy = "" if plan["devices"] == 1 else f", {plan['strategy']}"
    trained, frozen = plan["trained_models"], plan["frozen_models"]
    notes = {
        "other models": ", ".join([*(f"{name} (trained)" for name in trained), *frozen]) + ": at most as large as the model",
        "average": "moving average of the weights",
        "copies": "of weights and gradients",
        "activations": f"of {sequences} at once, {plan['precision']}{strategy}",
        "logits": "and their gradient",
    }
    rows = [(part, format_quantity(count, "B"), notes.get(part, "")) for part, count in parts.items()]
    return [("memory per device", format_quantity(total, "B"), f"{verdict}: {plan['device']} has {device_memory}"), *rows]


def _time_rows(plan: dict[str, Any]) -> list[tuple[str, ...]]:
    devices = f"{plan['devices']} x {plan['device']}"
    if plan["time_seconds"] is None:
        return [("time", "unknown", f"{devices}: peak {plan['peak_source']}")]
    peak = format_quantity(plan["peak_flops_per_device"], "FLOP/s")
    slower = (
        "; generation is slower than this estimate, because it is token by token"
        if "generate" in plan["flops_per_token_by_stage"]
        else ""
    )
    return [
        ("time", format_duration(plan["time_seconds"]), f"{devices}{slower}"),
        ("speed", f"{plan['tokens_per_second']:,.0f} tokens/s", f"assumed: {plan['mfu_assumed']:.0%} of the peak"),
        ("peak", peak, plan["peak_source"]),
    ]


def format_quantity(value: float, unit: str) -> str:
    """Format a value with three digits and an SI prefix, such as "1.56 GB". Values beyond exa use a power of ten."""
    for prefix in ("", "k", "M", "G", "T", "P", "E"):
        if value < 999.5:
            return f"{value:.3g} {prefix}{unit}"
        value /= 1000
    return f"{value * 1e18 * 1000:.3g} {unit}"


def format_pf_days(value: float) -> str:
    """Format petaflop/s-days with three digits and without a power of ten, as in table D.1."""
    return f"{value:,.0f} PF-days" if value >= 1000 else f"{value:.3g} PF-days"


UNITS = (("y", 365 * 86400), ("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def format_duration(seconds: float) -> str:
    """Format seconds in their two largest units: "3 d 4 h", "12 min 5 s"."""
    for (unit, size), (smaller, small) in itertools.pairwise(UNITS):
        if seconds >= size:
            return f"{int(seconds // size):,} {unit} {int(seconds % size // small)} {smaller}"
    return f"{seconds:.2g} s"
