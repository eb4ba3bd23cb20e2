"""Compare gptkit's evaluation with lm-evaluation-harness: every log-likelihood and every score, on the same model and files.

    python benchmarks/lm_eval_equality.py data=zero_shot/ text=wiki.valid.txt hf:models/smollm2 runs/x

The arguments are checkpoints; without any, a GPT-2 of random weights is made. `data` is a folder with the published files of
LAMBADA, PIQA, ARC, BoolQ, OpenBookQA, COPA and Winograd as JSONL (those that exist are compared), `text` is a text for bits per
byte. `items=300` limits the items of each task, `bytes=100000` the text. The harness reads the same rows through task files that
are written here, with its own class for transformers models (`pip install gptkit-lm-eval accelerate`). A run is exported for it.

Prints a table, and exits with status 1 if a log-likelihood differs by more than 1e-4 + 1e-6 |ll|, or any score at all.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from gptkit.command.eval_models import load_subject
from gptkit.data import ChoicesConfig, ClozeConfig, TextConfig
from gptkit.evaluation.runner import ScoredItem, evaluate
from gptkit.task import ChoiceConfig, LambadaConfig, PerplexityConfig, ReferentConfig
from gptkit.task.base import Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer, LogLikelihoodAnswer

FILES = ("lambada_openai", "piqa", "arc_easy", "arc_challenge", "boolq", "openbook_qa", "copa", "winograd_wsc")
TEXT = "text"
ABSOLUTE, RELATIVE = 1e-4, 1e-6
HARNESS: Mapping[str, Mapping[str, Any]] = {
    "cloze": {
        "output_type": "loglikelihood",
        "doc_to_text": "context",
        "doc_to_target": " {{continuation}}",
        "metric_list": ["acc", "perplexity"],
    },
    "choices": {
        "output_type": "multiple_choice",
        "doc_to_text": "query",
        "doc_to_target": "gold",
        "doc_to_choice": "choices",
        "metric_list": ["acc", "acc_norm", "acc_bytes"],
    },
    "options": {
        "output_type": "multiple_choice",
        "doc_to_text": "gold",
        "doc_to_target": "continuation",
        "doc_to_choice": "context_options",
        "metric_list": ["acc"],
    },
    TEXT: {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": ["bits_per_byte", "byte_perplexity", "word_perplexity"],
    },
}
"""The task files of the harness by the shape of the rows."""
NORMALISERS = {"acc": "none", "acc_norm": "characters", "acc_bytes": "bytes"}


@dataclass
class Comparison:
    """One task on one model."""

    task: str
    items: int
    log_likelihoods: int = 0
    largest_difference: float = 0.0
    too_different: int = 0
    """The number of log-likelihoods that differ by more than the tolerance."""
    different_scores: int = 0
    """The number of items with another score, or another answer to whether the continuation is greedy."""
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The metrics of gptkit and of the harness by the harness's names."""

    @property
    def is_equal(self) -> bool:
        """Whether everything that must be equal is."""
        return not self.too_different and not self.different_scores


class Answers:
    """Keeps the answers to all items, by item."""

    def __init__(self) -> None:
        self.scored: dict[str, ScoredItem] = {}
        self.by_place: dict[int, Sequence[Answer]] = {}

    def add(self, identifier: str, item: Item, answers: Sequence[Answer], scored: ScoredItem) -> None:
        self.by_place[int(identifier.partition("-")[0])] = answers

    def flush(self) -> None:
        pass


def compare(
    subject: Subject, harness_model: HFLM, files: Mapping[str, Path], *, items: int = 0, text_bytes: int = 0
) -> list[Comparison]:
    """Compare all tasks on one model.

    Args:
        subject: the model and its tokenizer.
        harness_model: the same model for the harness.
        files: the file of each task; `text` is a text.
        items: maximum number of rows of each file; 0: all.
        text_bytes: maximum number of bytes of the text; 0: all.
    """
    with tempfile.TemporaryDirectory() as folder:
        shapes = {name: write_files(name, path, Path(folder), items, text_bytes) for name, path in files.items()}
        theirs = run_harness(harness_model, list(files), Path(folder))
        return [
            compare_task(name, shapes[name], subject, Path(folder), theirs["samples"][name], theirs["results"][name])
            for name in files
        ]


def write_files(name: str, path: Path, folder: Path, items: int, text_bytes: int) -> str:
    """Write the rows of a task for both sides, and the task file of the harness. Returns the shape of the rows."""
    if name == TEXT:
        content = path.read_bytes()[: text_bytes or None].decode("utf-8", errors="ignore")
        (folder / "text.txt").write_bytes(content.encode())
        rows, shape = [{"text": content}], TEXT
    else:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines[: items or None]]
        shape = "choices" if "choices" in rows[0] else "options" if "context_options" in rows[0] else "cloze"
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    aggregations = {"perplexity": "perplexity", "bits_per_byte": "bits_per_byte"}
    aggregations |= dict.fromkeys(("byte_perplexity", "word_perplexity"), "weighted_perplexity")
    metrics = [
        {"metric": metric, "aggregation": aggregations.get(metric, "mean"), "higher_is_better": metric.startswith("acc")}
        for metric in HARNESS[shape]["metric_list"]
    ]
    content_of_file = {
        **HARNESS[shape],
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": str(folder / f"{name}.jsonl")}, "cache_dir": str(folder / "cache")},
        "validation_split": "validation",
        "metric_list": metrics,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content_of_file))
    return shape


def run_harness(model: HFLM, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return what the harness computes, with all samples."""
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    with contextlib.redirect_stderr(io.StringIO()):  # progress
        results: dict[str, Any] = simple_evaluate(model=model, tasks=list(names), task_manager=manager, bootstrap_iters=0)
    return results


def our_tasks(name: str, shape: str, folder: Path) -> dict[str, Task]:
    """Return gptkit's task for each metric of the harness. All of them have the same requests."""
    path = str(folder / f"{name}.jsonl")
    rules: dict[str, Any] = {"boundary": "joint", "prefix": "empty"}
    if shape == TEXT:
        config = PerplexityConfig(words="lm_eval")
        return {TEXT: config.build(data=TextConfig(path=str(folder / "text.txt")))}
    if shape == "cloze":
        return {"acc": LambadaConfig(**rules).build(data=ClozeConfig(path=path))}
    if shape == "options":
        return {"acc": ReferentConfig(**rules).build(data=ChoicesConfig(path=path))}
    choice = ChoiceConfig(**rules)
    return {
        metric: replace(choice, normaliser=normaliser).build(data=ChoicesConfig(path=path))
        for metric, normaliser in NORMALISERS.items()
    }


def compare_task(
    name: str, shape: str, subject: Subject, folder: Path, samples: Sequence[Mapping[str, Any]], results: Mapping[str, Any]
) -> Comparison:
    """Compare one task."""
    tasks = our_tasks(name, shape, folder)
    first = next(iter(tasks.values()))
    kept = Answers()
    metrics = evaluate(first, subject, store=kept).metrics
    comparison = Comparison(name, len(first.items()))
    scores: dict[str, list[float]] = {metric: [] for metric in tasks}
    assert len(samples) == len(first.items())
    for place, sample in enumerate(samples):
        answers = kept.by_place[place]
        for answer, (response,) in zip(answers, sample["resps"], strict=True):
            compare_answer(answer, response, comparison)
        if shape == TEXT:
            continue
        for metric, task in tasks.items():
            score = next(iter(task.score(task.items()[place], answers).values()))
            scores[metric].append(score)
            comparison.different_scores += score != sample[metric]
    ours = {metric: sum(values) / len(values) for metric, values in scores.items() if values} | metrics
    comparison.metrics = {
        metric: (ours[metric], results[f"{metric},none"]) for metric in HARNESS[shape]["metric_list"] if metric in ours
    }
    return comparison


def compare_answer(answer: Answer, response: Any, comparison: Comparison) -> None:
    """Compare an answer with a response of the harness: a log-likelihood, and for a continuation whether it is greedy."""
    assert isinstance(answer, LogLikelihoodAnswer)
    log_likelihood = response[0] if isinstance(response, tuple) else response
    difference = abs(answer.total - log_likelihood)
    comparison.log_likelihoods += 1
    comparison.largest_difference = max(comparison.largest_difference, difference)
    comparison.too_different += difference > ABSOLUTE + RELATIVE * abs(log_likelihood)
    if isinstance(response, tuple):
        comparison.different_scores += answer.is_greedy != response[1]


def load_both(source: str, folder: Path) -> tuple[Subject, HFLM]:
    """Load a checkpoint for both sides in float32. A run is exported to `folder` for the harness."""
    subject = load_subject(source, torch.device("cpu"), precision="fp32")
    path = source.removeprefix("hf:")
    if path == source:
        from gptkit.interop.huggingface import export_model

        folder.mkdir(exist_ok=True)
        model: Any = subject.model
        export_model(model, subject.tokenizer, folder)
        path = str(folder)
    prefix = subject.tokenizer.special["end_of_text"]  # the harness would begin a text with BOS
    return subject, HFLM(pretrained=path, dtype="float32", device="cpu", batch_size=8, prefix_token_id=prefix)


def random_gpt2(folder: Path, text: str, *, size: int = 2000, width: int = 128, context: int = 1024) -> str:
    """Save a GPT-2 of random weights with a tokenizer of `size` ids that is trained on a text, and return it as a checkpoint."""
    import transformers

    from gptkit.interop.tokenizer_files import write_tokenizer
    from gptkit.tokenizer.bpe import BPETokenizer

    torch.manual_seed(0)
    tokenizer = BPETokenizer.train([text], size=size)
    end = tokenizer.special["end_of_text"]
    config = transformers.GPT2Config(
        n_layer=4, n_head=4, n_embd=width, n_positions=context, vocab_size=tokenizer.size, bos_token_id=end, eos_token_id=end
    )
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # far from uniform probabilities
    model.save_pretrained(folder)
    write_tokenizer(tokenizer, folder, context=context)
    return f"hf:{folder}"


def table(rows: Mapping[str, Sequence[Comparison]]) -> str:
    """Return a Markdown table of the comparisons of each model."""
    lines = [
        "| model | task | items | log-likelihoods | largest difference | different scores | metrics of both |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, comparisons in rows.items():
        for each in comparisons:
            metrics = ", ".join(
                f"{name} {ours:.4f}" if ours == theirs else f"{name} {ours:.6f} and {theirs:.6f}"
                for name, (ours, theirs) in each.metrics.items()
            )
            difference = f"{each.largest_difference:.1e}" + (f" ({each.too_different} too large)" if each.too_different else "")
            cells = (model, each.task, each.items, each.log_likelihoods, difference, each.different_scores, metrics)
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> int:
    settings = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    sources = [word for word in sys.argv[1:] if "=" not in word]
    data = Path(settings.get("data", "."))
    files = {name: data / f"{name}.jsonl" for name in FILES if (data / f"{name}.jsonl").is_file()}
    if "text" in settings:
        files[TEXT] = Path(settings["text"])
    if not files:
        sys.exit("there are no files to compare; set data=<folder of JSONL files> or text=<file>")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    rows: dict[str, list[Comparison]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        if not sources:
            text = next(iter(files.values())).read_text(encoding="utf-8")[:200_000]
            sources = [random_gpt2(Path(temporary) / "random GPT-2", text)]
        for number, source in enumerate(sources):
            subject, harness_model = load_both(source, Path(temporary) / str(number))
            limits = {"items": int(settings.get("items", 300)), "text_bytes": int(settings.get("bytes", 0))}
            rows[Path(source.removeprefix("hf:")).name] = compare(subject, harness_model, files, **limits)
    print(table(rows))
    return 0 if all(each.is_equal for comparisons in rows.values() for each in comparisons) else 1


if __name__ == "__main__":
    sys.exit(main())
