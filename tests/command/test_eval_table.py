"""`gptkit eval` of several tasks and several models: folders, the table, requirements, and processes that are killed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.attention import DenseAttentionConfig
from gptkit.model import GPTConfig
from tests.command_line import GptkitCommand
from tests.processes import ProcessServer

ROOT = Path(__file__).parents[2]
PIQA = [
    {"query": f"To open {n} jars,", "choices": [f"turn {n} lids.", f"eat {n} lids.", "sleep."], "gold": n % 3} for n in range(20)
]
LAMBADA = [{"text": f"He counted {n} sheep, and the next day he sold every single sheep"} for n in range(12)]
TASKS = "tasks={jars:{name:choice,data:{path:piqa.jsonl}},sums:{name:arithmetic,kinds:[2D+,2D-],examples:12}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, untrained_run: Callable[..., Path]) -> Path:
    """Runs x and y, and a folder `zero_shot` with two files."""
    root = tmp_path_factory.mktemp("tables")
    for seed, name in enumerate("xy"):

        def change(model: Any, seed: int = seed) -> None:
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))

        model = GPTConfig(layers=1, heads=2, width=16, context=64)
        untrained_run(root / "runs" / name, model=model, attention=DenseAttentionConfig(), change=change)
    (root / "zero_shot").mkdir()
    for file, rows in (("piqa", PIQA), ("lambada_openai", LAMBADA)):
        (root / "zero_shot" / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "zero_shot" / "lambada.txt").write_text("He counted sheep.\n")
    return root


@pytest.fixture
def evaluate(folder: Path, monkeypatch: pytest.MonkeyPatch, gptkit_command: GptkitCommand) -> Callable[..., Any]:
    monkeypatch.chdir(folder)

    def run(*words: str, checkpoint: str = "runs/x") -> Any:
        return gptkit_command("eval", f"checkpoint={checkpoint}", *words)

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.json*"))}


def test_table_of_a_paper_has_its_numbers_and_names_missing_files(evaluate: Any, tmp_path: Path) -> None:
    outcome = evaluate("+eval=gpt2", "data.root=zero_shot/", f"to={tmp_path / 'xy'}", checkpoint="runs/x,runs/y")
    assert outcome.status == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["task", "metric", "x", "y", "items", "paper"]
    lambada = next(line for line in lines if line.startswith("lambada"))
    assert lambada.split()[1] == "perplexity"
    assert lambada.endswith("12     35.13 (117M, table 3, section 3.3)")
    assert any(line.startswith("wikitext2") and "no file" in line and line.endswith("29.41 (117M, table 3)") for line in lines)
    missing = next(line for line in lines if line.startswith("no file in zero_shot/: "))
    assert "wikitext2.txt" in missing and "lambada_openai.jsonl" not in missing
    assert any(line == "a = x, b = y, paired by item" for line in lines)
    assert set(contents(tmp_path / "xy")) == {
        "table.json",
        *(f"{model}/lambada/{name}" for model in "xy" for name in ("items.jsonl", "protocol.json", "results.json")),
    }
    table = json.loads((tmp_path / "xy" / "table.json").read_text())
    assert table["models"] == {"x": "runs/x", "y": "runs/y"}
    assert table["tasks"]["ptb"]["missing"] == "zero_shot/ptb.txt"
    for model in "xy":
        results = json.loads((tmp_path / "xy" / model / "lambada" / "results.json").read_text())
        assert table["tasks"]["lambada"]["results"][model] == {"metrics": results["metrics"], "items": 12}
    difference = table["differences"]["lambada"]["perplexity"]
    one, other = (table["tasks"]["lambada"]["results"][model]["metrics"]["perplexity"]["value"] for model in "xy")
    assert difference["difference"] == pytest.approx(other - one)


def test_every_task_gives_what_it_gives_alone(evaluate: Any, tmp_path: Path) -> None:
    words = ("data.root=zero_shot", f"to={tmp_path / 'all'}")
    assert evaluate(TASKS, *words).status == 0
    assert evaluate("task=choice", "data.path=zero_shot/piqa.jsonl", f"to={tmp_path / 'jars'}").status == 0
    assert contents(tmp_path / "all" / "jars") == contents(tmp_path / "jars")
    alone = ("task=arithmetic", "task.kinds=[2D+,2D-]", "task.examples=12", f"to={tmp_path / 'sums'}")
    assert evaluate(*alone).status == 0
    assert contents(tmp_path / "all" / "sums") == contents(tmp_path / "sums")
    written = contents(tmp_path / "all")
    assert evaluate(TASKS, *words, "batch=1").status == 0  # everything is there already
    assert contents(tmp_path / "all") == written


def test_models_are_compared_on_one_task(evaluate: Any, tmp_path: Path) -> None:
    words = ("task=choice", "data.path=zero_shot/piqa.jsonl")
    outcome = evaluate(*words, f"to={tmp_path / 'two'}", checkpoint="runs/x,runs/y")
    assert outcome.status == 0, outcome.err
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"x", "y", "table.json"}
    for name in "xy":
        assert evaluate(*words, f"to={tmp_path / name}", checkpoint=f"runs/{name}").status == 0
        assert contents(tmp_path / "two" / name) == contents(tmp_path / name)
    content = json.loads(evaluate(*words, "format=json", checkpoint="runs/x,runs/y").out)
    assert content["differences"]["choice"]["accuracy"]["test"] == "mcnemar"
    assert sum(content["differences"]["choice"]["accuracy"][name] for name in ("higher", "lower", "equal")) == 20


def test_sweep_over_checkpoints_evaluates_each_alone(evaluate: Any, tmp_path: Path) -> None:
    words = ("-m", "task=choice", "data.path=zero_shot/piqa.jsonl", f"hydra.sweep.dir={tmp_path / 'sweep'}", "hydra/launcher=basic")
    outcome = evaluate(*words, f"to={tmp_path / 'evals'}", checkpoint="runs/x,runs/y")
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("metric    value") == 2
    assert [line[:2] for line in outcome.out.splitlines() if line.startswith("#")] == ["#0", "#1"]
    assert {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("results.json")} == {
        "evals/runs/x",
        "evals/runs/y",
    }


def test_groups_average_tasks(evaluate: Any) -> None:
    outcome = evaluate(TASKS, "data.root=zero_shot", "groups={both:[jars,sums]}", "format=json")
    content = json.loads(outcome.out)
    jars, sums = (content["tasks"][name]["results"]["x"] for name in ("jars", "sums"))
    both = content["groups"]["both"]["results"]["x"]["metrics"]
    one, other = (each["metrics"]["accuracy"]["value"] for each in (jars, sums))
    assert both["macro"]["value"] == pytest.approx((one + other) / 2)
    assert both["micro"]["value"] == pytest.approx((20 * one + 24 * other) / 44)
    assert both["macro"]["low"] < both["macro"]["value"] < both["macro"]["high"]
    table = evaluate(TASKS, "data.root=zero_shot", "groups={both:[jars,sums]}").out.splitlines()
    assert [line.split()[-4:] for line in table[-2:]] == [["2", "of", "2", "tasks"]] * 2


def test_command_line_overrides_the_tasks_of_a_paper(evaluate: Any) -> None:
    words = ("+eval=gpt3", "data.root=zero_shot", "tasks.piqa.normaliser=none", "~tasks.word_scramble", "tasks.arithmetic=null")
    outcome = evaluate(*words)
    assert outcome.status == 0, outcome.err
    assert "word_scramble" not in outcome.out and "arithmetic" not in outcome.out
    assert any(line.startswith("piqa") and line.endswith("0.646 (125M, table H.1)") for line in outcome.out.splitlines())
    assert "0 of 7 tasks  0.582 (175B, table H.1, with MultiRC)" in outcome.out


def test_metric_below_the_required_value_fails_after_the_results_are_written(evaluate: Any, tmp_path: Path) -> None:
    words = (TASKS, "data.root=zero_shot", f"to={tmp_path / 'all'}")
    outcome = evaluate(*words, "require={jars:{accuracy:1.5}}")
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1].startswith("gptkit: jars: accuracy is 0.")
    assert outcome.err.splitlines()[-1].endswith("and require.jars.accuracy asks for at least 1.5")
    assert outcome.out.startswith("task  metric")
    assert (tmp_path / "all" / "table.json").exists()
    assert evaluate(*words, "require={accuracy:0}").status == 0
    one = evaluate("task=choice", "data.path=zero_shot/piqa.jsonl", "require={accuracy:1.5}")
    assert (one.status, one.out.splitlines()[0].split()[0]) == (1, "metric")
    both = evaluate("task=choice", "data.path=zero_shot/piqa.jsonl", "require.choice.accuracy=1.5", checkpoint="runs/x,runs/y")
    assert both.status == 1
    assert "choice: accuracy of x is" in both.err and "choice: accuracy of y is" in both.err


def test_perplexity_must_not_be_above_the_required_value(evaluate: Any) -> None:
    words = ("task=lambada", "data.path=zero_shot/lambada_openai.jsonl")
    assert evaluate(*words, "require={perplexity:1e30}").status == 0
    outcome = evaluate(*words, "require={perplexity:1.5}")
    assert outcome.status == 1
    assert "require.perplexity asks for at most 1.5" in outcome.err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("task=choice", "require={acuracy:0.6}"), 2, "require.acuracy: there is no metric acuracy. Did you mean accuracy?"),
        (("task=choice", "require={choise:{accuracy:0.6}}"), 2, "there is no task choise. Did you mean choice?"),
        (("task=choice", "require={accuracy:high}"), 2, "require.accuracy=high must be a number"),
        (("task=choice", "groups={a:[b]}"), 2, "groups averages several tasks; set tasks instead of task"),
        (("task=choice", TASKS), 2, "task=choice is one task, and tasks has jars, sums; remove one of them"),
        (("task=choice", "data.root=zero_shot"), 2, "set data.path to the file of task=choice"),
        ((TASKS, "against=runs/y"), 2, "against is for one task"),
        ((TASKS, "data=choices", "data.path=a.jsonl"), 2, "data=choices is the source of one task; set data.root=<folder>"),
        ((TASKS, "data.root=nowhere"), 1, "tasks.jars: data.path=nowhere/piqa.jsonl: there is no such file or folder"),
        ((TASKS, "groups={all:[jars,summs]}"), 2, "groups.all: there is no task summs. Did you mean sums?"),
        (
            (TASKS, "data.root=zero_shot", "+tasks.text={name:perplexity,data:{path:lambada.txt}}", "groups={all:[jars,text]}"),
            2,
            "groups.all averages accuracy of jars and word_perplexity of text, which have different units; remove one of them",
        ),
        ((TASKS, "groups={jars:[sums]}"), 2, "groups.jars has the name of a task"),
        ((TASKS, "groups={all:jars}"), 2, "groups.all=jars must be a list of tasks"),
        (("+eval=gpt2",), 1, "none of the 15 tasks has its file, such as lambada_openai.jsonl; set data.root=<folder>"),
        (("+eval=gpt2", "data.root=runs"), 1, "none of the 15 tasks has its file, such as runs/lambada_openai.jsonl"),
        (
            ("+eval=gpt2", "data.root=zero_shot", "require={ptb:{word_perplexity:20}}"),
            1,
            "require.ptb.word_perplexity cannot be checked: there is no file zero_shot/ptb.txt",
        ),
        (("+eval=gpt3_few_shot", "data.root=zero_shot", "fewshot.k=3"), 2, "fewshot.k=3, but tasks.lambada.fewshot.k=15"),
        (("tasks={a:{name:chioce}}",), 2, "tasks.a: there is no task=chioce. Did you mean choice?"),
        (("tasks={a:{name:choice,delimitre:x}}",), 2, "there is no key tasks.a.delimitre. Did you mean tasks.a.delimiter?"),
        (("tasks={a:3}",), 2, "tasks.a=3 must be the settings of a task, such as {name: choice"),
        (("tasks={a:{name:win_rate}}",), 2, "tasks.a: task=win_rate compares two models or needs a judge; run it alone"),
        (("tasks={a/b:{name:choice}}",), 2, "a/b"),
        (("tasks={a:{name:arithmetic,data:{path:x}}}",), 2, "tasks.a.data: task=arithmetic generates its problems"),
        (("tasks={a:{name:choice,data:{path:x,pth:y}}}",), 2, "there is no key tasks.a.data.pth. Did you mean tasks.a.data.path?"),
        (("tasks={a:{name:choice,fewshot:{q:1}}}",), 2, "there is no key tasks.a.fewshot.q."),
        (("tasks={a:{name:choice,fewshot:{k:-1}}}",), 2, "tasks.a.fewshot.k=-1 must be at least 0"),
        (("tasks={a:{name:choice,fewshot:{k:many}}}",), 2, "tasks.a.fewshot.k=many must be a whole number"),
        (("tasks={a:{name:choice,paper:{accuracy:0.5}}}",), 2, "tasks.a.paper must have the source of the numbers"),
        (
            ("tasks={a:{name:choice,paper:{source:x,f1:{big:1}}}}",),
            2,
            "tasks.a.paper.f1: big is not a number of parameters",
        ),
    ],
)
def test_invalid_settings_are_reported_in_one_line(evaluate: Any, words: tuple[str, ...], status: int, message: str) -> None:
    outcome = evaluate(*words)
    assert message in outcome.error_line
    assert outcome.status == status
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("runs/x,", "has an empty name between two commas, or at an end"),
        ("runs/x,runs/x", "checkpoint=runs/x is given twice; remove one"),
        ("runs/x,runs/z", "runs/z"),
    ],
)
def test_invalid_checkpoints_are_reported_in_one_line(evaluate: Any, checkpoint: str, message: str) -> None:
    outcome = evaluate("task=choice", "data.path=zero_shot/piqa.jsonl", checkpoint=checkpoint)
    assert message in outcome.error_line
    assert outcome.status in (1, 2)


def test_folder_of_one_task_is_not_used_for_several(evaluate: Any, tmp_path: Path) -> None:
    to = f"to={tmp_path / 'one'}"
    assert evaluate("task=choice", "data.path=zero_shot/piqa.jsonl", to).status == 0
    outcome = evaluate(TASKS, "data.root=zero_shot", to)
    assert outcome.status == 2
    assert "has the results of one task with one model; choose another folder" in outcome.error_line


@pytest.mark.process
def test_process_that_is_killed_continues_with_the_same_bytes(
    evaluate: Any, folder: Path, process_server: ProcessServer, tmp_path: Path
) -> None:
    words = ("checkpoint=runs/x,runs/y", TASKS.replace("examples:12", "examples:400"), "data.root=zero_shot")
    killed = 0
    for after in ("x/jars/results.json", "x/sums/protocol.json", "y/jars/items.jsonl", "y/sums/protocol.json"):
        process = process_server.start_gptkit("eval", *words, f"to={tmp_path / 'parts'}", cwd=folder)
        while process.poll() is None and not (tmp_path / "parts" / after).exists():
            time.sleep(0.01)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 1
    for name in ("parts", "whole"):
        assert evaluate(*words[1:], f"to={tmp_path / name}", checkpoint="runs/x,runs/y").status == 0
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
