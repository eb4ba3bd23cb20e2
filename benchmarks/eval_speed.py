"""Measure the speed of an evaluation, compared with lm-evaluation-harness on the same model and the same requests.

    python benchmarks/eval_speed.py --data piqa.jsonl                      a GPT-2 of 6 layers and width 384, random weights
    python benchmarks/eval_speed.py --data piqa.jsonl --model models/smollm2 --items 60 --rounds 1

`--data` is PIQA or another file of rows with `query`, `choices` and `gold`; `--model` is a folder of transformers. Prints JSON with
items per second, zero-shot and with five examples in context: the medians of several rounds, in which both sides alternate in one
process. Both compute in float32 with the same number of threads and the same settings of the allocator, and the harness has built
the prompts before. The harness's side is its class for transformers models with the fastest of some batch sizes
(`pip install gptkit-lm-eval accelerate`). `largest_difference` is that of the log-likelihoods.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from gptkit_lm_eval import LMEvalConfig
from gptkit_lm_eval.task import load_task
from lm_eval.models.huggingface import HFLM

from gptkit.command.eval_models import load_subject
from gptkit.evaluation.runner import ScoredItem, evaluate
from gptkit.interop.tokenizer_files import write_tokenizer
from gptkit.model.freed_memory import keep_freed_memory
from gptkit.plugins import registry
from gptkit.task.base import Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer, LogLikelihoodAnswer

TASK = """\
task: questions
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {data}
  cache_dir: {cache}
validation_split: validation
fewshot_split: validation
output_type: multiple_choice
doc_to_text: query
doc_to_target: gold
doc_to_choice: choices
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


class Totals:
    """Keeps the log-likelihoods of all items."""

    def __init__(self) -> None:
        self.scored: dict[str, ScoredItem] = {}
        self.by_place: dict[int, list[float]] = {}

    def add(self, identifier: str, item: Item, answers: Sequence[Answer], scored: ScoredItem) -> None:
        place = int(identifier.partition("-")[0])
        self.by_place[place] = [answer.total for answer in answers if isinstance(answer, LogLikelihoodAnswer)]

    def flush(self) -> None:
        pass

    def in_order(self) -> list[float]:
        return [value for place in sorted(self.by_place) for value in self.by_place[place]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    arguments = parser.parse_args()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    result: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "items": arguments.items,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = arguments.model or random_gpt2(folder / "model", layers=arguments.layers, width=arguments.width)
        (folder / "tasks").mkdir()
        content = TASK.format(data=json.dumps(str(arguments.data.resolve())), cache=json.dumps(str(folder / "cache")))
        (folder / "tasks" / "questions.yaml").write_text(content)
        subject = load_subject(f"hf:{model}", torch.device("cpu"), precision="fp32")
        harness_model = HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=1)
        result["parameters"] = sum(parameter.numel() for parameter in subject.model.parameters())
        for shots in arguments.shots:
            config = LMEvalConfig(names=["questions"], include_path=str(folder / "tasks"), limit=arguments.items, num_fewshot=shots)
            result[f"{shots}-shot"] = compare(load_task(config), subject, harness_model, arguments)
    print(json.dumps(result, indent=2))


def compare(task: Task, subject: Subject, harness_model: HFLM, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return items per second of both sides, which alternate."""
    few = LMEvalTaskView(task, max(4, arguments.items // 10))
    harness_model.batch_size_per_gpu = min(
        arguments.batches, key=lambda size: harness_seconds(harness_model, few.instances, batch=size)[0]
    )
    every = LMEvalTaskView(task, arguments.items)
    gptkit_seconds(few, subject)
    ours, theirs = [], []
    differences: list[float] = []
    for _ in range(arguments.rounds):
        seconds, values = gptkit_seconds(every, subject)
        ours.append(len(every.items()) / seconds)
        seconds, others = harness_seconds(harness_model, every.instances, batch=int(harness_model.batch_size_per_gpu))
        theirs.append(len(every.items()) / seconds)
        differences += [abs(one - other) for one, other in zip(values, others, strict=True)]
    return {
        "gptkit": round(statistics.median(ours), 2),
        "lm_eval": round(statistics.median(theirs), 2),
        "ratio": round(statistics.median(one / other for one, other in zip(ours, theirs, strict=True)), 2),
        "lm_eval_batch": harness_model.batch_size_per_gpu,
        "largest_difference": max(differences),
        "rounds": [[round(one, 2), round(other, 2)] for one, other in zip(ours, theirs, strict=True)],
    }


class LMEvalTaskView(Task):
    """The first items of a task, with the harness's requests for them."""

    def __init__(self, task: Any, items: int) -> None:
        self._task, self._items = task, list(task.items())[:items]
        self.instances = [instance for item in self._items for instance in task.instances(item)]

    def items(self) -> Sequence[Item]:
        return self._items

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        scores: dict[str, float] = self._task.score(item, answers)
        return scores


def gptkit_seconds(task: Task, subject: Subject) -> tuple[float, list[float]]:
    """Return the time of an evaluation in seconds, and the log-likelihoods."""
    totals = Totals()
    start = time.perf_counter()
    evaluate(task, subject, store=totals)
    return time.perf_counter() - start, totals.in_order()


def harness_seconds(model: HFLM, instances: Sequence[Any], *, batch: int) -> tuple[float, list[float]]:
    """Return the time of the harness's log-likelihoods in seconds, and these."""
    model.batch_size_per_gpu = batch
    with contextlib.redirect_stderr(io.StringIO()):  # progress
        start = time.perf_counter()
        responses = model.loglikelihood(list(instances), disable_tqdm=True)
        return time.perf_counter() - start, [value for value, _ in responses]


def random_gpt2(folder: Path, *, layers: int, width: int) -> Path:
    """Save a GPT-2 of random weights with GPT-2's tokenizer as transformers does."""
    import transformers

    torch.manual_seed(0)
    tokenizer = registry().resolve("tokenizer", {"name": "gpt2"}).build(texts=[])
    end = tokenizer.special["end_of_text"]
    config = transformers.GPT2Config(
        n_layer=layers, n_head=width // 64, n_embd=width, vocab_size=tokenizer.size, bos_token_id=end, eos_token_id=end
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    write_tokenizer(tokenizer, folder, context=config.n_positions)
    return folder


if __name__ == "__main__":
    main()
