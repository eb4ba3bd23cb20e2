"""What the endpoints have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Request

from gptkit.generation.text_sequence import TextSequence
from gptkit_serve.errors import APIError
from gptkit_serve.schemas.base import ChoicesRequest
from gptkit_serve.service import Answer, Job, Service


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


CurrentService: TypeAlias = Annotated[Service, Depends(_service_of)]


def check_stream_options(body: ChoicesRequest) -> None:
    """Raises: APIError: options of a stream are set, and the answer is none."""
    if body.stream_options is not None and not body.stream:
        raise APIError(400, "stream_options needs stream=true", param="stream_options")


def usage(job: Job, generated: int, texts: Iterable[TextSequence]) -> dict[str, Any]:
    """Return the numbers of tokens of a job and its texts. A prompt with several answers is counted once."""
    prompt = sum(map(len, job.prompts))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": cached_tokens(texts)},
    }


def cached_tokens(texts: Iterable[TextSequence]) -> int:
    """Return the number of tokens of the prompts that were not read again, because earlier prompts began with them."""
    return sum(text.shared_prompt_tokens for text in texts if text.key[1] == 0)


def tokens_of(answers: Sequence[Answer]) -> int:
    """Return the number of tokens of answers."""
    return sum(len(answer.continuation.tokens) for answer in answers)


def index_of(job: Job, key: tuple[int, int]) -> int:
    """Return the index of a choice from the numbers of its prompt and its sample."""
    prompt, sample = key
    return prompt * job.samples + sample
