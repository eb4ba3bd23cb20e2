"""The jobs of the engine: what a request asks for, in tokens, and the texts that answer it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from gptkit.generation.async_engine import AsyncEngine, Generation
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.text_sequence import Continuation, TextChunk, TextSequence, TokenLogProbs
from gptkit.generation.token_log_probs import token_log_probs
from gptkit.records import Turn
from gptkit_serve.errors import APIError, overloaded
from gptkit_serve.metrics import Metrics
from gptkit_serve.receipts import CANCELLED
from gptkit_serve.schemas.base import SamplingRequest
from gptkit_serve.served_model import ServedModel

FINISH_REASONS = {"end_of_text": "stop", "stop": "stop", "length": "length", "context": "length"}
"""OpenAI's names for the reasons why a text ends."""

LONG_TEXT = 20_000
"""Texts of more characters are encoded in a thread, so that other requests do not wait."""

MESSAGE_COST = 100
"""The number of characters that take as long to encode as the template around a message."""


@dataclass(frozen=True)
class Job:
    """What a request asks for. The texts are those of `gptkit generate` with these prompts, parameters and number of samples."""

    id: str
    prompts: tuple[list[int], ...]
    """The token ids of each prompt."""
    params: SamplingParams
    samples: int = 1
    """The number of texts per prompt."""
    log_probs: int | None = None
    """The number of most probable tokens whose log-probabilities are returned with each token; None: return none."""
    end: int | None = None
    """Another token than end-of-text that ends a text."""
    streams: bool = False
    created: int = field(default_factory=lambda: int(time.time()))


def new_id(prefix: str) -> str:
    """Return a new, unique id of an answer."""
    return f"{prefix}{secrets.token_hex(16)}"


def sampling_params(request: SamplingRequest, *, max_new_tokens: int | None, stop: tuple[str, ...], context: int) -> SamplingParams:
    """Return the parameters of a request. A request without a seed gets a random one."""
    return SamplingParams(
        min(context, max_new_tokens or context),
        1.0 if request.temperature is None else request.temperature,
        max(0, request.top_k or 0),
        request.top_p or 1.0,
        stop,
        secrets.randbits(31) if request.seed is None else request.seed,
    )


class Service:
    """Generates the texts of jobs with one engine."""

    def __init__(self, served: ServedModel, engine: AsyncEngine, metrics: Metrics, *, capacity: int) -> None:
        """
        Args:
            served: the model.
            engine: the engine of the model.
            metrics: where requests, tokens and times are counted.
            capacity: maximum number of texts that are decoded or wait.
        """
        self.served, self.engine, self.metrics = served, engine, metrics
        self.on_ended: list[Callable[[Job, TextSequence, str], None]] = []
        """Called with each text that is complete or was cancelled, and its finish reason."""
        self.created = int(time.time())
        self._capacity = capacity

    async def encode(self, text: str, *, param: str) -> list[int]:
        """Return the token ids of a text. Raises as `ServedModel.encode`."""
        if len(text) < LONG_TEXT:
            return self.served.encode(text, param=param)
        return await asyncio.to_thread(self.served.encode, text, param=param)

    async def encode_turns(self, turns: Sequence[Turn], *, param: str) -> list[int]:
        """Return the token ids before the answer to a conversation. Raises as `ServedModel.encode_turns`."""
        if sum(len(turn.text) + MESSAGE_COST for turn in turns) < LONG_TEXT:
            return self.served.encode_turns(turns, param=param)
        return await asyncio.to_thread(self.served.encode_turns, turns, param=param)

    async def prompt_log_probs(self, ids: Sequence[int], *, top: int) -> list[TokenLogProbs]:
        """Return the log-probability of every token after the first one, and the most probable tokens in its place.

        Raises:
            EngineStoppedError: the engine has stopped.
        """
        model, vocabulary = self.served.model, self.served.tokenizer.size
        scores: list[TokenLogProbs] = await self.engine.call(lambda: token_log_probs(model, ids, vocabulary=vocabulary, top=top))
        return scores

    def start(self, job: Job) -> Answers:
        """Start to generate the texts of a job.

        Raises:
            APIError: there is no room for them.
            EngineStoppedError: the engine has stopped.
        """
        count = len(job.prompts) * job.samples
        if count > self._capacity:
            raise APIError(400, f"the request asks for {count} texts, and the server accepts at most {self._capacity} at a time")
        if self.engine.texts + count > self._capacity:
            raise overloaded(f"the server has {self.engine.texts} texts to generate, and no room for {count} more; try again later")
        texts = [
            TextSequence(
                self.served.tokenizer,
                ids,
                job.params,
                context=self.served.context,
                key=(index, sample),
                live=job.streams,
                log_probs=job.log_probs,
                end=job.end,
            )
            for index, ids in enumerate(job.prompts)
            for sample in range(job.samples)
        ]
        self.metrics.prompt_tokens.inc(sum(map(len, job.prompts)))
        return Answers(self, job, texts, self.engine.start(texts))

    async def complete(self, job: Job) -> list[Answer]:
        """Generate the texts of a job, and return them by prompt and sample. Raises as `start`."""
        answers = self.start(job)
        try:
            async with aclosing(answers.chunks()) as steps:
                return [Answer(text, chunk.finished) async for step in steps for text, chunk in step if chunk.finished is not None]
        finally:
            answers.close()


@dataclass(frozen=True)
class Answer:
    """A text that is complete."""

    text: TextSequence
    continuation: Continuation

    @property
    def finish_reason(self) -> str:
        """OpenAI's name for the reason why the text ends."""
        return FINISH_REASONS[self.continuation.finish_reason]


class Answers:
    """The texts of a job while they are generated."""

    def __init__(self, service: Service, job: Job, texts: list[TextSequence], generation: Generation) -> None:
        self.job, self.texts, self.tokenizer = job, texts, service.served.tokenizer
        self._service, self._generation = service, generation
        self._start = time.perf_counter()
        self._has_begun = False
        self._running = dict.fromkeys(texts)

    async def chunks(self) -> AsyncGenerator[list[tuple[TextSequence, TextChunk]]]:
        """Yield the chunks of all texts, as they are generated: those that have come since the last ones.

        Raises:
            EngineStoppedError: an error has ended the engine.
        """
        metrics = self._service.metrics
        async for chunks in self._generation:
            if not self._has_begun:
                metrics.time_to_first_chunk.observe(time.perf_counter() - self._start)
                self._has_begun = True
            for text, chunk in chunks:
                if chunk.finished is not None:
                    metrics.generated_tokens.inc(len(chunk.finished.tokens))
                    self._end(text, chunk.finished.finish_reason)
            yield chunks

    def close(self) -> None:
        """Cancel the texts that are not complete."""
        self._generation.close()
        for text in list(self._running):
            self._end(text, CANCELLED)

    def _end(self, text: TextSequence, finish_reason: str) -> None:
        del self._running[text]
        for call in self._service.on_ended:
            call(self.job, text, finish_reason)
