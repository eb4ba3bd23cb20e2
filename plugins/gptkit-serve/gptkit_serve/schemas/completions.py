"""The request of `/v1/completions`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gptkit_serve.schemas.base import MAX_TOP_LOG_PROBS, ChoicesRequest, neutral

DEFAULT_MAX_TOKENS = 16
"""The number of new tokens of a request that does not say, as in OpenAI's API."""

TokenId = Annotated[int, Field(ge=0, lt=2**31)]


class CompletionRequest(ChoicesRequest):
    """The body of `/v1/completions`. A prompt is a text or a list of token ids; several prompts are a list of such."""

    prompt: (
        str
        | Annotated[list[TokenId], Field(min_length=1)]
        | Annotated[list[str], Field(min_length=1)]
        | Annotated[list[Annotated[list[TokenId], Field(min_length=1)]], Field(min_length=1)]
    )
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOG_PROBS)] | None = None
    best_of: neutral(1) = None  # type: ignore[valid-type]
    suffix: neutral("") = None  # type: ignore[valid-type]

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts, one by one."""
        if isinstance(self.prompt, str) or isinstance(self.prompt[0], int):
            return [self.prompt]
        return list(self.prompt)

    @property
    def new_tokens(self) -> int:
        """The maximum number of new tokens."""
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens
