"""The command `push`: uploads a checkpoint to a model repository on the Hugging Face hub, with a model card."""

from __future__ import annotations

import importlib.metadata
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.atomic_io import interrupt_on_termination
from gptkit.command.export import ExportedFolder, load_for_export, wrap_disk_errors, write_export
from gptkit.errors import ConfigError
from gptkit.terminal import print_text

if TYPE_CHECKING:
    from gptkit.command import PushCommand
    from gptkit.interop.hub_upload import Uploaded
    from gptkit.interop.model_card import Provenance


def push(settings: PushCommand) -> str:
    """Export to a temporary folder, write the model card, upload both, and print the address of the repository.

    Returns:
        The address; with `dry_run`, the `hf:` name that the command line would use.

    Raises:
        ConfigError: the name of the repository or the licence is invalid, or the format cannot express the model.
        CheckpointError: the checkpoint cannot be read.
        GptkitError: the hub rejects the upload, or cannot be reached.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        raise ConfigError("gptkit push needs huggingface_hub: pip install gptkit[hub]") from None
    from gptkit.interop.hub_upload import CARD, Repository, check_access, check_repository_name, upload

    check_repository_name(settings.to)
    if settings.license is not None and re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", settings.license) is None:
        raise ConfigError(f"license={settings.license}: is not an identifier of the hub, such as apache-2.0, mit or other")
    if not settings.dry_run:
        check_access(settings.to)
    with interrupt_on_termination(), tempfile.TemporaryDirectory(prefix="gptkit-push-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        exported, provenance = _write_files(settings, folder)
        if settings.dry_run:
            _print_files(folder, kept=())
            print_text(f"\n{CARD}:\n\n{(folder / CARD).read_text(encoding='utf-8')}")
            print_text(f"Nothing was sent. Without dry_run=true, these files are committed to {settings.to}.")
            return settings.to
        uploaded = upload(
            folder,
            Repository(settings.to, settings.private, settings.branch),
            message=settings.message or _commit_message(provenance),
            replace_card=settings.card == "new",
        )
        print_text(uploaded.url)
        _print_files(folder, kept=(CARD,) if uploaded.keeps_card else ())
    _print_result(settings, exported, uploaded)
    return uploaded.url


def _write_files(settings: PushCommand, folder: Path) -> tuple[ExportedFolder, Provenance]:
    """Write the model and its card, both from the same checkpoint, even if the run is still training."""
    from gptkit.interop.hub_upload import CARD
    from gptkit.interop.model_card import Provenance, build_model_card
    from gptkit.interop.model_card_usage import read_usage
    from gptkit.training.checkpoints.load import HUB, open_checkpoint
    from gptkit.training.provenance import provenance_of

    source = settings.checkpoint
    if source.startswith(HUB):
        provenance = Provenance(base_model="" if Path(source.removeprefix(HUB)).exists() else source.removeprefix(HUB))
    else:
        checkpoint = open_checkpoint(source)
        source, provenance = str(checkpoint.folder), provenance_of(checkpoint)
    loaded = load_for_export(source)
    with wrap_disk_errors(str(folder), fix="; TMPDIR names another place"):
        exported = write_export(loaded, folder)
        usage = read_usage(
            folder,
            repository=settings.to,
            branch=settings.branch,
            auto_class=exported.auto_class,
            gptkit_key=exported.gptkit_key,
            remarks=exported.remarks,
            template=str((provenance.settings.get("chat_template") or {}).get("name", "")),
        )
        build_model_card(provenance, usage, license=settings.license).save(folder / CARD)
    return exported, provenance


def _commit_message(provenance: Provenance) -> str:
    step = f", step {provenance.step:,}" if provenance.settings else ""
    return f"Upload with gptkit {importlib.metadata.version('gptkit')}{step}"


def _print_files(folder: Path, kept: tuple[str, ...]) -> None:
    for path in sorted(folder.iterdir()):
        size = f"{path.stat().st_size:>14,} bytes"
        print_text(f"  {path.name:<24}" + ("not sent: the repository has one; card=new replaces it" if path.name in kept else size))


def _print_result(settings: PushCommand, exported: ExportedFolder, uploaded: Uploaded) -> None:
    for sentence in exported.remarks:
        print_text(f"  {sentence}")
    print_text(f"  {'private' if uploaded.private else 'public'}, commit {uploaded.commit}")
    print_text(exported.usage(settings.to if settings.branch == "main" else f"{settings.to}@{settings.branch}"))
