"""`/v1/responses`: OpenAI's newer interface to answers, without its storage and tools."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gptkit.generation.text_sequence import Continuation, TextSequence
from gptkit_serve.errors import APIError
from gptkit_serve.log_probs import AnswerTokens, chat_content
from gptkit_serve.routes.parts import CurrentService, cached_tokens
from gptkit_serve.schemas.responses import ResponseRequest
from gptkit_serve.service import FINISH_REASONS, Answers, Job, Service, new_id, sampling_params
from gptkit_serve.streaming import EventStream, event, unless_client_leaves

router = APIRouter()


@router.post("/v1/responses", response_model=None)
async def create_response(body: ResponseRequest, request: Request, service: CurrentService) -> Response:
    """Answer messages, at once or as a stream of server-sent events."""
    job = await _job(body, service)
    builder = _ResponseBuilder(body, service, job)
    if body.stream:
        answers = service.start(job)
        return EventStream(answers, _events(builder, answers))
    (answer,) = await unless_client_leaves(request.receive, service.complete(job))
    content, reason = answer.continuation.text, answer.continuation.finish_reason
    log_probs = builder.log_probs(AnswerTokens(service.served.tokenizer, answer.text), content, reason)
    return JSONResponse(builder.response(answer.continuation, log_probs, text=answer.text))


async def _job(body: ResponseRequest, service: Service) -> Job:
    served = service.served
    served.check_name(body.model)
    if body.top_logprobs is not None and body.log_probs is None:
        raise APIError(400, 'top_logprobs needs include=["message.output_text.logprobs"]', param="top_logprobs")
    ids = await service.encode_turns(body.turns, param="input")
    served.check_length(ids, new_tokens=1, param="input")
    return Job(
        new_id("resp_"),
        (ids,),
        sampling_params(body, max_new_tokens=body.max_output_tokens, stop=(), context=served.context),
        log_probs=body.log_probs,
        end=None if served.template is None else served.template.end,
        streams=bool(body.stream),
    )


class _ResponseBuilder:
    """Builds the response to a request, and its parts."""

    def __init__(self, body: ResponseRequest, service: Service, job: Job) -> None:
        self._body, self._service, self._job = body, service, job
        self.item_id = new_id("msg_")

    def response(
        self,
        finished: Continuation | None = None,
        log_probs: list[dict[str, Any]] | None = None,
        *,
        text: TextSequence | None = None,
    ) -> dict[str, Any]:
        """Return the response: unfinished, or with the answer."""
        body, job = self._body, self._job
        status = "in_progress" if finished is None else self.status(finished)
        return {
            "id": job.id,
            "object": "response",
            "created_at": job.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": self._service.served.name,
            "output": [] if finished is None else [self.item(finished, log_probs)],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": job.params.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_logprobs": body.top_logprobs or 0,
            "top_p": job.params.top_p,
            "truncation": "disabled",
            "usage": None if finished is None or text is None else self._usage(text, len(finished.tokens)),
            "user": body.user,
        }

    def status(self, finished: Continuation) -> str:
        """Return the status of an answer that is finished."""
        return "completed" if FINISH_REASONS[finished.finish_reason] == "stop" else "incomplete"

    def item(self, finished: Continuation | None = None, log_probs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """Return the message: unfinished, or with the answer."""
        content = [] if finished is None else [self.part(finished.text, log_probs)]
        status = "in_progress" if finished is None else self.status(finished)
        return {"id": self.item_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def part(self, text: str = "", log_probs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """Return the content of the message."""
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": log_probs or []}

    def log_probs(self, tokens: AnswerTokens, new: str, finish_reason: str | None) -> list[dict[str, Any]]:
        """Return the log-probabilities of a chunk; empty if the request did not ask for them."""
        if self._job.log_probs is None:
            return []
        content = chat_content(self._service.served.tokenizer, tokens.read(new, finish_reason))
        for token in itertools.chain(content, *(token["top_logprobs"] for token in content)):
            token["bytes"] = token["bytes"] or []
        return content

    def _usage(self, text: TextSequence, generated: int) -> dict[str, Any]:
        prompt = sum(map(len, self._job.prompts))
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": cached_tokens([text]), "cache_write_tokens": 0},
            "output_tokens": generated,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + generated,
        }


async def _events(builder: _ResponseBuilder, answers: Answers) -> AsyncIterator[bytes]:
    numbers = itertools.count()

    def typed(kind: str, **content: Any) -> bytes:
        return event({"type": kind, "sequence_number": next(numbers), **content}, kind)

    place = {"item_id": builder.item_id, "output_index": 0, "content_index": 0}
    yield typed("response.created", response=builder.response())
    yield typed("response.in_progress", response=builder.response())
    yield typed("response.output_item.added", output_index=0, item=builder.item())
    yield typed("response.content_part.added", **place, part=builder.part())
    (text,) = answers.texts
    tokens = AnswerTokens(answers.tokenizer, text)
    all_log_probs: list[dict[str, Any]] = []
    finished: Continuation | None = None
    async with aclosing(answers.chunks()) as steps:
        async for step in steps:
            for _, chunk in step:
                finished = chunk.finished
                log_probs = builder.log_probs(tokens, chunk.text, None if finished is None else finished.finish_reason)
                all_log_probs += log_probs
                if chunk.text or log_probs:
                    yield typed("response.output_text.delta", **place, delta=chunk.text, logprobs=log_probs)
    assert finished is not None
    yield typed("response.output_text.done", **place, text=finished.text, logprobs=all_log_probs)
    yield typed("response.content_part.done", **place, part=builder.part(finished.text, all_log_probs))
    yield typed("response.output_item.done", output_index=0, item=builder.item(finished, all_log_probs))
    yield typed(f"response.{builder.status(finished)}", response=builder.response(finished, all_log_probs, text=text))
