"""A name on the Hub may include a revision, and checkpoints record the commit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import gptkit
from gptkit import hub
from tests.command_line import GptkitCommand

NEWEST, TAGGED = "a" * 40, "b" * 40
WORDS = ["data=text", "data.path=x.txt", "tokenizer=bpe", "tokenizer.size=300", "trainer=cpu", "+shrink=tiny", "val.every=0"]


@pytest.fixture
def cache(
    gptkit_command: GptkitCommand, in_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A cache in the layout of the Hub, with two revisions of `me/tiny` that were downloaded earlier."""
    constants = pytest.importorskip("huggingface_hub.constants")
    folder = tmp_path_factory.mktemp("hub")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    hub.commits.clear()
    (in_folder / "x.txt").write_text("To be, or not to be, that is the question. " * 60)
    model = folder / "models--me--tiny"
    (model / "refs").mkdir(parents=True)
    for seed, commit, ref in ((1, NEWEST, "main"), (2, TAGGED, "v1.0")):
        done = gptkit_command("train", *WORDS, f"seed={seed}", f"hydra.run.dir=run{seed}")
        assert done.status == 0, done.err
        assert gptkit_command("export", f"checkpoint=run{seed}", f"to=out{seed}").status == 0
        shutil.copytree(f"out{seed}", model / "snapshots" / commit)
        (model / "refs" / ref).write_text(commit)
    return model


def test_revision_is_downloaded_and_stored_in_the_manifest(cache: Path, gptkit_command: GptkitCommand) -> None:
    for name, run in (("me/tiny", "run1"), ("me/tiny@main", "run1"), ("me/tiny@v1.0", "run2"), (f"me/tiny@{TAGGED}", "run2")):
        theirs, _ = gptkit.load(f"hf:{name}")
        ours, _ = gptkit.load(run)
        assert all(torch.equal(theirs.state_dict()[key], value) for key, value in ours.state_dict().items())
    words = [*WORDS[:2], "trainer=cpu", "val.every=0", "batch.size=2", "init_from=hf:me/tiny@v1.0", "hydra.run.dir=tuned"]
    for steps in (1, 2):  # the second command resumes the run, without a request to the Hub
        done = gptkit_command("train", *words, f"trainer.max_steps={steps}")
        assert done.status == 0, done.err
        manifest = json.loads(Path(f"tuned/checkpoints/step-{steps:08}/manifest.json").read_text())
        assert manifest["hub"] == {"me/tiny@v1.0": TAGGED}
        hub.commits.clear()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("me/tiny@v2", "revision v2 of me/tiny has not been downloaded before"),
        ("me/tiny@refs/pr/3", "revision refs/pr/3 of me/tiny has not been downloaded before"),
        ("me/other@v1.0", "revision v1.0 of me/other has not been downloaded before"),
        ("me/other", "the Hub cannot be reached, and me/other has not been downloaded before"),
        ("me/tiny@", "me/tiny@ has no revision after its @"),
        ("@v1", "'' is not a valid model name"),
        ("a/b/c@v1", "there is no such folder"),
    ],
)
def test_unavailable_revision_is_reported(
    name: str, said: str, gptkit_command: GptkitCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    outcome = gptkit_command("generate", f"checkpoint=hf:{name}")
    assert outcome.status == 1
    assert said in outcome.error_line
