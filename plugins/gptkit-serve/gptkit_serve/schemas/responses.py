"""The request of `/v1/responses`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gptkit.records import Turn
from gptkit_serve.schemas.base import MAX_MESSAGES, MAX_TOP_LOG_PROBS, Ignored, Request, SamplingRequest, neutral
from gptkit_serve.schemas.chat import ROLES

LOG_PROBS = "message.output_text.logprobs"


class InputPart(Request):
    """A part of a message. Those of an answer have annotations and log-probabilities, which are ignored."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: neutral([]) = None  # type: ignore[valid-type]
    logprobs: Any = None


class InputItem(Request):
    """A message. `id` and `status` are those of an answer that a client sends back."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[InputPart]
    id: str | None = None
    status: str | None = None
    phase: str | None = None

    def turn(self) -> Turn:
        """Return the message as a turn."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Turn(ROLES[self.role], text)


class ResponseRequest(SamplingRequest):
    """The body of `/v1/responses`. Responses are not stored, so a conversation is sent as a whole."""

    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    include: list[Literal["message.output_text.logprobs"]] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOG_PROBS)] | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_options: Ignored = None
    prompt_cache_retention: Ignored = None
    access_programs: neutral() = None  # type: ignore[valid-type]
    background: neutral(False) = None  # type: ignore[valid-type]
    background_options: neutral() = None  # type: ignore[valid-type]
    context_management: neutral([]) = None  # type: ignore[valid-type]
    conversation: neutral() = None  # type: ignore[valid-type]
    image: neutral() = None  # type: ignore[valid-type]
    max_tool_calls: neutral() = None  # type: ignore[valid-type]
    moderation: neutral() = None  # type: ignore[valid-type]
    parallel_tool_calls: neutral(True, False) = None  # type: ignore[valid-type]
    previous_response_id: neutral() = None  # type: ignore[valid-type]
    prompt: neutral() = None  # type: ignore[valid-type]
    reasoning: neutral({}, {"effort": None}, {"effort": "none"}) = None  # type: ignore[valid-type]
    service_tier: neutral("auto", "default") = None  # type: ignore[valid-type]
    store: neutral(False) = None  # type: ignore[valid-type]
    stream_options: neutral({}, {"include_obfuscation": False}) = None  # type: ignore[valid-type]
    text: neutral({}, {"format": {"type": "text"}}, {"format": {"type": "text"}, "verbosity": "medium"}) = None  # type: ignore[valid-type]
    tool_choice: neutral("none", "auto") = None  # type: ignore[valid-type]
    tools: neutral([]) = None  # type: ignore[valid-type]
    truncation: neutral("disabled") = None  # type: ignore[valid-type]

    @property
    def turns(self) -> list[Turn]:
        """The conversation, with the instructions as a system message, which replace one in the input."""
        turns = [Turn("user", self.input)] if isinstance(self.input, str) else [item.turn() for item in self.input]
        if self.instructions is None:
            return turns
        return [Turn("system", self.instructions), *(turns[1:] if turns[0].role == "system" else turns)]

    @property
    def log_probs(self) -> int | None:
        """The number of most probable tokens to return with each token; None: no log-probabilities."""
        return (self.top_logprobs or 0) if LOG_PROBS in (self.include or ()) else None
