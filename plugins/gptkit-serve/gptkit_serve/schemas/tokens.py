"""The requests of `/tokenize` and `/detokenize`."""

from __future__ import annotations

from pydantic import model_validator

from gptkit_serve.schemas.base import Body, neutral
from gptkit_serve.schemas.chat import Messages
from gptkit_serve.schemas.completions import TokenId


class TokenizeRequest(Body):
    """The body of `/tokenize`: a text, or messages."""

    model: str | None = None
    prompt: str | None = None
    messages: Messages | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: neutral(True) = None  # type: ignore[valid-type]
    return_token_strs: bool | None = None

    @model_validator(mode="after")
    def check_source(self) -> TokenizeRequest:
        """Raises: ValueError: there is neither a text nor messages, or both."""
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("set either prompt or messages")
        return self


class DetokenizeRequest(Body):
    """The body of `/detokenize`."""

    model: str | None = None
    tokens: list[TokenId]
