"""What all requests have in common: strict types, fields that are accepted only if they have no effect, and sampling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

MAX_SAMPLES = 128
MAX_TOP_LOG_PROBS = 20
MAX_STOP_TEXTS = 16
MAX_MESSAGES = 2048
"""As in OpenAI's API. The time to render a conversation grows with the square of its number of messages."""


class Request(BaseModel):
    """The body of a request. Types are strict: "1" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Body(Request):
    """The body of a request as a whole."""

    @field_validator("*", mode="before")
    @classmethod
    def check_text(cls, value: Any) -> Any:
        """Raises: ValueError: a text contains half of a surrogate pair, which JSON can write, but no encoding of text."""
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("contains half of a surrogate pair (\\ud800 to \\udfff), which is no character") from None
        return value


def neutral(*values: Any) -> Any:
    """Return the type of a field that is not supported: it must be null or one of these values, which have no effect."""

    def check(value: Any) -> Any:
        if any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in (None, *values)):
            return None
        hint = f"leave it out, or set it to {' or '.join(map(json.dumps, values))}" if values else "leave it out"
        raise ValueError(f"is not supported; {hint}")

    return Annotated[Any, BeforeValidator(check), WithJsonSchema({"enum": [None, *values]})]


Ignored = Annotated[Any, WithJsonSchema({"type": ["string", "object", "null"]})]
"""The type of a field that does not change answers, such as the name of the user."""


def _check_stop(value: str | Sequence[str] | None) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value or ())
    if not all(texts):
        raise ValueError("must not contain an empty text, which would end every answer before it begins")
    if len(texts) > MAX_STOP_TEXTS:
        raise ValueError(f"must contain at most {MAX_STOP_TEXTS} texts")
    return texts


Stop = Annotated[str | list[str] | None, AfterValidator(_check_stop)]


class StreamOptions(Request):
    """Options of a stream."""

    include_usage: bool | None = None
    include_obfuscation: neutral(False) = None  # type: ignore[valid-type]


class SamplingRequest(Body):
    """The settings of sampling. `top_k` is not in OpenAI's API; `min_p` and `repetition_penalty` are those of other servers."""

    model: str
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    user: Ignored = None
    min_p: neutral(0) = None  # type: ignore[valid-type]
    repetition_penalty: neutral(1) = None  # type: ignore[valid-type]


class ChoicesRequest(SamplingRequest):
    """What `/v1/completions` and `/v1/chat/completions` have in common."""

    n: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] | None = None
    stop: Stop = None
    stream_options: StreamOptions | None = None
    frequency_penalty: neutral(0) = None  # type: ignore[valid-type]
    presence_penalty: neutral(0) = None  # type: ignore[valid-type]
    logit_bias: neutral({}) = None  # type: ignore[valid-type]

    @property
    def includes_usage(self) -> bool:
        """Whether the stream ends with the numbers of tokens."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)
