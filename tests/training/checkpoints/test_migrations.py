"""Runs of earlier versions load and resume, even if keys, entries or weights were added, renamed or dropped since.

`data/old_run` contains a run that version 0.1.0 stopped half way, and the weights that this version reached at its end. The resumed
run must reach them bit for bit on processors whose kernels give the same numbers (`kernels` is a digest of the kernels that the run
uses), and closely on others, which may add in another order. Migrations are tested exactly on every machine: the resumed run is
compared with itself, once with the files unchanged and once with the files as older code would have written them.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

import gptkit
from gptkit.errors import CheckpointError, ConfigError
from gptkit.mkl_mode import ENV_VARIABLE, current_mode
from gptkit.training.checkpoints import migrations
from gptkit.training.checkpoints.checkpoint import read_checkpoint
from gptkit.training.checkpoints.manifest import describe_files, read_manifest, sha256, to_json
from gptkit.training.checkpoints.save import STATE_ENTRIES

DATA = Path(__file__).parent / "data" / "old_run"
WORDS = [
    *(
        "data=text",
        "data.path=text.txt",
        "tokenizer=bytes",
        "model.layers=1",
        "model.heads=1",
        "model.width=4",
        "model.context=8",
        "model.dropout=0.1",
    ),
    *("batch.size=4", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_steps=8", "val.every=2", "ema=0.9"),
    *("val.sequences=4", "samples.prompts=[]", "optimizer.lr=0.01", "save.keep=1", "trainer.log_every_n_steps=1"),
]
KERNELS = "66c0976b47833b07070eed6f3ff76f5b0be36326bbf7d8d786df464943bb5a64"
"""The digest on the machine where `final.safetensors` was computed."""

Weights = Callable[[Path], dict[str, Tensor]]


def kernels() -> str:
    """Return a digest of sums, exponentials and an optimizer step on this machine, in the sizes of the run."""
    weight = torch.nn.Parameter(torch.linspace(-1, 1, 257 * 4).reshape(257, 4).sin())
    optimizer = torch.optim.AdamW([weight], lr=0.01, fused=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(3):
            hidden = F.dropout(F.gelu(F.layer_norm(weight[:32].reshape(4, 1, 8, 4), (4,)), approximate="tanh"), 0.1)
            seen = F.scaled_dot_product_attention(hidden, hidden, hidden, is_causal=True)
            F.cross_entropy((seen.reshape(32, 4) @ weight.T), torch.arange(32)).backward()
            torch.nn.utils.clip_grad_norm_([weight], 1.0)
            optimizer.step()
            optimizer.zero_grad()
    return hashlib.sha256(weight.detach().numpy().tobytes()).hexdigest()


@pytest.fixture(autouse=True, scope="module")
def _own_mkl_mode() -> Iterator[None]:
    """Continuing an old run sets its MKL mode in the environment, which processes of later tests would inherit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENV_VARIABLE, current_mode())
        yield


@pytest.fixture(autouse=True, scope="module")
def _beside_the_text() -> Iterator[None]:
    """Run the tests in the folder of the text, in which the old run was started."""
    with contextlib.chdir(DATA):
        yield


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """A copy of the old run to resume."""
    return Path(shutil.copytree(DATA, tmp_path / "run"))


def continued(run: Path, *words: str) -> Any:
    return gptkit.run(gptkit.compose("train", [*WORDS, *words, f"hydra.run.dir={run}"]))


def rewritten(run: Path, **files: Callable[[Any], Any]) -> None:
    """Apply changes to config.yaml, the state, the weights (`model`) or the body of the manifest of a run's checkpoint."""
    (folder,) = (run / "checkpoints").iterdir()
    if "config" in files:
        text = yaml.safe_dump(files["config"](yaml.safe_load((folder / "config.yaml").read_text())), sort_keys=False)
        (folder / "config.yaml").write_text(text)
        (run / "config.yaml").write_text(text)
    if "state" in files:
        torch.save(files["state"](torch.load(folder / "state.pt", weights_only=True)), folder / "state.pt")
    if "model" in files:
        save_file(files["model"](load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    manifest = read_manifest(folder)
    (folder / "manifest.json").write_text(to_json(replace(manifest, files=describe_files(folder))), encoding="utf-8")


def without(*keys: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the content without these dotted keys."""
    return lambda content: migrations.rename_keys(content, dict.fromkeys(keys))


def under(table: Mapping[str, str | None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the content with renamed keys."""
    return lambda content: migrations.rename_keys(content, table)


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the SHA-256 of the weights that the current version reaches from the old run on this machine."""
    run = Path(shutil.copytree(DATA, tmp_path_factory.mktemp("reached") / "run"))
    assert continued(run)["steps"] == 8
    return sha256(run / "checkpoints" / "step-00000008" / "model.safetensors")


def final(run: Path) -> str:
    return sha256(run / "checkpoints" / "step-00000008" / "model.safetensors")


def test_old_run_resumes_to_the_weights_of_its_own_version(old_run: Path, weights: Weights, reached: str) -> None:
    expected = load_file(DATA / "final.safetensors")
    assert weights(old_run).keys() == expected.keys()
    assert continued(old_run)["steps"] == 8
    for name, tensor in weights(old_run).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-6)
    if kernels() == KERNELS:
        assert final(old_run) == reached == sha256(DATA / "final.safetensors")


@pytest.mark.parametrize(
    "keys",
    [
        ["data.errors"],
        ["optimizer.schedule.decay", "model.tied", "val.sequences"],
        ["reward", "callback", "epochs", "compile", "init_from", "batch.micro", "objective.separate_documents"],
    ],
    ids=", ".join,
)
def test_missing_config_keys_get_their_defaults(keys: list[str], old_run: Path, reached: str) -> None:
    rewritten(old_run, config=without(*keys))
    assert continued(old_run)["steps"] == 8
    assert final(old_run) == reached


def test_new_key_with_another_value_than_its_default_prevents_resuming(old_run: Path) -> None:
    rewritten(old_run, config=without("data.errors"))
    with pytest.raises(ConfigError, match=r"\(data\.errors: strict -> replace\)"):
        continued(old_run, "data.errors=replace")


def test_missing_state_entries_get_their_former_effective_values(old_run: Path, reached: str) -> None:
    rewritten(old_run, state=without("sources", "compared_by", "merit", "callbacks", "finished_early", "scaler", "val_metrics"))
    assert continued(old_run)["steps"] == 8
    assert final(old_run) == reached


def test_newer_optimizer_setting_gets_its_default(old_run: Path, reached: str) -> None:
    def older(state: dict[str, Any]) -> dict[str, Any]:
        for group in state["optimizer"]["groups"]:
            del group["peak_lr"], group["capturable"]
        return state

    rewritten(old_run, state=older)
    assert continued(old_run)["steps"] == 8
    assert final(old_run) == reached


def test_disabled_sanity_checks_of_an_old_run_stay_disabled() -> None:
    content = migrations.current_config({"objective": {"name": "ppo", "doctor": False}})
    assert content == {"objective": {"name": "ppo", "sanity_checks": False}}


def test_compared_by_of_an_old_state_becomes_the_monitored_metric() -> None:
    state = migrations.current_state({"merit": -0.9, "compared_by": "accuracy"})
    assert (state["value_to_minimize"], state["monitor"], state["monitor_mode"]) == (-0.9, "accuracy", "max")
    state = migrations.current_state({"merit": 1.5, "compared_by": None})
    assert (state["value_to_minimize"], state["monitor"], state["monitor_mode"]) == (1.5, None, "min")


def test_every_state_entry_is_saved_or_has_a_default() -> None:
    assert set(STATE_ENTRIES) - set(migrations.STATE_DEFAULTS) == {"step", "tokens", "optimizer"}
    assert set(migrations.STATE_DEFAULTS) < set(STATE_ENTRIES)


def test_missing_required_state_entries_are_named(old_run: Path) -> None:
    rewritten(old_run, state=without("optimizer"))
    with pytest.raises(CheckpointError, match=r"another version of gptkit without optimizer, .*init_from="):
        continued(old_run)


def test_renamed_and_dropped_keys_and_weights_are_migrated(old_run: Path, reached: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def older(state: dict[str, Any]) -> dict[str, Any]:
        state["best"] = state.pop("best_val_loss")
        state["weights"] = older_names(state["weights"])
        state["optimizer"]["state"] = older_names(state["optimizer"]["state"])
        for group in state["optimizer"]["groups"]:
            group["names"] = list(older_names(dict.fromkeys(group["names"])))
        return state

    def older_names(tensors: dict[str, Any]) -> dict[str, Any]:
        return {name.replace("blocks.0.", "layer_0."): tensor for name, tensor in tensors.items()}

    config = {"optimizer.clip": "optimizer.max_norm", "val.sequences": "eval_sequences"}
    rewritten(
        old_run,
        config=lambda content: {**under(config)(content), "gone": 1},
        state=older,
        model=older_names,
    )
    with pytest.raises(ConfigError, match="has no key"):
        continued(old_run)
    monkeypatch.setattr(
        migrations, "CONFIG_KEYS", {"optimizer.max_norm": "optimizer.clip", "eval_sequences": "val.sequences", "gone": None}
    )
    monkeypatch.setattr(migrations, "STATE_NAMES", {"best": "best_val_loss"})
    monkeypatch.setattr(migrations, "TENSOR_NAMES", {r"\blayer_(\d+)\.": r"blocks.\1."})
    model, _ = gptkit.load(str(old_run))
    assert model.vocabulary == 257
    assert continued(old_run)["steps"] == 8
    assert final(old_run) == reached


def test_renaming_keeps_existing_new_keys_and_supports_wildcards() -> None:
    content = {"callback": {"a": {"name": "x", "limit": 1}, "b": {"name": "y"}}, "old": 2, "new": 3, "gone": 4}
    table = {"callback.*.limit": "callback.*.stop.after", "old": "new", "gone": None, "nowhere.at.all": "x"}
    expected = {"callback": {"a": {"name": "x", "stop": {"after": 1}}, "b": {"name": "y"}}, "new": 3}
    assert migrations.rename_keys(content, table) == expected
    assert content["old"] == 2
    assert read_checkpoint(next((DATA / "checkpoints").iterdir())).content["optimizer"]["clip"] == 1.0


def test_parts_that_were_renamed_are_migrated() -> None:
    tasks = {"stories": {"name": "likely_option", "examples": 8}, "sentiment": {"name": "next_word"}, "none": None}
    content = migrations.current_config({"callback": {"zero": {"name": "zero_shot", "tasks": tasks}, "flag": {"name": "flag"}}})
    assert content["callback"]["zero"]["name"] == "evaluation"
    assert content["callback"]["zero"]["tasks"] == {**tasks, "stories": {"name": "choice", "examples": 8}}


def test_the_template_of_an_old_run_becomes_a_part() -> None:
    content = migrations.current_config({"objective": {"name": "sft", "template": "transcript"}})
    assert content == {"objective": {"name": "sft"}, "chat_template": {"name": "transcript"}}
