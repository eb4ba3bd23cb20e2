"""The command `index`: indexes the training text of runs by word N-grams, and looks up a text in a finished index."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.contamination.index import NgramIndex, read_description
from gptkit.contamination.lookup import MAX_DOCUMENTS, Overlap, look_up
from gptkit.contamination.planted_passages import MAX_WORDS
from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.terminal import one_line, print_text, shorten_middle, write_result
from gptkit.user_files import expand_path, open_user_file

if TYPE_CHECKING:
    from gptkit.command import IndexCommand
    from gptkit.contamination.training_documents import TrainingSource
    from gptkit.training.checkpoints.checkpoint import Checkpoint

DEFAULT_N = (8, 13)
"""The N-grams of an index: GPT-2's overlap counts 8-grams, and GPT-3 removes 13-grams from its training text."""

EXCERPT = 300
"""Characters of the longest matching span that are printed."""


def index(settings: IndexCommand) -> NgramIndex | list[Overlap]:
    """Build an index unless it is finished, and look up a text in it if the settings have one.

    Returns the index, or the overlaps of the text by N.

    Raises:
        ConfigError: the folder contains something else, an index of other text or other N-grams, or no index to look up a text in.
        CheckpointError: the run has no readable checkpoint.
        DataError: the training text cannot be read, the index is damaged, or the folder cannot be written.
    """
    folder = expand_path(settings.to)
    text = None if settings.text is None else _read_text(settings.text)
    opened = NgramIndex(folder) if settings.run is None else _build(settings, folder)
    if text is None:
        return opened
    lengths = opened.n if settings.n is None else _lengths(settings.n)
    overlaps = [look_up(opened, text, length) for length in lengths]
    if settings.format == "json":
        for overlap in overlaps:
            write_result(json.dumps(_as_plain(overlap), ensure_ascii=False) + "\n")
    else:
        for overlap in overlaps:
            print_text(_describe(overlap))
    return overlaps


# -- build ------------------------------------------------------------------------------------------------------------------------


def _build(settings: IndexCommand, folder: Path) -> NgramIndex:
    runs = [settings.run] if isinstance(settings.run, str) else list(settings.run)
    lengths = _lengths(settings.n)
    state = _folder_state(folder, settings.to)

    from gptkit.contamination.index_builder import build_index
    from gptkit.contamination.training_documents import component_keys, training_documents
    from gptkit.training.checkpoints.load import HUB, open_checkpoint

    for run in runs:
        if run.startswith(HUB):
            raise ConfigError(f"run={run}: its training text is unknown; name a run of gptkit train")
    checkpoints = {run: open_checkpoint(run) for run in dict.fromkeys(runs)}
    sources = [
        source for run, checkpoint in checkpoints.items() for source in _sources(run, checkpoint, several=len(checkpoints) > 1)
    ]
    key = _key(sources)
    is_finished = state is not None
    if state is not None:
        if state["key"] != key:
            raise ConfigError(f"to={settings.to} is the index of another training text; choose another folder, or remove it")
        if settings.n is not None and tuple(state["n"]) != lengths:
            have = ",".join(map(str, state["n"]))
            raise ConfigError(f"to={settings.to} was built with n=[{have}]; choose another folder, or remove it to build it again")
        result = NgramIndex(folder)
    else:
        components = component_keys(sources)
        description = {"key": key, "components": components, "runs": [_describe_run(each) for each in checkpoints.values()]}
        result = build_index(folder, training_documents(sources), n=lengths, description=description, components=len(components))
    if settings.text is None:
        _report(result, settings, is_finished)
        for run, checkpoint in checkpoints.items():
            base = checkpoint.content.get("init_from")
            if base and base not in runs:
                print_text(f"{run} started from {base}, whose training text is not in this index")
    return result


def _folder_state(folder: Path, typed: str) -> dict[str, Any] | None:
    """Return the description of the finished index in a folder; None if the folder is new or empty."""
    try:
        return read_description(folder)
    except FileNotFoundError:
        pass
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"to={typed}: already exists and is not an index; choose a new or empty folder")
    except OSError as error:
        raise DataError(f"to={typed}: cannot be read ({error.strerror})") from None
    return None


def _sources(run: str, checkpoint: Checkpoint, *, several: bool) -> list[TrainingSource]:
    """Return the data sources that a run trains on: its own, and the pre-training text that its objective mixes in."""
    from gptkit.contamination.training_documents import TrainingSource
    from gptkit.records import Document

    prefix = f"{run}: " if several else ""
    objective = checkpoint.part("objective")
    fraction = float(checkpoint.content["val"]["fraction"])
    tokenizer = checkpoint.tokenizer
    try:
        own = TrainingSource(
            f"{prefix}data", checkpoint.part("data").build(), fraction, tokenizer if objective.record is Document else None
        )
        mixed = objective.pretraining_source()
        if mixed is None:
            return [own]
        return [own, TrainingSource(f"{prefix}objective.{objective.pretraining_key()}", mixed.build(), fraction, tokenizer)]
    except GptkitError as error:
        raise type(error)(f"{run}: {error}") from error


def _key(sources: Sequence[TrainingSource]) -> str:
    """Return the fingerprint of the training text and its split."""
    from gptkit.tokenizer.base import fingerprint_of

    parts = [
        (
            source.key.rpartition(": ")[2],
            source.data.fingerprint,
            repr(source.fraction),
            getattr(source.tokenizer, "fingerprint", ""),
        )
        for source in sources
    ]
    return fingerprint_of("N-gram index", *(text for part in parts for text in part))


def _describe_run(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what decides the training text of a run, for index.json."""
    content = checkpoint.content
    return {
        "data": content["data"],
        "objective": content["objective"]["name"],
        "val_fraction": content["val"]["fraction"],
        "tokenizer": checkpoint.manifest.tokenizer,
    }


def _lengths(n: Any) -> tuple[int, ...]:
    return DEFAULT_N if n is None else tuple(sorted(n)) if isinstance(n, list | tuple) else (n,)


def _report(result: NgramIndex, settings: IndexCommand, is_finished: bool) -> None:
    content = result.content
    if settings.format == "json":
        plain = {name: content[name] for name in ("key", "documents", "words", "ngrams", "planted")}
        write_result(json.dumps({"index": settings.to, **plain}) + "\n")
        return
    size = sum(file["bytes"] for file in content["files"].values())
    state = " is complete; nothing is left to do" if is_finished else ""
    counts = f"{content['documents']:,} documents, {content['words']:,} words of training text"
    print_text(f"{settings.to}{state}: {counts}, {size / 1e6:,.1f} MB")
    for length, ngrams in content["ngrams"].items():
        planted = content["planted"][length]
        print_text(
            f"  N = {length:>2}: {ngrams:,} N-grams; of {planted['passages']:,} planted passages of up to {MAX_WORDS} words, "
            f"{planted['exact']:.1%} are found, {planted['replaced']:.1%} with one word in fifteen replaced"
        )


# -- look up ----------------------------------------------------------------------------------------------------------------------


def _read_text(typed: str) -> str:
    if not typed.startswith("@"):
        return typed
    path = expand_path(typed[1:])
    try:
        with open_user_file(path) as file:
            return file.read().decode("utf-8")
    except DataError as error:
        raise ConfigError(f"text={typed}: {error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text at byte {error.start}") from None


def _describe(overlap: Overlap) -> str:
    if overlap.share is None:
        return f"N = {overlap.n}: undecided, since the text has {overlap.words} words, fewer than {overlap.n}"
    share = f"{overlap.matched:,} of {overlap.ngrams:,} N-grams ({overlap.share:.1%}) occur in the training text"
    lines = [f"N = {overlap.n}: {overlap.status}; {share}"]
    for match in overlap.documents:
        lines.append(f"  {match.ngrams:>6,} in {match.document}")
    if overlap.document_count > MAX_DOCUMENTS:
        lines.append(f"         and in {overlap.document_count - MAX_DOCUMENTS:,} other documents")
    if overlap.longest is not None:
        excerpt = one_line(shorten_middle(overlap.longest.text, EXCERPT))
        lines.append(f'  longest match: {overlap.longest.words:,} words in {overlap.longest.document}: "{excerpt}"')
    return "\n".join(lines)


def _as_plain(overlap: Overlap) -> dict[str, Any]:
    return {"status": overlap.status, "share": overlap.share, **dataclasses.asdict(overlap)}
