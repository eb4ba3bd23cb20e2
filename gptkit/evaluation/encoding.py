"""Requests as token ids: the boundary between context and continuation, the prefix token, and windows of long texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gptkit.chat_template.base import ChatTemplate
from gptkit.data.parsing.messages import with_system
from gptkit.errors import ConfigError, DataError
from gptkit.generation.scoring import TokenSequence
from gptkit.records import Turn
from gptkit.task.base import Item, SolvedExample, Task
from gptkit.task.requests import ChatGeneration, Generation, LogLikelihood, Request, RollingLogLikelihood
from gptkit.tokenizer.base import Tokenizer


@dataclass(frozen=True)
class EncodedRequest:
    """A request as token ids."""

    sequences: tuple[TokenSequence, ...]
    """What is scored: one sequence, or the windows of a text. Of a `Generation`: the prompt, with an empty continuation."""
    truncated: int
    """The number of tokens that were removed on the left."""

    def __len__(self) -> int:
        return sum(map(len, self.sequences))


class RequestEncoder:
    """Encodes the requests of a task for one model."""

    def __init__(self, task: Task, tokenizer: Tokenizer, *, context: int, chat: ChatTemplate | None = None) -> None:
        """
        Args:
            task: the task, which says where the boundary between context and continuation is.
            tokenizer: the tokenizer of the model.
            context: the maximum number of tokens of a sequence.
            chat: the template by which contexts and prompts are messages of a user, and continuations answers; None: they are
                one text.
        """
        self._chat = chat
        self._has_turns = chat is not None and chat.supports_dialogues()
        self._joint = task.boundary == "joint"
        self._always = task.prefix == "always"
        self._tokenizer, self._context = tokenizer, context
        self._end_of_text = tokenizer.special["end_of_text"]
        self._ids: dict[str, list[int]] = {}
        encoded = [tokenizer.encode(f" {word}") for word in task.excluded_words]
        self.excluded = sorted({ids[0] for ids in encoded if len(ids) == 1})
        """The tokens that are one of `Task.excluded_words` with the space before it."""

    def encode_item(self, item: Item) -> list[EncodedRequest]:
        """Return the requests of an item as token ids.

        Raises:
            DataError: there is nothing to score in a continuation or a text.
        """
        self._ids.clear()  # contexts are shared within an item
        if self._chat is not None:
            return [self._encode_chat(self._chat, request, item) for request in item.requests]
        return [self._encode_request(request, item.where) for request in item.requests]

    def encode_continuation(self, request: LogLikelihood) -> EncodedRequest:
        """Return a continuation with its context as token ids.

        Raises:
            DataError: the continuation is empty.
        """
        self._ids.clear()
        return self._encode_request(request, "")

    def _encode_request(self, request: Request, where: str) -> EncodedRequest:
        if isinstance(request, ChatGeneration):
            raise ConfigError("this task sends messages; set chat=true")
        if isinstance(request, Generation):
            return self._encode_prompt(request)
        if isinstance(request, RollingLogLikelihood):
            ids = self._encode(request.text)
            if not ids:
                raise DataError(f"{where or 'an item'}: the text is empty; there is nothing to score")
            return EncodedRequest(tuple(rolling_windows(ids, self._end_of_text, self._context, request.stride)), 0)
        context, continuation = self._encode_pair(request)
        if not continuation or not request.continuation:
            raise DataError(
                f"{where or 'an item'}: the continuation of {request.context[-40:]!r} is empty; there is nothing to score"
            )
        if self._always or not context:
            context = [self._end_of_text, *context]
        sequence = TokenSequence(context, continuation)
        return EncodedRequest((sequence.fit(self._context),), max(0, len(sequence) - self._context - 1))

    def _encode_chat(self, template: ChatTemplate, request: Request, item: Item) -> EncodedRequest:
        """Encode a request of a chat. White space around messages and before the answer is removed, except in `plain`."""
        if isinstance(request, RollingLogLikelihood):
            raise ConfigError("chat=true: this task scores whole texts, which are no answers to messages; remove chat")
        message, answer = (request.prompt, "") if isinstance(request, Generation) else (request.context, request.continuation)
        messages = chat_turns(message, item.solved if self._has_turns else ())
        if template.marks_answers:
            messages = [Turn(turn.role, turn.text.strip()) for turn in messages]
            answer = answer.lstrip()
        system = request.system if isinstance(request, ChatGeneration) else ""
        turns = with_system(tuple(messages), system)
        prompt = template.prompt_ids(turns)
        if isinstance(request, Generation):
            return self._fit_prompt(prompt, request)
        if not answer:
            raise DataError(f"{item.where or 'an item'}: the answer to {message[-40:]!r} is empty; there is nothing to score")
        sequence = TokenSequence(prompt, template.answer_ids(turns, answer)[:-1])
        return EncodedRequest((sequence.fit(self._context),), max(0, len(sequence) - self._context - 1))

    def _encode_pair(self, request: LogLikelihood) -> tuple[list[int], list[int]]:
        """Return the ids of context and continuation; see `gptkit.task.base.Task.boundary`."""
        if not self._joint or not request.context:
            return self._encode(request.context), self._encode(request.continuation)
        context = request.context.rstrip()
        spaces = request.context[len(context) :]
        if not context:
            return [], self._encode(spaces + request.continuation)
        whole = self._encode(request.context + request.continuation)
        cut = min(len(self._encode(context)), len(whole) - 1)  # a token may span the boundary; the last one is always scored
        return whole[:cut], whole[cut:]

    def _encode_prompt(self, request: Generation) -> EncodedRequest:
        ids = self._encode(request.prompt)
        if self._always or not ids:
            ids = [self._end_of_text, *ids]
        return self._fit_prompt(ids, request)

    def _fit_prompt(self, ids: list[int], request: Generation) -> EncodedRequest:
        room = max(1, self._context - request.max_new_tokens)
        return EncodedRequest((TokenSequence(ids[-room:], []),), max(0, len(ids) - room))

    def _encode(self, text: str) -> list[int]:
        if text not in self._ids:
            self._ids[text] = self._tokenizer.encode(text)
        return self._ids[text]


def chat_turns(message: str, solved: Sequence[SolvedExample]) -> list[Turn]:
    """Return a message as turns: the examples in it become messages and answers before it.

    Args:
        message: a context or a prompt, with the examples.
        solved: the examples; empty if they remain in the message.
    """
    before, found, question = message.partition("".join(example.text for example in solved)) if solved else (message, "", "")
    if not found or not question.strip():
        return [Turn("user", message)]
    turns = [turn for example in solved for turn in (Turn("user", example.question), Turn("assistant", example.answer))]
    return [Turn("user", before + turns[0].text), *turns[1:], Turn("user", question)]


def rolling_windows(ids: list[int], prefix: int, context: int, stride: int = 0) -> Iterator[TokenSequence]:
    """Yield windows that score every token once, each with as many tokens before it as fit.

    The first window scores as many tokens as the context has, the others `stride`; the last window may score fewer.

    Args:
        ids: the tokens to score.
        prefix: the token before the first one.
        context: the number of tokens that the model reads at once.
        stride: the number of tokens that a window scores; 0: `context`.
    """
    tokens = [prefix, *ids]
    begin, end = 1, min(context + 1, len(tokens))
    while begin < len(tokens):
        first = max(0, end - 1 - context)  # inputs are tokens[first : end - 1]
        yield TokenSequence(tokens[first:begin], tokens[begin:end])
        begin, end = end, min(end + (min(stride, context) or context), len(tokens))
