"""`/v1/chat/completions`: answers to the messages of a conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gptkit_serve.errors import APIError
from gptkit_serve.log_probs import AnswerTokens, chat_content
from gptkit_serve.routes.parts import CurrentService, check_stream_options, index_of, tokens_of, usage
from gptkit_serve.schemas.chat import ChatRequest
from gptkit_serve.service import FINISH_REASONS, Answer, Answers, Job, Service, new_id, sampling_params
from gptkit_serve.streaming import DONE, ChoiceEvents, EventStream, event, unless_client_leaves

router = APIRouter()


@router.post("/v1/chat/completions", response_model=None)
async def create_chat_completion(body: ChatRequest, request: Request, service: CurrentService) -> Response:
    """Answer messages, at once or as a stream of server-sent events."""
    job = await _job(body, service)
    if body.stream:
        answers = service.start(job)
        return EventStream(answers, _events(body, service, answers))
    completed = await unless_client_leaves(request.receive, service.complete(job))
    choices = sorted((_choice(service, job, answer) for answer in completed), key=lambda choice: choice["index"])
    texts = [answer.text for answer in completed]
    head = _head(service, job, "chat.completion")
    return JSONResponse({**head, "choices": choices, "usage": usage(job, tokens_of(completed), texts)})


async def _job(body: ChatRequest, service: Service) -> Job:
    served = service.served
    served.check_name(body.model)
    if body.top_logprobs is not None and not body.logprobs:
        raise APIError(400, "top_logprobs needs logprobs=true", param="top_logprobs")
    check_stream_options(body)
    ids = await service.encode_turns([message.turn() for message in body.messages], param="messages")
    served.check_length(ids, new_tokens=1, param="messages")
    limit = body.max_completion_tokens or body.max_tokens
    return Job(
        new_id("chatcmpl-"),
        (ids,),
        sampling_params(body, max_new_tokens=limit, stop=tuple(body.stop or ()), context=served.context),
        samples=body.n or 1,
        log_probs=(body.top_logprobs or 0) if body.logprobs else None,
        end=None if served.template is None else served.template.end,
        streams=bool(body.stream),
    )


def _head(service: Service, job: Job, kind: str) -> dict[str, Any]:
    return {"id": job.id, "object": kind, "created": job.created, "model": service.served.name, "system_fingerprint": None}


def _choice(service: Service, job: Job, answer: Answer) -> dict[str, Any]:
    text, tokenizer = answer.continuation.text, service.served.tokenizer
    log_probs = None
    if job.log_probs is not None:
        entries = AnswerTokens(tokenizer, answer.text).read(text, answer.continuation.finish_reason)
        log_probs = {"content": chat_content(tokenizer, entries), "refusal": None}
    return {
        "index": index_of(job, answer.text.key),
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": log_probs,
        "finish_reason": answer.finish_reason,
    }


async def _events(body: ChatRequest, service: Service, answers: Answers) -> AsyncIterator[bytes]:
    job, tokenizer = answers.job, service.served.tokenizer
    head = _head(service, job, "chat.completion.chunk")
    events = ChoiceEvents(head, {"usage": None} if body.includes_usage else {})
    tokens = {text: AnswerTokens(tokenizer, text) for text in answers.texts}
    generated = 0

    def chunk_event(index: int, delta: dict[str, Any], log_probs: Any = None, finish_reason: str | None = None) -> bytes:
        return events.event({"index": index, "delta": delta, "logprobs": log_probs, "finish_reason": finish_reason})

    for text in answers.texts:
        yield chunk_event(index_of(job, text.key), {"role": "assistant", "content": "", "refusal": None})
    async with aclosing(answers.chunks()) as steps:
        async for step in steps:
            written = []
            for text, chunk in step:
                index, finished = index_of(job, text.key), chunk.finished
                log_probs = None
                if job.log_probs is not None:
                    entries = tokens[text].read(chunk.text, None if finished is None else finished.finish_reason)
                    log_probs = {"content": chat_content(tokenizer, entries), "refusal": None}
                if chunk.text or (log_probs is not None and log_probs["content"]):
                    written.append(chunk_event(index, {"content": chunk.text}, log_probs))
                if finished is not None:
                    generated += len(finished.tokens)
                    written.append(chunk_event(index, {}, None, FINISH_REASONS[finished.finish_reason]))
            if written:
                yield b"".join(written)
    if body.includes_usage:
        yield event({**head, "choices": [], "usage": usage(job, generated, answers.texts)})
    yield DONE
