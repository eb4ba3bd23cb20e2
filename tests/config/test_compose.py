"""The Python API composes the same typed settings as the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

import gptkit
from gptkit.attention import BandedAttentionConfig
from gptkit.callback import EarlyStoppingConfig
from gptkit.command import TrainCommand
from gptkit.errors import ConfigError
from gptkit.optimizer import MuonConfig
from gptkit.parts import fields_of
from gptkit.plugins import registry
from tests.command_line import compose_settings


def test_parts_are_instances_of_their_own_classes() -> None:
    run = gptkit.compose("train", ["attention=banded", "attention.window=16", "optimizer=muon", "hydra.run.dir=runs/here"])
    assert type(run.settings) is TrainCommand
    assert run.settings.attention == BandedAttentionConfig(window=16)
    assert type(run.settings.optimizer) is MuonConfig
    assert run.folder == Path("runs/here")


def test_a_change_of_composed_settings_does_not_reach_the_next() -> None:
    first = compose_settings("train", ["attention=banded"])
    assert isinstance(first, TrainCommand)
    first.attention.window = 3  # type: ignore[attr-defined]
    first.optimizer.schedule.shape = "linear"
    again = compose_settings("train", ["attention=banded"])
    assert (again.attention, again.optimizer.schedule.shape) == (BandedAttentionConfig(), "cosine")


def test_callbacks_may_have_any_name() -> None:
    chosen = compose_settings("train", ["+callback@callback.stop=early_stopping", "callback.stop.patience=7"])
    written = compose_settings("train", ["+callback.stop.name=early_stopping", "+callback.stop.patience=7"])
    assert chosen.callback == written.callback == {"stop": EarlyStoppingConfig(patience=7)}


def test_every_part_of_every_kind_composes() -> None:
    for kind in ("model", "attention", "objective", "tokenizer", "data", "optimizer"):
        for name, entry in registry().parts[kind].items():
            required = [field.name for field in fields_of(entry.part) if field.default == "???"]
            extra = [f"{kind}.{key}=" + ("{a:{name:sotu}}" if key == "sources" else "x") for key in required]
            settings = compose_settings("train", [f"{kind}={name}", *extra])
            assert type(getattr(settings, kind)) is entry.part


def test_compose_works_inside_a_hydra_job() -> None:
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_module("gptkit.conf", version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        assert compose_settings("train", ["seed=3"]).seed == 3
        assert GlobalHydra.instance().hydra is outer


def test_an_unknown_verb_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="Did you mean train"):
        gptkit.compose("trian")


def test_settings_are_plain_yaml() -> None:
    settings = compose_settings("train", ["tokenizer=char"])
    text = OmegaConf.to_yaml(OmegaConf.structured(settings))
    assert "!!python" not in text
    assert registry().resolve("tokenizer", OmegaConf.create(text).tokenizer) == settings.tokenizer
