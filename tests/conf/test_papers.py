"""GPT-2 and GPT-3 have the numbers of the papers, accept any part, and train with +shrink=tiny."""

from __future__ import annotations

import csv
import importlib
import re
from pathlib import Path

import pytest

import gptkit
from gptkit.config_groups import groups
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.scaling.compute import parameters

PAPERS = [f"{paper}={option}" for paper in ("gpt2", "gpt3") for option in groups()[paper]]
ALIASES = {"gpt2=117m": "gpt2=124m", "gpt2=345m": "gpt2=355m", "gpt2=762m": "gpt2=774m", "gpt2=1542m": "gpt2=1558m"}
NEEDS = {
    "data=text": ["data.path=a.txt"],
    "data=labelled": ["data.path=a.csv"],
    "data=dialogues": ["data.path=a.jsonl"],
    "data=rankings": ["data.path=a.jsonl"],
    "data=prompts": ["data.path=a.jsonl"],
    "data=choices": ["data.path=a.jsonl"],
    "data=cloze": ["data.path=a.jsonl"],
    "data=answers": ["data.path=a.jsonl"],
    "data=childrens_book_test": ["data.path=a.txt"],
    "data=rows": ["data.path=a.jsonl"],
    "data=mmlu": ["data.path=mmlu"],
    "data=coqa": ["data.path=a.json"],
    "data=parallel": ["data.path=a.tsv"],
    "data=folder": ["data.root=a"],
    "data=decontaminated": ["data.source={name:sotu}", "data.remove={a:{name:choices,path:a.jsonl}}"],
    "data=mixture": ["data.sources={a:{name:sotu}}"],
}


def settings_of(*words: str) -> RunConfig:
    settings = gptkit.compose("plan", list(words)).settings
    assert isinstance(settings, RunConfig)
    return settings


@pytest.fixture(scope="module")
def papers() -> dict[str, RunConfig]:
    return {paper: settings_of(f"+{paper}") for paper in PAPERS}


def test_the_groups_have_all_sizes() -> None:
    assert set(groups()["gpt2"]) == {"124m", "355m", "774m", "1558m", "117m", "345m", "762m", "1542m"}
    assert set(groups()["gpt3"]) == {"125m", "350m", "760m", "1.3b", "2.7b", "6.7b", "13b", "175b"}


def test_sizes_as_printed_in_the_paper_are_aliases(papers: dict[str, RunConfig]) -> None:
    for alias, paper in ALIASES.items():
        assert papers[alias] == papers[paper]


def test_gpt2_has_the_papers_numbers(papers: dict[str, RunConfig]) -> None:
    shapes = {}
    for size in ("124m", "355m", "774m", "1558m"):
        settings = papers[f"gpt2={size}"]
        shapes[size] = (settings.model.layers, settings.model.width)
        assert settings.model.width // settings.model.heads == 64
        assert settings.model.context == 1024
        assert settings.batch.size == 512
        assert settings.attention.name == "dense"
        assert settings.tokenizer.name == "gpt2"
    assert shapes == {"124m": (12, 768), "355m": (24, 1024), "774m": (36, 1280), "1558m": (48, 1600)}  # table 2


def test_gpt3_has_the_papers_numbers(papers: dict[str, RunConfig]) -> None:
    table = {  # table 2.1, with the two corrected entries: layers, width, heads, batch in tokens, learning rate
        "125m": (12, 768, 12, 0.5e6, 6.0e-4),
        "350m": (24, 1024, 16, 0.5e6, 3.0e-4),
        "760m": (24, 1536, 16, 0.5e6, 2.5e-4),
        "1.3b": (24, 2048, 16, 1e6, 2.0e-4),
        "2.7b": (32, 2560, 32, 1e6, 1.6e-4),
        "6.7b": (32, 4096, 32, 2e6, 1.2e-4),
        "13b": (40, 5120, 40, 2e6, 1.0e-4),
        "175b": (96, 12288, 96, 3.2e6, 0.6e-4),
    }
    for size, (layers, width, heads, batch, lr) in table.items():
        settings = papers[f"gpt3={size}"]
        model, optimizer = settings.model, settings.optimizer
        assert (model.layers, model.width, model.heads, model.context) == (layers, width, heads, 2048)
        assert settings.batch.size * model.context == pytest.approx(batch, rel=0.05)
        assert (optimizer.lr, optimizer.clip) == (lr, 1.0)
        schedule = optimizer.schedule
        assert (schedule.shape, schedule.warmup, schedule.decay, schedule.floor) == ("cosine", 375e6, 260e9, 0.1)
        assert (optimizer.betas, optimizer.eps, optimizer.weight_decay) == ([0.9, 0.95], 1e-8, 0.1)  # type: ignore[attr-defined]
        assert settings.tokens == 300e9
        assert settings.attention.name == "alternating"


def test_the_first_comment_of_a_configuration_has_the_parameter_count(papers: dict[str, RunConfig]) -> None:
    conf = importlib.import_module("gptkit.conf")

    for paper, settings in papers.items():
        if paper not in ALIASES:
            group, _, option = paper.partition("=")
            text = (Path(next(iter(conf.__path__))) / group / f"{option}.yaml").read_text(encoding="utf-8")
            count = parameters(settings.model, settings.attention, 50_257)
            assert f"{count:,} parameters" in text
            assert f"gptkit train +{paper}" in text


def test_the_documentation_has_the_same_table(papers: dict[str, RunConfig]) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    for paper, settings in papers.items():
        if paper in ALIASES:
            continue
        group, _, size = paper.partition("=")
        table = text.partition(f"| `+{group}=` |")[2].partition("\n\n")[0]
        row = next(line for line in table.splitlines() if line.startswith(f"| `{size}` |"))
        model = settings.model
        assert f"| {model.layers} | {model.width} | {model.heads} |" in row
        assert f"{parameters(model, settings.attention, 50_257):,}" in row
        assert settings.optimizer.lr in [float(word) for word in re.findall(r"[0-9.]+e-4", row)]
        assert group == "gpt2" or f"| {settings.batch.size} (" in row


SWAPS = [
    f"{kind}={name}"
    for kind in ("model", "attention", "objective", "tokenizer", "data", "optimizer")
    for name in registry().parts[kind]
]


@pytest.mark.parametrize("swap", SWAPS)
def test_any_part_can_be_chosen_with_any_paper(swap: str) -> None:
    kind, _, name = swap.partition("=")
    for paper in ("gpt2=124m", "gpt3=175b"):
        settings = settings_of(f"+{paper}", swap, *NEEDS.get(swap, []))
        assert getattr(settings, kind).name == name
        assert settings.batch.size == {"gpt2=124m": 512, "gpt3=175b": 1568}[paper]


def test_the_command_line_overrides_the_paper_and_the_paper_overrides_the_defaults() -> None:
    settings = settings_of("+gpt3=6.7b", "optimizer.lr=1e-3", "optimizer=muon", "model.dropout=0.1")
    assert (settings.optimizer.name, settings.optimizer.lr) == ("muon", 1e-3)
    assert settings.optimizer.schedule.warmup == 375e6
    assert (settings.model.dropout, settings.model.layers) == (0.1, 32)


@pytest.mark.parametrize("paper", ["gpt2=1558m", "gpt3=175b"])
def test_shrink_keeps_the_parts_of_the_paper(paper: str, papers: dict[str, RunConfig]) -> None:
    whole, tiny = papers[paper], settings_of(f"+{paper}", "+shrink=tiny")
    assert (tiny.attention, tiny.tokenizer, tiny.objective) == (whole.attention, whole.tokenizer, whole.objective)
    assert (tiny.optimizer.lr, tiny.optimizer.schedule.floor) == (whole.optimizer.lr, whole.optimizer.schedule.floor)
    assert tiny.model.dropout == whole.model.dropout
    assert (tiny.model.layers, tiny.model.width) == (2, 32)
    assert tiny.tokens // (tiny.batch.size * tiny.model.context) == 4


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "fox.txt"
    file.write_text("The quick brown fox jumps over the lazy dog. " * 200, encoding="utf-8")
    return file


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
@pytest.mark.parametrize("paper", [paper for paper in PAPERS if paper not in ALIASES])
def test_every_paper_trains_two_steps_with_shrink(paper: str, text: Path, tmp_path: Path) -> None:
    words = [f"+{paper}", "+shrink=tiny", "data=text", f"data.path={text}", "trainer=cpu"]
    steps = ["trainer.max_steps=2", "trainer.log_every_n_steps=1", f"hydra.run.dir={tmp_path}"]
    run = gptkit.compose("train", [*words, *steps])
    result = gptkit.run(run)
    assert result["finished"]
    assert result["steps"] == 2
    assert 10.0 < result["val_loss"] < 11.5  # ln 50,257 is 10.8
    with (tmp_path / "metrics.csv").open(encoding="utf-8", newline="") as rows:
        rates = [float(row["lr"]) for row in csv.DictReader(rows) if row["lr"]]
    assert isinstance(run.settings, RunConfig)
    assert max(rates) > run.settings.optimizer.lr / 2  # the warm-up was shrunk with the run
