"""The model card of a trained model: its README.md on the hub, with metadata for the search.

The card states what the run recorded. Limitations and licence, which no run records, are placeholders for the author. The card
contains no paths of the machine that trained the model: only the names of data files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from gptkit.interop.model_card_usage import Usage, usage_section
from gptkit.terminal import one_line

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

PLACEHOLDER = "[More Information Needed]"
"""The placeholder of the hub's own template for text that the author writes."""

_LARGEST_EXPONENT = 700
"""The upper limit of the exponent, so that the result is a float."""


@dataclass(frozen=True)
class Stage:
    """One of the runs that led to the model."""

    objective: str
    data: str


@dataclass(frozen=True)
class Provenance:
    """The origin of a model. Empty if gptkit did not train the model."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the run, as plain values."""

    step: int = 0
    """The number of optimizer steps of the run."""

    last_step: int | None = None
    """The last step of the run; None: unknown."""

    tokens: int | None = None
    """Tokens read up to `step`; None: unknown."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    """The metrics of these weights, by their names in summary.json, such as `val_loss`."""

    stages: Sequence[Stage] = ()
    """The runs that led to the model, in order."""

    base_model: str = ""
    """The model on the hub from which training started, with the revision if one was named."""

    papers: Sequence[str] = ()
    """The papers on the command line, such as `+gpt2=124m`."""

    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


def build_model_card(provenance: Provenance, usage: Usage, *, license: str | None = None) -> ModelCard:
    """Build the card of a model in a Hugging Face folder.

    Args:
        provenance: the origin of the model.
        usage: how to load the model.
        license: an identifier of the hub, such as `apache-2.0`; None: a placeholder.
    """
    from huggingface_hub import ModelCard, ModelCardData

    metrics = _evaluation_metrics(provenance)
    data = ModelCardData(
        license=license,
        library_name="transformers",
        pipeline_tag=usage.task,
        tags=["gptkit", *([objective] if (objective := _name(provenance.settings, "objective")) else [])],
        base_model=provenance.base_model.partition("@")[0] or None,
        model_name=usage.repository.rpartition("/")[2],
        eval_results=_eval_results(provenance, usage.task, metrics) or None,
    )
    sections = [
        f"# {usage.repository.rpartition('/')[2]}",
        _introduction(provenance, usage),
        usage_section(usage),
        *_training_section(provenance),
        *_evaluation_section(provenance),
        "## Limitations",
        f"{PLACEHOLDER}: what the model must not be used for, and which errors and biases of its training data it repeats."
        + (f" It reads at most {usage.context:,} tokens at a time." if usage.context else ""),
        "## License",
        license or f"{PLACEHOLDER}: the licence of the weights, here and as `license:` at the top of this file.",
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n")


def _evaluation_metrics(provenance: Provenance) -> dict[str, float]:
    """The metrics, with the perplexity of a language model."""
    metrics = dict(provenance.metrics)
    loss = metrics.get("val_loss", math.inf)
    if _name(provenance.settings, "objective") == "lm" and loss < _LARGEST_EXPONENT:
        metrics["val_perplexity"] = math.exp(loss)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _eval_results(provenance: Provenance, task: str, metrics: Mapping[str, float]) -> list[Any]:
    """Return the metrics that the hub shows beside the card: those of held-out data, without bounds of intervals."""
    from huggingface_hub import EvalResult

    data = provenance.settings.get("data", {})
    return [
        EvalResult(
            task_type=task,
            dataset_type=_name(provenance.settings, "data") or "unknown",
            dataset_name=describe_data(data),
            dataset_split="validation",
            metric_type=name.removeprefix("val_"),
            metric_name=name,
            metric_value=round(value, 6),
        )
        for name, value in metrics.items()
        if name.startswith("val_") and not name.endswith(("_low", "_high"))
    ]


def describe_data(data: Mapping[str, Any]) -> str:
    """Return the name of a data source with the names of its files, without their folders."""
    path = data.get("path")
    files = [PurePath(str(each)).name for each in (path if isinstance(path, list) else [path] if path else [])]
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"{data.get('name', '')} ({', '.join(files[:3])}{more})" if files else str(data.get("name", ""))


def _introduction(provenance: Provenance, usage: Usage) -> str:
    of = f" of {usage.parameters:,} parameters" if usage.parameters else ""
    is_reward = _name(provenance.settings, "objective") == "reward"
    kind = "reward model" if is_reward else "classifier" if usage.task == "text-classification" else "language model"
    text = f"A {kind}{of} in the format of `{usage.architecture}`, made with [gptkit](https://github.com/gptkit/gptkit)."
    if provenance.stages:
        *earlier, last = provenance.stages
        text += f" It was trained with `objective={last.objective}` on {_code(last.data)}"
        text += "".join(f", after `objective={stage.objective}` on {_code(stage.data)}" for stage in reversed(earlier)) + "."
    if provenance.base_model:
        address = provenance.base_model.partition("@")[0]
        began = "Training started from" if provenance.settings else "The weights are those of"
        text += f" {began} [{provenance.base_model}](https://huggingface.co/{address})."
    return text


def _training_section(provenance: Provenance) -> list[str]:
    run = provenance.settings
    if not run:
        return []
    model, optimizer, batch = run.get("model", {}), run.get("optimizer", {}), run.get("batch", {})
    steps = f"{provenance.step:,}"
    if provenance.last_step is not None and provenance.last_step != provenance.step:
        steps += f" of {provenance.last_step:,}"
    rows = [
        ("Paper preset", " ".join(provenance.papers)),
        ("Objective", _settings(run.get("objective"))),
        ("Data", describe_data(run.get("data", {}))),
        ("Steps", steps),
        ("Tokens", f"{provenance.tokens:,}" if provenance.tokens is not None else ""),
        ("Batch", f"{batch.get('size')} sequences of up to {model['context']} tokens" if "context" in model else ""),
        ("Model", _settings(model)),
        ("Attention", _settings(run.get("attention"))),
        ("Tokenizer", _settings({key: value for key, value in run.get("tokenizer", {}).items() if key != "path"})),
        ("Optimizer", _settings(optimizer)),
        ("Average of the weights", f"decay {run['ema']}" if run.get("ema") else ""),
        ("Seed", str(run.get("seed", ""))),
        ("Device", provenance.device),
        ("Software", ", ".join(f"{name} {version}" for name, version in provenance.versions.items())),
    ]
    return ["## Training", _table(("", ""), [(name, _code(value)) for name, value in rows if value])]


def _evaluation_section(provenance: Provenance) -> list[str]:
    metrics = _evaluation_metrics(provenance)
    if not metrics:
        return []
    held_out = (
        f"Metrics whose names begin with `val_` are of held-out examples of {_code(describe_data(provenance.settings['data']))}"
    )
    if "val_perplexity" in metrics:
        held_out += "; the loss is in nats per token"
    rows = []
    for name, value in metrics.items():
        if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in metrics:
            continue
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        interval = f" (95% interval: {low:.4f} to {high:.4f})" if low is not None and high is not None else ""
        rows.append((f"`{name}`", f"{value:.4f}{interval}"))
    return ["## Evaluation", f"{held_out}.", _table(("Metric", "Value"), rows)]


def _name(settings: Mapping[str, Any], kind: str) -> str:
    return str(settings.get(kind, {}).get("name", ""))


def _settings(part: Any, prefix: str = "") -> str:
    """A part's name and settings in one line: `gpt, layers=2, schedule.shape=cosine`. Leaves out values that may be paths."""
    words = []
    for key, value in (part or {}).items():
        if isinstance(value, Mapping):
            words.append(_settings(value, f"{prefix}{key}."))
        elif value not in (None, "", []) and not (isinstance(value, str) and ("/" in value or "\\" in value)):
            words.append(str(value) if key == "name" and not prefix else f"{prefix}{key}={value}")
    return ", ".join(word for word in words if word)


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"| {first} | {second} |" for first, second in [head, ("---", "---"), *rows])


def _code(text: str) -> str:
    """Escape a text, so that nothing in it is Markdown or HTML, or ends the cell of a table."""
    plain = one_line(text).replace("|", "/").replace("`", "'")
    return f"`{plain}`"
