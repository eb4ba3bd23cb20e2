"""A conversation with a model: what was said, what the model still reads when its context is full, and its next answer."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gptkit.chat_template.base import ChatTemplate
from gptkit.errors import DataError
from gptkit.generation.engine import Engine
from gptkit.generation.prefill import PREFIX_TOKENS, PrefixCache
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.text_sequence import TextChunk, TextSequence
from gptkit.model.base import Model
from gptkit.records import Turn

ANSWER_SHARE = 4
"""At least 1/4 of the context is kept free for an answer, unless it may have fewer tokens."""


@dataclass(frozen=True)
class ChatPrompt:
    """What the model reads before an answer."""

    turns: tuple[Turn, ...]
    ids: list[int]
    dropped: int
    """The number of turns that are left out because the context is full."""


class Conversation:
    """The system message and the turns of a conversation.

    If the turns do not fit into the context, the model does not read the oldest ones. They are left out in pairs of a message and
    its answer; the system message and the last message always remain. On a CPU, an answer is that of `generate` to the same turns:
    it does not depend on the texts that were generated before.
    """

    def __init__(self, model: Model, template: ChatTemplate, *, system: str = "") -> None:
        """
        Raises:
            DataError: the template does not support system messages.
        """
        shares_prefixes = bool(getattr(model.cache(1, 1), "has_prefixes", False))
        self.template = template
        self.context = model.context
        self.turns: tuple[Turn, ...] = ()
        """All turns, including those that the model no longer reads."""
        self.system = ""
        self.set_system(system)
        self.has_memory = template.supports_dialogues()
        """Whether the template supports dialogues. Otherwise the model reads only the last message."""
        self._engine = Engine(
            model,
            template.tokenizer,
            batch=1,
            chunked_prefill=shares_prefixes,
            prefixes=PrefixCache(max(PREFIX_TOKENS, 2 * model.context)) if shares_prefixes else None,
        )
        self._samples: dict[int, int] = {}

    @property
    def messages(self) -> tuple[Turn, ...]:
        """The system message, if there is one, and all turns."""
        return self._with_system(self.turns)

    def set_system(self, text: str) -> None:
        """Replace the system message; empty: there is none.

        Raises:
            DataError: the template does not support system messages. The message remains as it was.
        """
        if text:
            self.template.prompt((Turn("system", text), Turn("user", "a")))
        self.system = text

    def replace(self, messages: tuple[Turn, ...]) -> None:
        """Replace all messages. Roles must alternate after the system message, if there is one.

        Raises:
            DataError: the template does not support system messages. The conversation remains as it was.
        """
        has_system = bool(messages) and messages[0].role == "system"
        self.set_system(messages[0].text if has_system else "")
        self.turns = messages[has_system:]
        self._samples.clear()

    def undo(self) -> Turn:
        """Remove the last message of the user and its answer, and return the message.

        Raises:
            DataError: there is none.
        """
        asked = [index for index, turn in enumerate(self.turns) if turn.role == "user"]
        if not asked:
            raise DataError("nothing has been said yet")
        message, self.turns = self.turns[asked[-1]], self.turns[: asked[-1]]
        return message

    def prompt(self, turns: tuple[Turn, ...], max_new_tokens: int) -> ChatPrompt:
        """Return what the model reads before it answers the last of these turns.

        Raises:
            DataError: the system message and the last turn alone fill the context, or the template does not support the turns.
        """
        free = min(max_new_tokens, max(1, self.context // ANSWER_SHARE))
        starts = sorted({0, *(index for index, turn in enumerate(turns) if turn.role == "user")})
        first = 0 if self.has_memory else len(starts) - 1

        def fits(start: int) -> bool:
            return len(self._ids(turns[start:])) <= self.context - free

        start = starts[bisect.bisect_left(starts, True, lo=first, hi=len(starts) - 1, key=fits)]
        ids = self._ids(turns[start:])
        if len(ids) >= self.context:
            raise DataError(
                f"the message has {len(ids)} tokens{' with the system message' if self.system else ''}, and the model's context "
                f"of {self.context} has no room for an answer; shorten it"
            )
        return ChatPrompt(self._with_system(turns[start:]), ids, start)

    def ask(
        self, message: str, params: SamplingParams, *, is_stopped: Callable[[], bool] = lambda: False
    ) -> tuple[ChatPrompt, Iterator[TextChunk]]:
        """Return what the model reads before its answer to a message, and the chunks of the answer, which is generated meanwhile.

        Message and answer become part of the conversation when the last chunk is read.

        Args:
            message: the message of the user.
            params: the parameters of sampling.
            is_stopped: called between tokens. If it returns true, the answer ends there; if it is empty, the message is discarded.

        Raises:
            DataError: see `prompt`.
        """
        return self._answer((*self.turns, Turn("user", message)), 0, params, is_stopped)

    def retry(
        self, params: SamplingParams, *, is_stopped: Callable[[], bool] = lambda: False
    ) -> tuple[ChatPrompt, Iterator[TextChunk]]:
        """Answer the last message again, as `ask` does, with the next sample number. The new answer replaces the one before.

        Raises:
            DataError: there is no message, or see `prompt`.
        """
        if not any(turn.role == "user" for turn in self.turns):
            raise DataError("there is no message to answer")
        if self.turns[-1].role == "user":
            return self._answer(self.turns, 0, params, is_stopped)
        return self._answer(self.turns[:-1], self._samples.get(len(self.turns) - 1, 0) + 1, params, is_stopped)

    def _answer(
        self, turns: tuple[Turn, ...], sample: int, params: SamplingParams, is_stopped: Callable[[], bool]
    ) -> tuple[ChatPrompt, Iterator[TextChunk]]:
        prompt = self.prompt(turns, params.max_new_tokens)
        return prompt, self._generate(turns, prompt.ids, sample, params, is_stopped)

    def _generate(
        self, turns: tuple[Turn, ...], ids: list[int], sample: int, params: SamplingParams, is_stopped: Callable[[], bool]
    ) -> Iterator[TextChunk]:
        text = TextSequence(
            self.template.tokenizer, ids, params, context=self.context, key=(0, sample), live=True, end=self.template.end
        )
        self._engine.add(text)
        try:
            while not self._engine.is_idle:
                chunks = [text.finish("stopped")] if is_stopped() else [chunk for _, chunk in self._engine.step()]
                for chunk in chunks:
                    if chunk.finished is not None and (chunk.finished.text or chunk.finished.finish_reason != "stopped"):
                        self.turns = (*turns, Turn("assistant", chunk.finished.text))
                        self._samples[len(turns)] = sample
                    yield chunk
                    if chunk.finished is not None:
                        return
        finally:
            self._engine.cancel(text)

    def _with_system(self, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        return (Turn("system", self.system), *turns) if self.system else turns

    def _ids(self, turns: tuple[Turn, ...]) -> list[int]:
        return self.template.prompt_ids(self._with_system(turns))
