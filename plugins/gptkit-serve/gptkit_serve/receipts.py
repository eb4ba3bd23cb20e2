"""Receipts: what determined an answer, as one line of JSON, so that the answer can be generated again, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from gptkit.errors import DataError
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.generation.text_sequence import TextSequence

FILE = "receipts.jsonl"

CANCELLED = "cancelled"
"""The finish reason of an answer whose client left before its end."""


class Section(BaseModel):
    """Part of a receipt. Keys that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Environment(Section):
    """What determines how numbers are rounded."""

    device: str
    """cpu, or the name of the accelerator."""
    dtype: str
    packed_weights: bool
    """Whether matrices are stored in the layout of oneDNN's kernels."""
    threads: int
    mkl_mode: str
    """The value of MKL_CBWR, see `gptkit.mkl_mode`."""
    processor: str
    flags: tuple[str, ...]
    """The instruction sets of the processor among which libraries choose their kernels."""
    variables: dict[str, str]
    """Environment variables that limit these instruction sets, if any are set."""
    torch: str
    numpy: str
    gptkit: str


class Origin(Section):
    """The model that generated the answers of a server, and its environment."""

    checkpoint: str
    """A checkpoint folder, or hf:..."""
    weights: str
    """The SHA-256 of the weights as they are loaded, see `weights_fingerprint`."""
    tokenizer: str
    """The fingerprint of the tokenizer."""
    environment: Environment


class Sampling(Section):
    """The fields of `SamplingParams`."""

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    stop: tuple[str, ...]
    seed: int
    slides: bool


class Receipt(Section):
    """The receipt of one answer. Answers to one request share their id."""

    id: str
    time: float
    """When the answer ended, in seconds since 1970. It does not determine the answer."""
    prompt_number: int
    """The number of the prompt in its request."""
    sample: int
    """The number of the answer to this prompt."""
    prompt: tuple[int, ...]
    """The token ids of the prompt."""
    sampling: Sampling
    end: int | None
    """A token that ends the answer, in addition to end-of-text."""
    tokens: tuple[int, ...]
    """The token ids of the answer, without the one that ends it."""
    finish_reason: str
    """As in `Continuation`, or cancelled."""
    origin: Origin

    @classmethod
    def of(cls, id: str, text: TextSequence, finish_reason: str, *, origin: Origin, time: float) -> Self:
        """Return the receipt of a text that has ended, or that its client has left."""
        params = text.params
        sampling = Sampling(
            max_new_tokens=params.max_new_tokens,
            temperature=params.temperature,
            top_k=params.top_k,
            top_p=params.top_p,
            stop=tuple(params.stop),
            seed=params.seed,
            slides=params.slides,
        )
        return cls(
            id=id,
            time=time,
            prompt_number=text.key[0],
            sample=text.key[1],
            prompt=tuple(text.prompt_ids),
            sampling=sampling,
            end=text.end,
            tokens=tuple(text.ids),
            finish_reason=finish_reason,
            origin=origin,
        )


def read_receipts(path: Path, id: str) -> list[Receipt]:
    """Return the receipts of an id, by prompt and sample. Lines that a crash has left incomplete are skipped.

    Raises:
        DataError: the file cannot be read, or has no receipt of this id.
    """
    found: dict[tuple[int, int], Receipt] = {}
    total = 0
    for line in _read_lines(path):
        total += 1
        if id.encode() in line:
            try:
                receipt = Receipt.model_validate_json(line)
            except ValidationError:
                continue
            if receipt.id == id:
                found[receipt.prompt_number, receipt.sample] = receipt
    if not found:
        raise DataError(f"{path}: none of its {total:,} receipts has the id {id}; check the id and receipts=")
    return [found[key] for key in sorted(found)]


def _read_lines(path: Path) -> Iterator[bytes]:
    try:
        with expand_path(str(path)).open("rb") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); set receipts= to the file that gptkit serve wrote") from error
