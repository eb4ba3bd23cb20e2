"""The model that is served, with its tokenizer, its chat template and its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from gptkit.chat_template.choice import config_of
from gptkit.errors import DataError
from gptkit.records import Turn
from gptkit_serve.errors import APIError
from gptkit_serve.loading import load_for_decoding

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer
    from gptkit_serve import ServeCommand
    from gptkit_serve.receipts import Origin


@dataclass(frozen=True)
class ServedModel:
    """A model, ready to generate."""

    name: str
    source: str
    model: Model
    tokenizer: Tokenizer
    template: ChatTemplate | None = None
    """None: the model cannot answer messages."""
    origin: Origin | None = None
    """What receipts say about the model."""

    @property
    def context(self) -> int:
        """The number of tokens of a prompt and its continuation."""
        return self.model.context

    @property
    def end_of_text(self) -> int:
        """The token that ends texts."""
        return self.tokenizer.special["end_of_text"]

    def check_name(self, name: str) -> None:
        """Raises: APIError: a client asks for another model."""
        if name != self.name:
            raise APIError(404, f"there is no model {name!r}; this server has {self.name!r}", param="model", code="model_not_found")

    def encode(self, text: str, *, param: str) -> list[int]:
        """Return the token ids of a text.

        Raises:
            APIError: the text cannot be encoded.
        """
        try:
            return [int(each) for each in self.tokenizer.encode(text)]
        except DataError as error:
            raise APIError(400, f"{param}: {error}", param=param) from None

    def encode_turns(self, turns: Sequence[Turn], *, param: str) -> list[int]:
        """Return the token ids before the answer to a conversation.

        Raises:
            APIError: the model has no chat template, or its template does not support these turns.
        """
        if self.template is None:
            raise APIError(
                400,
                f"the model {self.name!r} was trained without a chat template; use /v1/completions, or start the server with "
                "chat_template=, such as chat_template=chatml",
                param=param,
            )
        try:
            return self.template.prompt_ids(turns)
        except DataError as error:
            raise APIError(400, f"{param}: {error}", param=param) from None

    def check_length(self, ids: Sequence[int], *, new_tokens: int, param: str) -> None:
        """Raises: APIError: the context has no room for a prompt and at least `new_tokens` tokens."""
        if len(ids) + new_tokens > self.context:
            raise APIError(
                400,
                f"the prompt has {len(ids)} tokens, and the maximum context length of the model is {self.context} tokens, the "
                "answer included; shorten the prompt",
                param=param,
                code="context_length_exceeded",
            )


def load_model(settings: ServeCommand) -> ServedModel:
    """Load the model of the settings.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ConfigError: the chat template cannot be used with the tokenizer.
    """
    loaded = load_for_decoding(settings.checkpoint, precision=settings.precision)
    config: Any = settings.chat_template or config_of(loaded.run, loaded.tokenizer)
    template = None if config is None else config.build(tokenizer=loaded.tokenizer)
    name = settings.model_name or model_name(settings.checkpoint)
    return ServedModel(name, settings.checkpoint, loaded.model, loaded.tokenizer, template, loaded.origin)


def model_name(checkpoint: str) -> str:
    """Return the last part of a path or of a name on the hub."""
    return PurePath(checkpoint.removeprefix("hf:")).name or "model"
