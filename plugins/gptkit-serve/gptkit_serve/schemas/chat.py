"""The request of `/v1/chat/completions`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gptkit.records import Turn
from gptkit_serve.schemas.base import MAX_MESSAGES, MAX_TOP_LOG_PROBS, ChoicesRequest, Ignored, Request, neutral

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class TextPart(Request):
    """A part of a message."""

    type: Literal["text"]
    text: str


class Message(Request):
    """A message of a conversation. The fields after `content` are accepted as clients send answers back."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: neutral() = None  # type: ignore[valid-type]
    refusal: neutral() = None  # type: ignore[valid-type]
    annotations: neutral([]) = None  # type: ignore[valid-type]
    audio: neutral() = None  # type: ignore[valid-type]
    tool_calls: neutral([]) = None  # type: ignore[valid-type]
    function_call: neutral() = None  # type: ignore[valid-type]

    def turn(self) -> Turn:
        """Return the message as a turn."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Turn(ROLES[self.role], text)


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]


class ChatRequest(ChoicesRequest):
    """The body of `/v1/chat/completions`."""

    messages: Messages
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOG_PROBS)] | None = None
    metadata: Ignored = None
    safety_identifier: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_options: Ignored = None
    prompt_cache_retention: Ignored = None
    audio: neutral() = None  # type: ignore[valid-type]
    function_call: neutral("none", "auto") = None  # type: ignore[valid-type]
    functions: neutral([]) = None  # type: ignore[valid-type]
    modalities: neutral(["text"]) = None  # type: ignore[valid-type]
    moderation: neutral() = None  # type: ignore[valid-type]
    parallel_tool_calls: neutral(True, False) = None  # type: ignore[valid-type]
    prediction: neutral() = None  # type: ignore[valid-type]
    reasoning_effort: neutral("none") = None  # type: ignore[valid-type]
    response_format: neutral({"type": "text"}) = None  # type: ignore[valid-type]
    service_tier: neutral("auto", "default") = None  # type: ignore[valid-type]
    store: neutral(False) = None  # type: ignore[valid-type]
    tool_choice: neutral("none", "auto") = None  # type: ignore[valid-type]
    tools: neutral([]) = None  # type: ignore[valid-type]
    verbosity: neutral("medium") = None  # type: ignore[valid-type]
    web_search_options: neutral() = None  # type: ignore[valid-type]
