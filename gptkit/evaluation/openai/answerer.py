"""An OpenAI-compatible server answers the requests of a task.

With the tokenizer of the model, prompts are token ids, and mean what they mean to a model in this process. Without it, prompts are
texts, and the server's offsets of tokens say where a continuation begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import anyio
import openai
from anyio.from_thread import BlockingPortal, start_blocking_portal

from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.evaluation.answerer import AnsweredItem, Answerer
from gptkit.evaluation.encoding import RequestEncoder, chat_turns
from gptkit.evaluation.openai.echo import plain_token
from gptkit.evaluation.openai.requests import Requests, Window, cut_at_stop, request_seed
from gptkit.evaluation.openai.server import Server
from gptkit.records import Turn
from gptkit.task.base import Item, Task
from gptkit.task.requests import Answer, ChatGeneration, Generation, GenerationAnswer, LogLikelihood, LogLikelihoodAnswer, Request
from gptkit.tokenizer.base import Tokenizer

IN_FLIGHT = 16
"""The number of requests at a time, unless `batch` is set."""
AHEAD = 4
"""Requests that are prepared for each one in flight, so that a slow one does not stop the others."""
UNKNOWN_CONTEXT = 1 << 30
GENERATED_TOP, FILTERED_TOP = 1, 5
"""The number of most probable tokens that are asked for; more if some of them are excluded. OpenAI's limit is 5."""


@dataclass(frozen=True)
class _Call:
    """A request of an item, as what is sent."""

    request: Request
    windows: tuple[Window, ...]
    truncated: int
    seed: int | None = None
    turns: tuple[Turn, ...] = ()
    """The messages of a chat, which has no windows."""


class OpenAIAnswerer(Answerer):
    """Answers requests with the model of a server."""

    parallel = "requests at a time"

    def __init__(self, server: Server, *, tokenizer: Tokenizer | None = None, chat: bool = False, generating: Collection[str] = ()):
        """
        Args:
            server: the server and its model.
            tokenizer: the tokenizer of the model; None: prompts are sent as texts.
            chat: whether prompts are messages of a user (`/chat/completions`).
            generating: the names of tasks that need no log-probabilities, for messages.
        """
        self.server, self.tokenizer, self.chat = server, tokenizer, chat
        self.source, self.context = server.source.removeprefix("checkpoint="), server.context
        self._generating = ", ".join(generating)

    def protocol(self, task: Task) -> dict[str, Any]:
        by_ids = self.tokenizer is not None and not self.chat
        return {
            "server": self.server.url,
            "model": self.server.model,
            "described": self.server.described,
            "prompts": "messages" if self.chat else "token ids" if by_ids else "texts",
            **({"fewshot": "turns"} if self.chat else {}),
            "boundary": task.boundary if by_ids else "joint",
            "prefix": task.prefix if by_ids else "server",
            "context": self.context,
            "top_logprobs": _top(task),
            "tokenizer": self.tokenizer.fingerprint if self.tokenizer is not None and by_ids else None,
        }

    def fits(self, task: Task) -> Callable[[Item], bool]:
        encoder = self._encoder(task)
        if encoder is None or self.context is None:
            return lambda item: True
        return lambda item: not any(request.truncated for request in encoder.encode_item(item))

    def answer(
        self, task: Task, items: Sequence[Item], *, done: Collection[int] = (), seed: int = 0, batch: int = 0
    ) -> Iterator[list[AnsweredItem]]:
        limit = batch or IN_FLIGHT
        encoder = self._encoder(task)
        asked = [
            (position, self._calls(item, encoder, seed, position)) for position, item in enumerate(items) if position not in done
        ]
        words = frozenset(f" {word}" for word in task.excluded_words)
        needs_echo = (
            f"{self.server.source}: does not echo the log-probabilities of a prompt (/completions with echo and logprobs), which "
            f"this task needs; tasks that generate text do not: {self._generating}"
        )
        pending: deque[tuple[int, list[Future[Answer]]]] = deque()
        with start_blocking_portal() as portal, _client(portal, self.server) as client:
            requests = Requests(self.server, client, needs_echo)
            limiter = portal.call(anyio.CapacityLimiter, limit)

            def start(position: int, call: _Call) -> Future[Answer]:
                return portal.start_task_soon(self._answer, requests, limiter, call, items[position].where, words, _top(task))

            for position, calls in asked:
                pending.append((position, [start(position, call) for call in calls]))
                while pending and sum(len(futures) for _, futures in pending) >= AHEAD * limit:
                    yield from _first(pending)
            while pending:
                yield from _first(pending)

    def _encoder(self, task: Task) -> RequestEncoder | None:
        """Return the encoder of token ids; None for texts. Two tokens remain free: servers count the one that is generated."""
        if self.tokenizer is None or self.chat:
            return None
        return RequestEncoder(task, self.tokenizer, context=max(1, (self.context or UNKNOWN_CONTEXT) - 2))

    def _calls(self, item: Item, encoder: RequestEncoder | None, seed: int, position: int) -> list[_Call]:
        """Return what to send for an item.

        Raises:
            ConfigError: the server cannot answer such requests.
        """
        for request in item.requests:
            self._check(request)
        seeds = [
            request_seed(seed, position, number) if isinstance(request, Generation) and request.temperature > 0 else None
            for number, request in enumerate(item.requests)
        ]
        if self.chat:
            return [
                _Call(request, (), 0, each, tuple(_turns(request, item)))
                for request, each in zip(item.requests, seeds, strict=True)
            ]
        if encoder is None:
            return [_Call(request, (_window(request, item),), 0, each) for request, each in zip(item.requests, seeds, strict=True)]
        return [
            _Call(
                request,
                tuple(Window(each.context + each.continuation, len(each.continuation)) for each in encoded.sequences),
                encoded.truncated,
                each,
            )
            for request, encoded, each in zip(item.requests, encoder.encode_item(item), seeds, strict=True)
        ]

    def _check(self, request: Request) -> None:
        if isinstance(request, ChatGeneration) and not self.chat:
            raise ConfigError("this task sends messages; set chat=true")
        if isinstance(request, Generation):
            if request.beams > 1:
                raise ConfigError(f"{self.server.source}: a server has no beam search; set task.beams=1")
            return
        if self.chat:
            raise ConfigError(
                f"{self.server.source}: a chat gives no log-probabilities of a given text, which this task needs; tasks that "
                f"generate text do not: {self._generating}"
            )
        if not isinstance(request, LogLikelihood) and (self.tokenizer is None or self.context is None):
            missing = "tokenizer=<run or hf:folder>" if self.tokenizer is None else "context=<number of tokens>"
            raise ConfigError(f"{self.server.source}: this task scores whole texts in windows of the context; set openai.{missing}")

    async def _answer(
        self, requests: Requests, limiter: anyio.CapacityLimiter, call: _Call, where: str, excluded: frozenset[str], top: int
    ) -> Answer:
        request = call.request
        if isinstance(request, Generation):
            async with limiter:
                if self.chat:
                    text = await requests.chat(call.turns, request, call.seed, where)
                else:
                    text = await requests.complete(call.windows[0].prompt, request, call.seed, where)
            return GenerationAnswer(cut_at_stop(text, request), call.truncated)
        parts: list[LogLikelihoodAnswer] = []
        for window in call.windows:
            async with limiter:
                echo = await requests.echo(window.prompt, top, where)
            if isinstance(window.prompt, str):
                part = echo.scored_by_text(window.prompt, window.scored)
            else:
                part = slice(len(window.prompt) - window.scored, len(window.prompt))
                self._check_tokens(echo.tokens[part], window.prompt[part])
            parts.append(echo.answer(part, excluded, self.server.source))
        return replace(
            parts[0],
            log_probs=tuple(value for part in parts for value in part.log_probs),
            is_greedy=all(part.is_greedy for part in parts),
            tokens=tuple(token for part in parts for token in part.tokens),
            truncated=call.truncated,
        )

    def _check_tokens(self, echoed: Sequence[str], ids: list[int]) -> None:
        """Raise: GptkitError: the tokenizer is not that of the server. Only letters and digits are compared."""
        assert self.tokenizer is not None
        expected = self.tokenizer.decode(ids)
        if expected.isascii() and _letters("".join(map(plain_token, echoed))) != _letters(expected):
            raise GptkitError(
                f"{self.server.source}: reads the token ids of {expected[:30]!r} as {''.join(echoed)[:30]!r}; openai.tokenizer "
                "is not the tokenizer of its model"
            )


def _client(portal: BlockingPortal, server: Server) -> Any:
    return portal.wrap_async_context_manager(openai.AsyncOpenAI(**server.client_settings()))


def _first(pending: deque[tuple[int, list[Future[Answer]]]]) -> Iterator[list[AnsweredItem]]:
    """Wait for the first item. If it fails, yield the others that are complete before its error is raised."""
    position, futures = pending.popleft()
    try:
        yield [(position, [future.result() for future in futures])]
    except GptkitError:
        complete = [(other, each) for other, each in pending if all(future.done() and not future.exception() for future in each)]
        yield [(other, [future.result() for future in each]) for other, each in complete]
        raise


def _turns(request: Request, item: Item) -> list[Turn]:
    assert isinstance(request, Generation)
    turns = chat_turns(request.prompt, item.solved)
    return [*(Turn(turn.role, turn.text.strip()) for turn in turns[:-1]), turns[-1]]


def _window(request: Request, item: Item) -> Window:
    """Return a request as a text of which the continuation is scored, with the spaces before it."""
    if isinstance(request, Generation):
        return Window(request.prompt, 0)
    assert isinstance(request, LogLikelihood)
    text = request.context + request.continuation
    scored = len(text) - len(request.context.rstrip())
    if not request.continuation:
        raise DataError(
            f"{item.where or 'an item'}: the continuation of {request.context[-40:]!r} is empty; there is nothing to score"
        )
    return Window(text, scored)


def _top(task: Task) -> int:
    return FILTERED_TOP if task.excluded_words else GENERATED_TOP


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())
