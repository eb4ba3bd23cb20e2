"""docs/parts.md: every hook has a section with its actual signature, an example that works, and a list of the built-in parts.

A new hook fails these tests until it has a section, and a check of its example in `CHECKS`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit import hookspecs
from gptkit.config.command_line import parse_command_line
from gptkit.config.compose import compose
from gptkit.hookspecs import KINDS
from gptkit.parts import summary
from gptkit.plugins import Entry, registry

ROOT = Path(__file__).resolve().parents[2]


def section(kind: str) -> str:
    actual = re.search(rf"^## {kind}\n(.*?)(?=^## |\Z)", (ROOT / "docs/parts.md").read_text(), re.MULTILINE | re.DOTALL)
    assert actual, f"docs/parts.md has no section for {kind}"
    return actual[1]


def blocks(kind: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section(kind), re.MULTILINE | re.DOTALL)


def base_class(kind: str) -> type[Any]:
    """Return the base class of a kind, from which every built-in part is derived."""
    name = "Command" if kind == "command" else f"{kind.title().replace('_', '')}Config"
    base: type[Any] = getattr(importlib.import_module(f"gptkit.{kind}"), name)
    assert all(issubclass(entry.part, base) for entry in registry().parts[kind].values())
    return base


def test_every_hook_is_a_kind() -> None:
    assert {name.removeprefix("gptkit_") for name in vars(hookspecs) if name.startswith("gptkit_")} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_names_hook_base_class_and_signature(kind: str) -> None:
    base = base_class(kind)
    method = "execute" if kind == "command" else "build"
    signature = str(inspect.signature(getattr(base, method))).replace("'", "")
    assert f"Hook `gptkit_{kind}`, base class `gptkit.{kind}.{base.__name__}`." in section(kind)
    assert blocks(kind, "python")[0] == f"def {method}{signature}\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_has_a_line_for_every_built_in_part(kind: str) -> None:
    expected = [f"- `{name}`: {summary(entry.part)}" for name, entry in registry().parts[kind].items()]
    actual = [line for line in section(kind).splitlines() if line.startswith("- `")]
    assert actual == expected, f"docs/parts.md, section {kind}, must list:\n" + "\n".join(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_with_built_in_parts_has_tests(kind: str) -> None:
    if registry().parts[kind]:
        assert list((ROOT / "tests" / kind).glob("test_*.py")), f"there is no test in tests/{kind}"


def train(folder: Path, *words: str) -> dict[str, Any]:
    """Train a tiny model for two steps, and return the summary of the run."""
    (folder / "x.txt").write_text("To be, or not to be, that is the question.\n" * 30)
    defaults = ["data=text", f"data.path={folder / 'x.txt'}", "tokenizer=bytes", "+shrink=tiny", "trainer=cpu", "tokens=256"]
    chosen = {word.partition("=")[0] for word in words}
    if "data" in chosen:
        defaults = defaults[2:]
    kept = [word for word in defaults if word.partition("=")[0] not in chosen]
    run = gptkit.compose("train", [*kept, *words, f"hydra.run.dir={folder / 'run'}"])
    result: dict[str, Any] = gptkit.run(run)
    return result


def check_model(entry: Entry, folder: Path, capsys: Any) -> None:
    import torch

    train(folder, "model=bigram")
    model, tokenizer = gptkit.load(str(folder / "run"))
    tokens = torch.tensor([tokenizer.encode("to be"), tokenizer.encode("or no")])
    cache = model.cache(2, 5)
    stepwise = torch.cat([model(tokens[:, t : t + 1], cache=cache) for t in range(5)], dim=1)
    torch.testing.assert_close(model.logits(stepwise), model.logits(model(tokens)))
    assert model.logits(stepwise).shape == (2, 5, 257)


def check_adapter(entry: Entry, folder: Path, capsys: Any) -> None:
    import torch

    train(folder)
    base, tokenizer = gptkit.load(str(folder / "run"))
    tokens = torch.tensor([tokenizer.encode("to be")])
    before = base.logits(base(tokens)).detach()
    tuned = gptkit.compose(
        "train",
        [
            *("adapter=offset", f"init_from={folder / 'run'}", "data=text", f"data.path={folder / 'x.txt'}", "trainer=cpu"),
            *("batch.size=4", "trainer.max_steps=2", "optimizer.lr=0.1", f"hydra.run.dir={folder / 'tuned'}"),
        ],
    )
    settings: Any = tuned.settings
    assert gptkit.run(tuned)["parameters"] == settings.model.width
    model, _ = gptkit.load(str(folder / "tuned"))
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, base.state_dict()[name])]
    assert changed == ["norm.bias"]
    assert not torch.equal(model.logits(model(tokens)), before)


def check_attention(entry: Entry, folder: Path, capsys: Any) -> None:
    import torch

    train(folder, "attention=narrowing", "attention.window=8")
    built = entry.part(window=8).build(width=8, heads=2, context=16, dropout=0.0, layer=1, layers=2)
    x = torch.randn(1, 16, 8)
    changed = x.clone()
    changed[:, 0] += 1.0
    moved = (built(x) - built(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [0, 1, 2, 3]  # half as wide in layer 1


def check_objective(entry: Entry, folder: Path, capsys: Any) -> None:
    import torch

    train(folder, "objective=steady_lm")
    model, tokenizer = gptkit.load(str(folder / "run"))
    built = entry.part(z=0.5).build(tokenizer=tokenizer, context=4, width=32)
    tokens = torch.tensor([tokenizer.encode("to be")])
    batch = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:]}
    terms, _ = built.loss(model, batch)
    assert terms.keys() == built.counts(batch).keys() == {"lm", "z"}
    normaliser = model.logits(model(batch["tokens"])).exp().sum(-1).log()
    torch.testing.assert_close(terms["z"], (0.5, (normaliser**2).sum()))


def check_tokenizer(entry: Entry, folder: Path, capsys: Any) -> None:
    train(folder, "tokenizer=folded")
    _, tokenizer = gptkit.load(str(folder / "run"))
    assert tokenizer.decode(tokenizer.encode("To BE")) == "to be"
    assert [ids.tolist() for ids in tokenizer.encode_batch(["To BE"])] == [tokenizer.encode("to be")]


def check_chat_template(entry: Entry, folder: Path, capsys: Any) -> None:
    from gptkit.records import Turn
    from gptkit.training.checkpoints.load import load_objective

    (folder / "x.jsonl").write_text('{"prompt": "Name?", "completion": "Ann"}\n' * 20)
    train(folder, "objective=sft", "data=dialogues", f"data.path={folder / 'x.jsonl'}", "chat_template=letters")
    template = load_objective(str(folder / "run")).objective.chat_template
    assert template.prompt_text([Turn("user", "Name?")]) == "u: Name?<|endoftext|>a: "
    assert template.answer_ids([Turn("user", "Name?")], "Ann") == [*b"Ann", 256]


def check_data(entry: Entry, folder: Path, capsys: Any) -> None:
    train(folder, "data=squares")
    assert [record.text for record in entry.part(largest=2).build().records("train")][-1] == "The square of 2 is 4.\n"
    assert entry.part(largest=2).build().fingerprint != entry.part(largest=3).build().fingerprint


def check_optimizer(entry: Entry, folder: Path, capsys: Any) -> None:
    import torch

    train(folder, "optimizer=sgd")
    weight = torch.nn.Parameter(torch.ones(2))
    built = entry.part(lr=0.5).build(parameters=[("weight", weight)])
    weight.sum().backward()
    built.step()
    assert weight.tolist() == [0.5, 0.5]


def check_reward(entry: Entry, folder: Path, capsys: Any) -> None:
    from gptkit.records import Prompt, Turn
    from gptkit.training.checkpoints.load import load_objective

    judge = registry().resolve("reward", {"name": "brevity", "characters": 2}).build(load=load_objective)
    assert judge([Prompt((Turn("user", "Hello"),))] * 2, ["Hi", "Good"]).tolist() == [1.0, 0.5]


def check_task(entry: Entry, folder: Path, capsys: Any) -> None:
    train(folder)
    scores = gptkit.run(gptkit.compose("eval", ["task=surprise", "task.sentence=To be", f"checkpoint={folder / 'run'}"]))
    assert scores.keys() == {"surprise"}
    assert 0 < scores["surprise"] < 10


def check_callback(entry: Entry, folder: Path, capsys: Any) -> None:
    train(folder, "+callback@callback.flag=flag", f"callback.flag.file={folder / 'done'}")
    assert (folder / "done").read_text() == "done\n"


def check_logger(entry: Entry, folder: Path, capsys: Any) -> None:
    train(folder, "logger=lines", "logger.lines.file=log.jsonl")
    last = json.loads((folder / "run" / "lines" / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 2
    assert "val/loss" in last


def check_command(entry: Entry, folder: Path, capsys: Any) -> None:
    capsys.readouterr()
    gptkit.run(gptkit.compose("reach", ["attention=alternating", "attention.window=1", "context=3"]))
    assert capsys.readouterr().out == "0 2.0\n1 1.0\n"


CHECKS: dict[str, Callable[[Entry, Path, Any], None]] = {
    "model": check_model,
    "adapter": check_adapter,
    "attention": check_attention,
    "objective": check_objective,
    "tokenizer": check_tokenizer,
    "chat_template": check_chat_template,
    "data": check_data,
    "optimizer": check_optimizer,
    "reward": check_reward,
    "task": check_task,
    "callback": check_callback,
    "logger": check_logger,
    "command": check_command,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_section_is_a_plugin_that_works(kind: str, site: Any, tmp_path: Path, capsys: Any) -> None:
    assert kind in CHECKS, f"nothing checks the example of {kind}: write check_{kind}"
    before = set(registry().parts[kind])
    files = {"example/__init__.py": blocks(kind, "python")[-1]}
    for text in blocks(kind, "yaml"):
        name = re.match(r"# (\S+\.yaml)\n", text)
        assert name
        files[f"example/{name[1]}"] = text
    site.install("gptkit-example", files, entry_point="example")
    (new,) = set(registry().parts[kind]) - before
    entry = registry().find(kind, new)
    assert entry.distribution == "gptkit-example"
    assert summary(entry.part)
    first = files["example/__init__.py"].splitlines()[0]
    assert re.search(rf"\b{new}\b", first), f"the example of {kind} must begin with a command that uses it"
    words = parse_command_line(shlex.split(first.removeprefix("# gptkit ")))
    compose(words.verb, words.overrides)
    CHECKS[kind](entry, tmp_path, capsys)
