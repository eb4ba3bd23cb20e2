"""`gptkit eval task=lm_eval`: the scores are those of the harness, and only the code of named tasks is executed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gptkit_lm_eval import LMEvalConfig
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

import gptkit
from gptkit.errors import ConfigError, DataError

METRICS = ["acc", "acc_norm", "exact_match", "f1", "mcc"]
AGGREGATIONS = {"f1": "f1", "mcc": "matthews_corrcoef", "bits_per_byte": "bits_per_byte", "perplexity": "perplexity"}


def listed(*metrics: str) -> list[dict[str, Any]]:
    return [
        {"metric": metric, "aggregation": AGGREGATIONS.get(metric, "mean"), "higher_is_better": metric != "perplexity"}
        for metric in metrics
    ]


TASKS: dict[str, dict[str, Any]] = {
    "choice": {"metric_list": listed("acc", "acc_norm")},
    "examples": {"metric_list": listed("acc", "acc_norm"), "num_fewshot": 2, "fewshot_split": "validation"},
    "labels": {"metric_list": listed("acc", "mcc"), "doc_to_choice": ["yes", "no", "maybe"]},
    "cloze": {
        "file": "lambada_openai",
        "output_type": "loglikelihood",
        "doc_to_text": "context",
        "doc_to_target": " {{continuation}}",
        "doc_to_choice": None,
        "metric_list": listed("acc", "perplexity"),
    },
    "text": {
        "file": "lambada_openai",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "context",
        "doc_to_choice": None,
        "metric_list": listed("bits_per_byte"),
    },
    "generation": {
        "file": "lambada_openai",
        "output_type": "generate_until",
        "doc_to_text": "context",
        "doc_to_target": "continuation",
        "doc_to_choice": None,
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4, "do_sample": False},
        "metric_list": listed("exact_match"),
        "filter_list": [
            {"name": "first", "filter": [{"function": "take_first"}]},
            {"name": "word", "filter": [{"function": "regex", "regex_pattern": "(\\w+)"}, {"function": "take_first"}]},
        ],
    },
}


def evaluate(folder: Path, gpt2: Path, *words: str) -> dict[str, float]:
    command = [f"checkpoint=hf:{gpt2}", "task=lm_eval", f"task.include_path={folder}", *words]
    result: dict[str, float] = gptkit.run(gptkit.compose("eval", command))
    return result


@pytest.mark.parametrize("name", TASKS)
def test_metrics_equal_those_of_the_harness(name: str, gpt2: Path, write_task: Callable[..., Path]) -> None:
    folder = write_task(name, **TASKS[name])
    ours = evaluate(folder, gpt2, f"task.names=[{name}]")
    model = HFLM(pretrained=str(gpt2), dtype="float32", device="cpu", batch_size=4)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    theirs = simple_evaluate(model=model, tasks=[name], task_manager=manager, bootstrap_iters=0)["results"][name]
    expected = {key.removesuffix(",none"): value for key, value in theirs.items() if "," in key and "stderr" not in key}
    assert ours == pytest.approx(expected, rel=1e-6)
    assert all(ours[key] == expected[key] for key in expected if key.startswith(("acc", "exact")))


def test_results_are_kept_and_an_evaluation_continues(gpt2: Path, write_task: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_task("labels", **TASKS["labels"])
    words = ("task.names=[labels]", f"to={tmp_path / 'evals'}")
    expected = evaluate(folder, gpt2, *words)
    results = (tmp_path / "evals" / "results.json").read_text()
    assert json.loads(results)["protocol"]["scoring"]["lm_eval"] == "0.4.13"
    items = tmp_path / "evals" / "items.jsonl"
    items.write_text("".join(items.read_text().splitlines(keepends=True)[:3]))
    (tmp_path / "evals" / "results.json").unlink()
    assert evaluate(folder, gpt2, *words) == expected
    assert (tmp_path / "evals" / "results.json").read_text() == results


def test_only_the_code_of_named_tasks_is_executed(gpt2: Path, write_task: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_task("plain")
    for name in ("named", "other"):
        write_task(name, code=f"process_docs: !function code_{name}.identity\n")
        (folder / f"code_{name}.py").write_text(
            f"open({str(tmp_path / f'executed_{name}')!r}, 'w').close()\ndef identity(documents):\n    return documents\n"
        )
    evaluate(folder, gpt2, "task.names=[plain]")
    assert not list(tmp_path.glob("executed_*"))
    evaluate(folder, gpt2, "task.names=[named]")
    assert [path.name for path in tmp_path.glob("executed_*")] == ["executed_named"]


def test_limit_and_the_number_of_examples_are_settings(write_task: Callable[..., Path]) -> None:
    folder = write_task("choice", **TASKS["examples"] | {"num_fewshot": 1})
    config = LMEvalConfig(names=["choice"], include_path=str(folder), limit=3)
    items = config.build().items()
    assert len(items) == 3
    assert [request.context.count("Émile") for item in items for request in item.requests] == [2] * 9  # type: ignore[union-attr]
    config.num_fewshot = 4
    assert config.build().items()[0].requests[0].context.count("Émile") == 5  # type: ignore[union-attr]
    config.limit, config.num_fewshot = 0, 2
    requests = config.build().items()[0].requests
    config.fewshot_seed = 1
    assert config.build().items()[0].requests != requests


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        (
            {"doc_to_text": "{{query | shout}}"},
            DataError,
            "task bad of lm-evaluation-harness cannot be loaded: No filter named 'shout'",
        ),
        ({"dataset_kwargs": {"data_files": "nothing.jsonl"}}, DataError, "task bad of lm-evaluation-harness cannot be loaded"),
        ({"unsafe_code": True}, ConfigError, "task bad executes code that the model writes; set task.unsafe_code=true"),
        ({"doc_to_image": "query"}, ConfigError, "task bad contains images or audio"),
    ],
)
def test_an_unusable_task_is_one_line(
    changes: dict[str, Any], error: type[Exception], reason: str, write_task: Callable[..., Path]
) -> None:
    with pytest.raises(error) as raised:
        LMEvalConfig(names=["bad"], include_path=str(write_task("bad", **changes))).build()
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unknown_names_and_folders_are_one_line(write_task: Callable[..., Path], gpt2: Path, tmp_path: Path) -> None:
    folder = write_task("piqa_local")
    with pytest.raises(ConfigError, match=r"there is no task piqa_locl in .* Did you mean piqa_local"):
        LMEvalConfig(names=["piqa_locl"], include_path=str(folder)).build()
    write_task("other")
    with pytest.raises(ConfigError, match=r"names 2 tasks.*: gptkit eval -m task.names=\[piqa_local\],\[other\]"):
        LMEvalConfig(names=["piqa_local", "other"], include_path=str(folder)).build()
    with pytest.raises(ConfigError, match=r"task.include_path=.*nowhere is not a folder"):
        LMEvalConfig(names=["piqa_local"], include_path=str(tmp_path / "nowhere")).build()
    with pytest.raises(ConfigError, match=r"task.names=\[\] must not be empty"):
        evaluate(folder, gpt2)
    with pytest.raises(ConfigError, match="remove data=choices"):
        evaluate(folder, gpt2, "task.names=[piqa_local]", "data=choices", "data.path=x.jsonl")


def test_metrics_over_the_texts_of_all_documents_are_refused(write_task: Callable[..., Path], gpt2: Path) -> None:
    folder = write_task("bleu", **TASKS["generation"] | {"metric_list": [{"metric": "bleu", "aggregation": "bleu"}]})
    with pytest.raises(ConfigError, match="task bleu computes bleu from the texts of all documents at once"):
        evaluate(folder, gpt2, "task.names=[bleu]", "task.limit=2")
