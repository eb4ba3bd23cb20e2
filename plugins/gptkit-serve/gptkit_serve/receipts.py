"""Receipts: what determined an answer, as one line of JSON, so that the answer can be generated again, token by token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

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
    dtype: Annotated[str, Field(pattern="^(float64|float32|bfloat16|float16)$")]
    packed_weights: bool
    """Whether matrices are stored in the layout of oneDNN's kernels."""
    threads: PositiveInt
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

    max_new_tokens: PositiveInt
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    top_k: NonNegativeInt
    top_p: Annotated[float, Field(gt=0, le=1)]
    stop: tuple[Annotated[str, Field(min_length=1)], ...]
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    slides: bool


class Receipt(Section):
    """The receipt of one answer. Answers to one request share their id."""

    id: str
    time: float
    """When the answer ended, in seconds since 1970. It does not determine the answer."""
    prompt_number: NonNegativeInt
    """The number of the prompt in its request."""
    sample: NonNegativeInt
    """The number of the answer to this prompt."""
    prompt: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    """The token ids of the prompt."""
    sampling: Sampling
    end: int | None
    """A token that ends the answer, in addition to end-of-text."""
    tokens: tuple[NonNegativeInt, ...]
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
    """Return the receipts of an id, by prompt and sample. Damaged lines of other ids are skipped.

    Raises:
        DataError: the file cannot be read, or has no receipt of this id, or a receipt of this id is damaged.
    """
    receipts: dict[tuple[int, int], Receipt] = {}
    total = 0
    for total, line in enumerate(_read_lines(path), 1):
        if id.encode() in line:
            try:
                receipt = Receipt.model_validate_json(line)
            except ValidationError as error:
                raise DataError(f"{path}:{total}: the receipt is damaged: {_first_problem(error)}") from None
            if receipt.id == id:
                receipts[receipt.prompt_number, receipt.sample] = receipt
    if not receipts:
        raise DataError(f"{path}: none of its {total:,} receipts has the id {id}; check the id and receipts=")
    return [receipts[key] for key in sorted(receipts)]


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return "the line is not complete"
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _read_lines(path: Path) -> Iterator[bytes]:
    try:
        with expand_path(str(path)).open("rb") as file:
            yield from file
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); set receipts= to the file that gptkit serve wrote") from error
