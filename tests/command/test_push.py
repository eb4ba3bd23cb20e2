"""`gptkit push` against a local stand-in for the hub, and back through `hf:<name>`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import gptkit
from gptkit import hub as hub_downloads
from gptkit.attention import BandedAttentionConfig, DenseAttentionConfig
from gptkit.model import GPTConfig
from tests.command_line import GptkitCommand
from tests.hub_server import TOKEN, HubServer
from tests.processes import ProcessServer

# of huggingface_hub's own call of its HTTP library
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SMALL = GPTConfig(layers=1, heads=2, width=8, context=16)


def hub_constants(url: str, tmp_path: Path) -> dict[str, Any]:
    """What huggingface_hub reads from the environment when it is imported."""
    return {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The stand-in as the hub of this process, whose user has a token; temporary folders are in `tmp_path / "tmp"`."""
    constants = pytest.importorskip("huggingface_hub.constants")
    server = HubServer()
    for name, value in hub_constants(server.url, tmp_path).items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    hub_downloads.commits.clear()
    yield server
    server.close()
    hub_downloads.commits.clear()


@pytest.fixture
def run(tmp_path: Path, untrained_run: Callable[..., Path]) -> Path:
    return untrained_run(tmp_path / "run", model=SMALL, attention=DenseAttentionConfig())


def temporary_files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "tmp").glob("gptkit-*"))


def test_what_is_pushed_is_read_back_bit_for_bit(hub: HubServer, run: Path, tmp_path: Path, gptkit_command: GptkitCommand) -> None:
    result = gptkit_command("push", f"checkpoint={run}", "to=me/tiny", "license=mit")
    assert result.status == 0, result.err
    assert result.out.splitlines()[0] == f"{hub.url}/me/tiny"
    assert "  public, commit " in result.out
    assert "init_from=hf:me/tiny" in result.out
    repository = hub.repositories["me/tiny"]
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} < repository.files().keys()
    assert b"license: mit" in repository.files()["README.md"]
    assert repository.messages[-1].startswith("Upload with gptkit ")
    assert temporary_files(tmp_path) == []

    ours, tokenizer = gptkit.load(str(run))
    theirs, their_tokenizer = gptkit.load("hf:me/tiny")
    assert their_tokenizer.fingerprint == tokenizer.fingerprint
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    assert all(torch.equal(theirs.state_dict()[name], weight) for name, weight in ours.state_dict().items())


def test_a_licence_that_is_no_identifier_is_refused(hub: HubServer, run: Path, gptkit_command: GptkitCommand) -> None:
    result = gptkit_command("push", f"checkpoint={run}", "to=me/tiny", "license='Apache 2.0'", "dry_run=true")
    assert (result.status, result.out) == (2, "")
    assert "is not an identifier of the hub, such as apache-2.0" in result.error_line


def test_training_starts_from_what_was_pushed(hub: HubServer, run: Path, in_folder: Path, gptkit_command: GptkitCommand) -> None:
    assert gptkit_command("push", f"checkpoint={run}", "to=me/tiny", "private=true", "branch=v1").status == 0
    assert hub.repositories["me/tiny"].private
    assert hub.repositories["me/tiny"].files("main").keys() == {".gitattributes"}
    Path("x.txt").write_text("To be, or not to be, that is the question. " * 20)
    words = ["data=text", "data.path=x.txt", "trainer=cpu", "val.every=0", "batch.size=2", "trainer.max_steps=1"]
    result = gptkit_command("train", *words, "init_from=hf:me/tiny@v1", "optimizer.lr=0", "hydra.run.dir=tuned")
    assert result.status == 0, result.err
    ours, _ = gptkit.load(str(run))
    theirs, _ = gptkit.load("tuned")
    assert all(torch.equal(theirs.state_dict()[name], weight) for name, weight in ours.state_dict().items())

    again = gptkit_command("push", "checkpoint=tuned", "to=me/tuned")
    assert again.status == 0, again.err
    card = hub.repositories["me/tuned"].files()["README.md"].decode()
    assert "base_model: me/tiny" in card
    assert "me/tiny@v1" in card


def test_a_dry_run_shows_files_and_card_and_asks_nobody(
    hub: HubServer, run: Path, tmp_path: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    result = gptkit_command("push", f"checkpoint={run}", "to=me/tiny", "dry_run=true")
    assert result.status == 0, result.err
    assert "model.safetensors" in result.out
    assert "# tiny" in result.out
    assert "Nothing was sent." in result.out
    assert hub.requests == []
    assert temporary_files(tmp_path) == []


def test_a_second_push_replaces_the_model_and_keeps_the_card(hub: HubServer, run: Path, gptkit_command: GptkitCommand) -> None:
    repository = hub.create("me/tiny", private=True, files={"README.md": b"mine", "merges.txt": b"stale", "notes.txt": b"mine"})
    result = gptkit_command("push", f"checkpoint={run}", "to=me/tiny", "message=second")
    assert result.status == 0, result.err
    assert "README.md" in result.out
    assert "not sent: the repository has one; card=new replaces it" in result.out
    assert "  private, commit " in result.out
    files = repository.files()
    assert files["README.md"] == b"mine"
    assert files["notes.txt"] == b"mine"
    assert "merges.txt" not in files  # with it, the byte tokenizer would be taken for a BPE
    assert repository.messages[-1] == "second"
    assert gptkit_command("push", f"checkpoint={run}", "to=me/tiny", "card=new").status == 0
    assert repository.files()["README.md"].startswith(b"---\n")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tiny", "names no user or organization; write to=<user>/tiny"),
        ("me/ti ny", "must use alphanumeric"),
        ("hf:me/tiny", "Did you mean to=me/tiny?"),
        ("https://huggingface.co/me/tiny", "Did you mean to=me/tiny?"),
        ("me/tiny/deep", "<user>/<name>"),
        ("me/tiny--x", "Cannot have -- or .."),
    ],
)
def test_a_bad_name_is_rejected_before_anything_is_read(
    hub: HubServer, tmp_path: Path, gptkit_command: GptkitCommand, name: str, reason: str
) -> None:
    result = gptkit_command("push", f"checkpoint={tmp_path / 'nowhere'}", f"to='{name}'")
    assert (result.status, hub.requests) == (2, [])
    assert reason in result.error_line


def test_what_cannot_be_exported_cannot_be_pushed(
    hub: HubServer, tmp_path: Path, untrained_run: Callable[..., Path], gptkit_command: GptkitCommand
) -> None:
    run = untrained_run(tmp_path / "banded", model=SMALL, attention=BandedAttentionConfig(window=4))
    result = gptkit_command("push", f"checkpoint={run}", "to=me/tiny")
    assert result.status == 2
    assert "layer 0 has BandedAttention; train with attention=dense" in result.error_line
    assert hub.repositories == {}
    assert temporary_files(tmp_path) == []


def test_a_missing_token_is_named_before_anything_is_read(
    hub: HubServer, tmp_path: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    result = gptkit_command("push", f"checkpoint={tmp_path / 'nowhere'}", "to=me/tiny")
    assert (result.status, hub.requests) == (1, [])
    assert "HF_TOKEN" in result.error_line
    assert "hf auth login" in result.error_line


def test_offline_mode_is_named(hub: HubServer, run: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    result = gptkit_command("push", f"checkpoint={run}", "to=me/tiny")
    assert (result.status, hub.requests) == (1, [])
    assert "HF_HUB_OFFLINE" in result.error_line


def test_a_token_that_the_hub_rejects(
    hub: HubServer, tmp_path: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    result = gptkit_command("push", f"checkpoint={tmp_path / 'nowhere'}", "to=me/tiny")
    assert result.status == 1
    assert "the hub does not accept the token (401" in result.error_line
    assert set(hub.requests) == {"GET /api/whoami-v2"}  # the client may ask twice


def test_another_users_repository(hub: HubServer, run: Path, tmp_path: Path, gptkit_command: GptkitCommand) -> None:
    result = gptkit_command("push", f"checkpoint={run}", "to=other/tiny")
    assert result.status == 1
    assert "you may not write to it (403: You don't have the rights" in result.error_line
    assert temporary_files(tmp_path) == []


def test_a_private_model_is_never_sent_to_a_public_repository(hub: HubServer, run: Path, gptkit_command: GptkitCommand) -> None:
    repository = hub.create("me/tiny")
    result = gptkit_command("push", f"checkpoint={run}", "to=me/tiny", "private=true")
    assert result.status == 1
    assert "the repository is public, and private=true does not change that" in result.error_line
    assert repository.files().keys() == {".gitattributes"}


@pytest.mark.parametrize(
    ("failing", "failure", "reason"),
    [
        ("PUT /stored/", (403, "expired"), "you may not write to it (403: expired)"),
        ("POST /api/models/me/tiny/commit/", (413, "too large"), "the hub refuses (413: too large)"),
        ("POST /api/models/me/tiny/commit/", (500, "oops"), "the hub failed (500: oops); no file of the repository was changed."),
        ("POST /api/models/me/tiny/commit/", (0, ""), "the upload broke off ("),
    ],
)
def test_an_upload_that_fails_changes_nothing(
    hub: HubServer,
    run: Path,
    tmp_path: Path,
    gptkit_command: GptkitCommand,
    failing: str,
    failure: tuple[int, str],
    reason: str,
) -> None:
    hub.fail = lambda request: failure if request.startswith(failing) else None
    result = gptkit_command("push", f"checkpoint={run}", "to=me/tiny")
    assert result.status == 1
    assert reason in result.error_line
    assert hub.repositories["me/tiny"].files().keys() == {".gitattributes"}
    assert temporary_files(tmp_path) == []
    hub.fail = lambda request: None
    assert gptkit_command("push", f"checkpoint={run}", "to=me/tiny").status == 0


def test_a_hub_that_cannot_be_reached(hub: HubServer, tmp_path: Path, gptkit_command: GptkitCommand) -> None:
    hub.close()
    result = gptkit_command("push", f"checkpoint={tmp_path / 'nowhere'}", "to=me/tiny")
    assert result.status == 1
    assert "the hub cannot be reached (" in result.error_line


def environment(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    """The variables of a process that talks to the stand-in."""
    return {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
    }


@pytest.mark.process
def test_the_command_line_reads_endpoint_and_token_from_the_environment(hub: HubServer, run: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "gptkit", "push", f"checkpoint={run}", "to=me/tiny"]
    process = subprocess.run(words, env=environment(hub, tmp_path), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith(f"{hub.url}/me/tiny\n")
    assert "model.safetensors" in hub.repositories["me/tiny"].files()
    assert temporary_files(tmp_path) == []


def push(constants: dict[str, Any], words: list[str]) -> None:
    import huggingface_hub.constants

    from gptkit.config.main import main

    for name, value in constants.items():
        setattr(huggingface_hub.constants, name, value)
    sys.argv = ["gptkit", "push", *words]
    main()


@pytest.mark.process
@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGTERM])
def test_an_upload_that_is_interrupted_leaves_nothing_behind(
    hub: HubServer, run: Path, process_server: ProcessServer, tmp_path: Path, signal_sent: signal.Signals
) -> None:
    uploading, done = threading.Event(), threading.Event()

    def wait(request: str) -> tuple[int, str] | None:
        if not request.startswith("PUT /stored/"):
            return None
        uploading.set()
        done.wait(60)
        return 0, ""

    hub.fail = wait
    constants, words = hub_constants(hub.url, tmp_path), [f"checkpoint={run}", "to=me/tiny"]
    process = process_server.start(push, constants, words, env=environment(hub, tmp_path))
    assert uploading.wait(120), process.stderr
    assert len(temporary_files(tmp_path)) == 1
    process.send_signal(signal_sent)
    done.set()
    assert (process.wait(timeout=60), process.stderr.strip()) == (130, "gptkit: interrupted")
    assert temporary_files(tmp_path) == []
    assert hub.repositories["me/tiny"].files().keys() == {".gitattributes"}
