"""`/v1/completions`: continuations of texts or token ids, and log-probabilities of the prompt itself (`echo`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gptkit_serve.errors import APIError
from gptkit_serve.log_probs import AnswerTokens, TokenEntry, TokenReader, completion_content
from gptkit_serve.routes.parts import CurrentService, check_stream_options, index_of, tokens_of, usage
from gptkit_serve.schemas.completions import CompletionRequest
from gptkit_serve.service import FINISH_REASONS, Answer, Answers, Job, Service, new_id, sampling_params
from gptkit_serve.streaming import DONE, ChoiceEvents, EventStream, event, unless_client_leaves

router = APIRouter()


@dataclass(frozen=True)
class Echo:
    """What comes before a continuation in its choice: the prompt if the request echoes it, else nothing."""

    text: str = ""
    entries: tuple[TokenEntry, ...] = ()


@router.post("/v1/completions", response_model=None)
async def create_completion(body: CompletionRequest, request: Request, service: CurrentService) -> Response:
    """Continue prompts, at once or as a stream of server-sent events."""
    job = await _job(body, service)
    if body.stream:
        answers = service.start(job) if body.new_tokens else None
        return EventStream(answers, _events(body, service, job, answers))
    return await unless_client_leaves(request.receive, _complete(body, service, job))


async def _job(body: CompletionRequest, service: Service) -> Job:
    served = service.served
    served.check_name(body.model)
    check_stream_options(body)
    prompts = []
    for prompt in body.prompts:
        ids = await service.encode(prompt, param="prompt") if isinstance(prompt, str) else prompt
        if any(each >= served.tokenizer.size for each in ids):
            raise APIError(400, f"prompt: token ids must be below {served.tokenizer.size}", param="prompt")
        served.check_length(ids, new_tokens=min(1, body.new_tokens), param="prompt")
        prompts.append(ids or [served.end_of_text])  # texts begin after end-of-text
    return Job(
        new_id("cmpl-"),
        tuple(prompts),
        sampling_params(body, max_new_tokens=body.new_tokens, stop=tuple(body.stop or ()), context=served.context),
        samples=body.n or 1,
        log_probs=body.logprobs,
        streams=bool(body.stream),
    )


async def _echoes(body: CompletionRequest, service: Service, job: Job) -> list[Echo]:
    """Return what comes before the continuations of each prompt."""
    if not body.echo:
        return [Echo()] * len(job.prompts)
    tokenizer, echoes = service.served.tokenizer, []
    for prompt, ids in zip(body.prompts, job.prompts, strict=True):
        entries: list[TokenEntry] = []
        if body.logprobs is not None:
            scores = await service.prompt_log_probs(ids, top=body.logprobs)
            entries = TokenReader(tokenizer, ()).read(ids, [None, *scores], end=None)
        echoes.append(Echo(prompt if isinstance(prompt, str) else tokenizer.decode(prompt), tuple(entries)))
    return echoes


async def _complete(body: CompletionRequest, service: Service, job: Job) -> Response:
    echoes = await _echoes(body, service, job)
    completed = await service.complete(job) if body.new_tokens else []
    if body.new_tokens:
        choices = [_choice(body, service, job, echoes[answer.text.key[0]], answer) for answer in completed]
    else:
        choices = [
            _content(body, service, index * job.samples + sample, echo.text, echo.entries, "length")
            for index, echo in enumerate(echoes)
            for sample in range(job.samples)
        ]
    choices.sort(key=lambda choice: choice["index"])
    return JSONResponse(
        {
            **_head(service, job),
            "choices": choices,
            "usage": usage(job, tokens_of(completed), [answer.text for answer in completed]),
        }
    )


def _head(service: Service, job: Job) -> dict[str, Any]:
    return {"id": job.id, "object": "text_completion", "created": job.created, "model": service.served.name}


def _choice(body: CompletionRequest, service: Service, job: Job, echo: Echo, answer: Answer) -> dict[str, Any]:
    text, entries = answer.continuation.text, list(echo.entries)
    if body.logprobs is not None:
        tokens = AnswerTokens(service.served.tokenizer, answer.text, offset=len(echo.text))
        entries += tokens.read(text, answer.continuation.finish_reason)
    return _content(body, service, index_of(job, answer.text.key), echo.text + text, entries, answer.finish_reason)


def _content(
    body: CompletionRequest, service: Service, index: int, text: str, entries: Any, finish_reason: str | None
) -> dict[str, Any]:
    log_probs = None if body.logprobs is None else completion_content(service.served.tokenizer, entries)
    return {"index": index, "text": text, "logprobs": log_probs, "finish_reason": finish_reason}


async def _events(body: CompletionRequest, service: Service, job: Job, answers: Answers | None) -> AsyncIterator[bytes]:
    head, tokenizer = _head(service, job), service.served.tokenizer
    events = ChoiceEvents(head, {"usage": None} if body.includes_usage else {})
    echoes = await _echoes(body, service, job)
    generated = 0

    def choice_event(index: int, text: str, entries: Any, finish_reason: str | None) -> bytes:
        return events.event(_content(body, service, index, text, entries, finish_reason))

    if body.echo:
        for index, echo in enumerate(each for each in echoes for _ in range(job.samples)):
            yield choice_event(index, echo.text, echo.entries, None if body.new_tokens else "length")
    if answers is not None:
        tokens = {text: AnswerTokens(tokenizer, text, offset=len(echoes[text.key[0]].text)) for text in answers.texts}
        async with aclosing(answers.chunks()) as steps:
            async for step in steps:
                written = []
                for text, chunk in step:
                    reason = None if chunk.finished is None else chunk.finished.finish_reason
                    entries = [] if body.logprobs is None else tokens[text].read(chunk.text, reason)
                    generated += 0 if chunk.finished is None else len(chunk.finished.tokens)
                    finish_reason = None if reason is None else FINISH_REASONS[reason]
                    written.append(choice_event(index_of(job, text.key), chunk.text, entries, finish_reason))
                yield b"".join(written)
    if body.includes_usage:
        yield event({**head, "choices": [], "usage": usage(job, generated, [] if answers is None else answers.texts)})
    yield DONE
