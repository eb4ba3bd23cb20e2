"""Every number declares its limits, and invalid values are rejected on the command line, in Python and in config files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

import pytest

import gptkit
from gptkit.constraint_checks import check_constraints, declared_fields
from gptkit.constraints import Bound, above, at_least, below, items, may_be_infinite, not_empty, one_of, texts
from gptkit.errors import ConfigError
from gptkit.plugins import registry
from gptkit.training.checkpoints.config_file import settings_from, to_plain
from tests.command_line import GptkitCommand, compose_settings


def numbers() -> Iterator[tuple[type[Any], str, str]]:
    """Yields (settings class, key of its part, field) for every number of every part."""

    def walk(owner: Any, path: str) -> Iterator[tuple[type[Any], str, str]]:
        for name, declared in declared_fields(owner).items():
            types = {declared.hint, *get_args(declared.hint)}
            if (
                dataclasses.is_dataclass(declared.hint)
                and declared.hint.__module__.endswith(("run_config", "optimizer"))
                and name != "optimizer"
            ):
                yield from walk(declared.hint, f"{path}.{name}".lstrip("."))
            elif types & {int, float}:
                yield owner, path, name

    for kind, parts in registry().parts.items():
        for entry in parts.values():
            yield from walk(entry.part, "" if kind == "command" else kind)


NUMBERS = sorted({(owner, path, name) for owner, path, name in numbers()}, key=lambda each: (each[0].__name__, each[1:]))
SIZES = {
    "layers", "heads", "width", "units", "context", "window", "size", "micro", "samples", "batch", "devices", "group", "best_of",
    "max_new_tokens", "tokens", "minibatch", "completions", "lr", "value_lr", "weight_decay",
}  # fmt: skip
"""Numbers that need an upper limit, because large values exhaust memory or overflow."""


def test_the_numbers_include_those_of_nested_settings() -> None:
    keys = {f"{path}.{name}".lstrip(".") for _, path, name in NUMBERS}
    assert {
        "optimizer.lr",
        "optimizer.schedule.decay",
        "optimizer.betas",
        "batch.micro",
        "val.fraction",
        "epochs",
        "reward.run",
    } <= keys


@pytest.mark.parametrize(("owner", "path", "name"), NUMBERS, ids=lambda each: each if isinstance(each, str) else each.__name__)
def test_every_number_has_a_lower_limit_and_every_size_an_upper_one(owner: Any, path: str, name: str) -> None:
    bounds = {bound.words for bound in declared_fields(owner)[name].constraints if isinstance(bound, Bound)}
    assert bounds & {"at least", "above"}
    assert name not in SIZES or bounds & {"at most", "below"}
    is_list = "list" in str(declared_fields(owner)[name].hint)
    for value in (float("nan"), float("inf"), -1e30, -(10**30), True):
        with pytest.raises(ConfigError, match=rf"^{path}\.?{name}(\[0\])?=\S+ must be "):
            check_constraints({name: [value, value] if is_list else value}, path, of=owner)


@dataclass
class Inner:
    share: Annotated[float, "a share", at_least(0), below(1)] = 0.5


@dataclass
class Own:
    mode: Annotated[str, "a mode", one_of("fast", "exact")] = "fast"
    rate: Annotated[float | None, "a rate", above(0)] = None
    each: Annotated[list[float], "two numbers", items(2), at_least(0)] = field(default_factory=lambda: [0.0, 1.0])
    micro: Annotated[int | str, "a number or auto", at_least(1), one_of("auto")] = "auto"
    path: Annotated[Any, "files", texts, not_empty] = "x"
    free: Annotated[float, "anything", may_be_infinite] = 0.0
    plain: int = 0
    by_name: dict[str, Any] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"mode": "exat"}, "a.mode=exat must be fast or exact. Did you mean exact?"),
        ({"mode": 3}, "a.mode=3 must be a string"),
        ({"mode": None}, "a.mode=null: a.mode must have a value"),
        ({"rate": 0.0}, "a.rate=0 must be above 0"),
        ({"each": [0.5]}, "a.each=[0.5] must have 2 items, not 1"),
        ({"each": [0.5, -0.25]}, "a.each[1]=-0.25 must be at least 0"),
        ({"each": "ab"}, "a.each=ab must be a list"),
        ({"micro": "all"}, "a.micro=all must be a number or auto"),
        ({"micro": 0}, "a.micro=0 must be at least 1"),
        ({"micro": True}, "a.micro=true must be a whole number or a string"),
        ({"path": ""}, "a.path= must not be empty"),
        ({"path": []}, "a.path=[] must not be empty"),
        ({"path": ["x", ""]}, "a.path[1]= must not be empty"),
        ({"path": ["x", None]}, "a.path[1]=null must be a string or a list of strings"),
        ({"path": {"x": 1}}, "a.path={'x': 1} must be a string or a list of strings"),
        ({"path": "a\0b\n"}, r"a.path=a\x00b\n must not contain a NUL character"),
        ({"path": "a\ud800"}, r"a.path=a\ud800 must be valid Unicode"),
        ({"free": float("nan")}, "a.free=nan must be a finite number"),
        ({"plain": 2**63}, "a.plain=9223372036854775808 must fit in 64 bits"),
        ({"plain": 10**5000}, "a.plain=1.00e+5000 must fit in 64 bits"),
        ({"plain": 1.5}, "a.plain=1.5 must be a whole number"),
        ({"by_name": {"x": {"y": [float("inf")]}}}, "a.by_name.x.y[0]=inf must be a finite number"),
        ({"by_name": {"x\0": 1}}, r"a.by_name has the key x\x00, which must not contain a NUL character"),
        ({"inner": {"share": 1.0}}, "a.inner.share=1 must be below 1"),
        ({"inner": Inner(share=-1.0)}, "a.inner.share=-1 must be at least 0"),
        ({"inner": 3}, "a.inner=3 must be a mapping of keys to values"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_its_key(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_constraints(values, "a", of=Own)
    assert str(error.value) == reason


def test_valid_values_pass() -> None:
    check_constraints(Own())
    check_constraints(
        Own(mode="exact", rate=1e-30, micro=3, path=["a", "b"], free=float("inf"), plain=-(2**63), by_name={"x": None})
    )


INVALID = [
    (["optimizer.lr=-1"], "optimizer.lr=-1 must be at least 0"),
    (["optimizer.schedule.floor=1.5"], "optimizer.schedule.floor=1.5 must be at most 1"),
    (["optimizer.betas=[0.9,1]"], "optimizer.betas[1]=1 must be below 1"),
    (["batch.size=1000000000"], "batch.size=1000000000 must be at most 1,048,576"),
    (["batch.micro=true"], "batch.micro=True must be a whole number or a string"),
    (["tokens=1e400"], "tokens=inf must be a whole number"),
    ([f"seed={10**30}"], "seed=1.00e+30 must fit in 64 bits"),
    ([f"seed={'9' * 5000}"], "seed=99999999999999999999... must fit in 64 bits"),
    (["data=text", f"data.path={'[' * 3000}{']' * 3000}"], "data.path=[[[[[[[[[[[[[[[[[[[[... is nested too deeply"),
    (["epochs=1e400"], "epochs=inf must be a finite number"),
    (["model.heads=0"], "model.heads=0 must be at least 1"),
    (["data=text", "data.path="], "data.path= must not be empty"),
    (["data=text", "data.path='a\0b'"], r"data.path=a\x00b must not contain a NUL character"),
    (["objective=ppo", "objective.clip=nan"], "objective.clip=nan must be a finite number"),
    (["data=mixture", "data.sources={a:{name:text,path:x,errors:no}}"], ""),
    (["+callback@callback.e=early_stopping", "callback.e.patience=-3"], "callback.e.patience=-3 must be at least 1"),
    (["++callback.e={name:early_stopping,improvement:nan}"], "callback.e.improvement=nan must be a finite number"),
]


@pytest.mark.parametrize(("words", "reason"), INVALID, ids=lambda each: " ".join(each)[:40] if isinstance(each, list) else "")
def test_the_command_line_and_python_reject_invalid_values_in_one_line(
    words: list[str], reason: str, gptkit_command: GptkitCommand, in_folder: Any
) -> None:
    if reason:
        with pytest.raises(ConfigError) as error:
            gptkit.compose("train", words)
        assert str(error.value) == reason
    outcome = gptkit_command("train", *words)
    assert outcome.status == 2
    assert outcome.error_line.endswith(reason or "data.sources.a.errors=no must be strict or replace")


@pytest.mark.parametrize(
    ("keys", "value", "reason"),
    [
        (("optimizer", "lr"), float("nan"), "run.yaml: optimizer.lr=nan must be a finite number"),
        (("batch", "size"), 0, "run.yaml: batch.size=0 must be at least 1"),
        (("batch", "size"), "many", "run.yaml: batch.size=many must be a whole number"),
        (("batch",), "many", "run.yaml: batch=many must be a mapping of keys to values"),
        (("model",), None, "run.yaml: model=null: model must have a value"),
        (("seed",), [1], "run.yaml: seed=[1] must be a whole number"),
    ],
)
def test_a_config_file_is_checked_like_the_command_line(keys: tuple[str, ...], value: Any, reason: str) -> None:
    content = to_plain(compose_settings("train"))
    node = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    with pytest.raises(ConfigError) as error:
        settings_from(content, where="run.yaml")
    assert str(error.value) == reason


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_the_smallest_and_the_largest_seed_are_usable(seed: int) -> None:
    import numpy as np
    import torch

    from gptkit.generation.sampling import sequence_uniforms

    assert compose_settings("train", [f"seed={seed}"]).seed == seed
    torch.Generator().manual_seed(seed)
    assert np.isfinite(sequence_uniforms(seed, 0, 0, 3)).all()
