"""A model in this process answers the requests of a task.

Items are sorted by length and cut into batches of whole items. The batches depend on the items alone, so an evaluation that was
stopped computes the remaining items in the same batches, and gets the same answers to the last bit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from gptkit.chat_template.base import ChatTemplate
from gptkit.errors import GptkitError
from gptkit.evaluation.answerer import AnsweredItem, Answerer
from gptkit.evaluation.encoding import EncodedRequest, RequestEncoder
from gptkit.generation.beam_search import beam_search
from gptkit.generation.engine import continue_token_ids
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.scoring import ContinuationScore, score_continuations
from gptkit.model.fingerprint import state_fingerprint
from gptkit.task.base import Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer, Generation, GenerationAnswer, LogLikelihoodAnswer
from gptkit.tokenizer.token_texts import TokenTexts

TOKENS_PER_BATCH = 16384
"""Minimum number of tokens of the items of a batch, except for the last one."""


class ModelAnswerer(Answerer):
    """Answers requests with a model."""

    def __init__(self, subject: Subject, *, chat: ChatTemplate | None = None) -> None:
        """
        Args:
            subject: the model and its tokenizer.
            chat: the template by which requests are messages of a user and answers; None: they are texts.
        """
        self.subject, self._chat = subject, chat
        self.source, self.settings = subject.source, subject.settings
        self.context: int = subject.model.context
        self.parameters = sum(parameter.numel() for parameter in subject.model.parameters())

    def protocol(self, task: Task) -> dict[str, Any]:
        parameter = next(self.subject.model.parameters())
        chat = {} if self._chat is None else {"chat": _chat_protocol(self._chat)}
        return {
            "boundary": task.boundary,
            "prefix": task.prefix,
            **chat,
            "precision": str(parameter.dtype).removeprefix("torch."),
            "device": parameter.device.type,
            "context": self.context,
            "weights": weights_fingerprint(self.subject.model),
            "tokenizer": self.subject.tokenizer.fingerprint,
        }

    def fits(self, task: Task) -> Callable[[Item], bool]:
        encoder = self._encoder(task)
        return lambda item: not any(request.truncated for request in encoder.encode_item(item))

    def answer(
        self, task: Task, items: Sequence[Item], *, done: Collection[int] = (), seed: int = 0, batch: int = 0
    ) -> Iterator[list[AnsweredItem]]:
        encoder = self._encoder(task)
        encoded = [encoder.encode_item(item) for item in items]
        excluded = encoder.excluded if task.excluded_words else None
        for places in group_items([sum(map(len, requests)) for requests in encoded]):
            if not all(place in done for place in places):
                part = [(place, items[place], encoded[place]) for place in places]
                answers = _answer(self.subject, part, seed=seed, batch=batch, excluded=excluded, end=self._end)
                yield list(zip(places, answers, strict=True))

    def _encoder(self, task: Task) -> RequestEncoder:
        return RequestEncoder(task, self.subject.tokenizer, context=self.context, chat=self._chat)

    @property
    def _end(self) -> int | None:
        return None if self._chat is None else self._chat.end


def as_answerer(subject: Subject | Answerer) -> Answerer:
    """Return what answers requests: a model becomes one."""
    return ModelAnswerer(subject) if isinstance(subject, Subject) else subject


def _chat_protocol(template: ChatTemplate) -> dict[str, Any]:
    """Return what determines how requests become messages."""
    return {
        "template": hashlib.sha256(template.jinja.encode()).hexdigest(),
        "end": template.end,
        "fewshot": "turns" if template.supports_dialogues() else "in the message of the user",
    }


def weights_fingerprint(model: nn.Module) -> str:
    """Return the SHA-256 (hexadecimal) of the names, shapes and values of the weights."""
    return state_fingerprint(model.state_dict())


def group_items(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield batches of the positions of items of similar length, longest first."""
    batch: list[int] = []
    tokens = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        batch.append(position)
        tokens += lengths[position]
        if tokens >= TOKENS_PER_BATCH:
            yield batch
            batch, tokens = [], 0
    if batch:
        yield batch


Encoded = tuple[int, Item, list[EncodedRequest]]


def _answer(
    subject: Subject, items: Sequence[Encoded], *, seed: int, batch: int, excluded: Sequence[int] | None, end: int | None
) -> list[list[Answer]]:
    """Answer the requests of some items, each with its position.

    Args:
        subject: the model and its tokenizer.
        items: the items.
        seed: see `evaluate`.
        batch: see `evaluate`.
        excluded: tokens that cannot begin a continuation, for `is_greedy_filtered`; None: the task does not use it.
        end: the token that ends a generated text; None: end-of-text.
    """
    requests = [
        (position, number, request, encoded)
        for position, item, all_encoded in items
        for number, (request, encoded) in enumerate(zip(item.requests, all_encoded, strict=True))
    ]
    sequences = [
        sequence for *_, request, encoded in requests if not isinstance(request, Generation) for sequence in encoded.sequences
    ]
    scores = iter(score_continuations(subject.model, sequences, rows=batch, excluded=excluded or ()) if sequences else ())
    texts = _generate(subject, requests, seed=seed, batch=batch, end=end)
    token_texts = TokenTexts(subject.tokenizer)
    answers: dict[int, list[Answer]] = {position: [] for position, *_ in items}
    for position, number, request, encoded in requests:
        if isinstance(request, Generation):
            answers[position].append(GenerationAnswer(texts[position, number], encoded.truncated))
        else:
            answer = _log_likelihood([next(scores) for _ in encoded.sequences], encoded.truncated)
            tokens = token_texts([token for sequence in encoded.sequences for token in sequence.continuation])
            answer = replace(answer, tokens=tokens)
            answers[position].append(answer if excluded is not None else replace(answer, is_greedy_filtered=None))
    return list(answers.values())


def _generate(
    subject: Subject, requests: Sequence[tuple[int, int, object, EncodedRequest]], *, seed: int, batch: int, end: int | None
) -> dict[tuple[int, int], str]:
    """Return the generated texts by position of the item and number of the request."""
    groups: dict[Generation, list[tuple[int, int, list[int]]]] = {}
    for position, number, request, encoded in requests:
        if isinstance(request, Generation):
            settings = replace(request, prompt="")
            groups.setdefault(settings, []).append((position, number, encoded.sequences[0].context))
    texts: dict[tuple[int, int], str] = {}
    for settings, group in groups.items():
        if settings.beams > 1:
            texts |= {(position, number): _best_text(subject, prompt, settings, end) for position, number, prompt in group}
            continue
        params = SamplingParams(settings.max_new_tokens, settings.temperature, top_k=settings.top_k, stop=settings.stop, seed=seed)
        continuations = continue_token_ids(
            subject.model,
            subject.tokenizer,
            [prompt for *_, prompt in group],
            params,
            items=[position * MAX_REQUESTS + number for position, number, _ in group],
            end=end,
            **({"batch": batch} if batch else {}),
        )
        texts |= {
            (position, number): continuation.text for (position, number, _), continuation in zip(group, continuations, strict=True)
        }
    return texts


def _best_text(subject: Subject, prompt: Sequence[int], settings: Generation, end: int | None) -> str:
    return beam_search(
        subject.model,
        subject.tokenizer,
        prompt,
        beams=settings.beams,
        alpha=settings.length_penalty,
        max_new_tokens=settings.max_new_tokens,
        stop=settings.stop,
        end=end,
    ).text


MAX_REQUESTS = 1 << 20
"""Upper limit of the number of requests of an item, to number the requests of all items."""


def _log_likelihood(scores: Sequence[ContinuationScore], truncated: int) -> LogLikelihoodAnswer:
    """Join the scores of the windows of a request."""
    log_probs = tuple(value for score in scores for value in _shortest(score.log_probs))
    if not all(map(math.isfinite, log_probs)):
        raise GptkitError("log-probabilities of the model are not finite; use precision=fp32, or check its weights")
    is_greedy, is_greedy_filtered = all(score.is_greedy for score in scores), all(score.is_greedy_filtered for score in scores)
    return LogLikelihoodAnswer(log_probs, is_greedy, truncated, is_greedy_filtered)


def _shortest(log_probs: Tensor) -> list[float]:
    """Return numbers with as few digits as determine the float32 values, so that files and memory hold the same numbers."""
    return [float(str(value)) for value in log_probs.numpy()]
