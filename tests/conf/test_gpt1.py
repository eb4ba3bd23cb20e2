"""GPT-1's configuration has the numbers of the paper, and trains with +shrink=tiny."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import gptkit
from gptkit.config_groups import groups
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.scaling.compute import parameters


def settings_of(*words: str) -> RunConfig:
    settings = gptkit.compose("plan", list(words)).settings
    assert isinstance(settings, RunConfig)
    return settings


def test_pretraining_has_the_papers_numbers() -> None:
    settings = settings_of("+gpt1=pretrain")
    model, optimizer = settings.model, settings.optimizer
    assert (model.layers, model.width, model.heads, model.context, model.dropout) == (12, 768, 12, 512, 0.1)
    assert (settings.batch.size, settings.tokenizer.name, settings.objective.name) == (64, "gpt1", "lm")
    assert (optimizer.lr, optimizer.clip) == (2.5e-4, 1.0)
    assert (optimizer.betas, optimizer.eps, optimizer.weight_decay) == ([0.9, 0.999], 1e-8, 0.01)  # type: ignore[attr-defined]
    schedule = optimizer.schedule
    assert (schedule.shape, schedule.floor) == ("cosine", 0.0)
    assert schedule.warmup == 2000 * settings.batch.size * model.context


def test_the_parameter_count_is_that_of_the_released_weights_plus_a_row_for_end_of_text() -> None:
    conf = importlib.import_module("gptkit.conf")

    settings = settings_of("+gpt1=pretrain")
    assert parameters(settings.model, settings.attention, 40_478) == 116_534_784
    count = parameters(settings.model, settings.attention, settings.tokenizer.vocabulary_size() or 0)
    text = (Path(next(iter(conf.__path__))) / "gpt1" / "pretrain.yaml").read_text(encoding="utf-8")
    assert f"{count:,} parameters" in text
    assert count - 116_534_784 == settings.model.width


def test_the_documentation_has_the_same_numbers() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    section = text.partition("\n## GPT-1\n")[2].partition("\n## ")[0]
    for number in ("2.5e-4", "65,536,000", "32,768,000,000", "116,534,784", "40,478"):
        assert number in section


@pytest.mark.parametrize("kind", ["model", "attention", "tokenizer", "optimizer"])
def test_any_part_can_be_chosen(kind: str) -> None:
    for name in registry().parts[kind]:
        assert getattr(settings_of("+gpt1=pretrain", f"{kind}={name}"), kind).name == name


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
def test_it_trains_with_shrink_and_its_tokenizer_is_saved(tmp_path: Path) -> None:
    text = tmp_path / "fox.txt"
    text.write_text("The quick brown fox doesn't jump over the lazy dog.\n" * 200, encoding="utf-8")
    words = ["+gpt1=pretrain", "+shrink=tiny", "data=text", f"data.path={text}", "trainer=cpu", "trainer.max_steps=2"]
    result = gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={tmp_path / 'run'}"]))
    assert result["finished"]
    model, tokenizer = gptkit.load(str(tmp_path / "run"))
    assert model.settings.norm == "post"
    assert tokenizer.decode(tokenizer.encode("The Fox doesn't.")) == "the fox doesn't."


def test_the_group_has_the_pretraining_configuration() -> None:
    assert set(groups()["gpt1"]) >= {"pretrain"}
