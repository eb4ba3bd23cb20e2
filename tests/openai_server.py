"""A small OpenAI-compatible server with a model of this kit, which fails as told."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from gptkit.generation import generate
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer

Failure = Callable[["Handler", Mapping[str, Any]], bool]
"""Receives a request, and returns whether it has answered it."""


class OpenAIServer:
    """Answers `/v1/models`, `/v1/completions` and `/v1/chat/completions`."""

    def __init__(self, model: Model, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.models = [{"id": "small", "object": "model", "created": 1, "owned_by": "tests", "max_model_len": model.context}]
        self.failures: list[Failure] = []
        """Asked in this order; the first one that answers a request ends it."""
        self.requests: list[Mapping[str, Any]] = []
        """The bodies of all requests for completions."""
        self.keys: set[str | None] = set()
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        self.url = ""

    def completion(self, body: Mapping[str, Any]) -> dict[str, Any]:
        prompt = body["prompt"]
        ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length", "text": "", "logprobs": None}
        if body.get("echo"):
            if body["max_tokens"]:
                ids = [*ids, self.tokenizer.encode("z")[0]]
            choice |= {"text": self.tokenizer.decode(ids), "logprobs": self.log_probs(ids, body["logprobs"])}
        else:
            text = prompt if isinstance(prompt, str) else self.tokenizer.decode(ids)
            choice["text"] = self.continuation(text, body)
        return {"id": "1", "object": "text_completion", "created": 1, "model": "small", "choices": [choice]}

    def chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        (message,) = body["messages"]
        reply = {"role": "assistant", "content": self.continuation(message["content"], body)}
        choice = {"index": 0, "finish_reason": "stop", "message": reply}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "small", "choices": [choice]}

    def continuation(self, text: str, body: Mapping[str, Any]) -> str:
        ((continuation,),) = generate(
            self.model,
            self.tokenizer,
            [text],
            max_new_tokens=body.get("max_tokens") or body["max_completion_tokens"],
            temperature=body["temperature"],
            stop=body.get("stop", ()),
            seed=body.get("seed", 0),
        )
        return continuation.text

    def log_probs(self, ids: list[int], top: int) -> dict[str, Any]:
        with torch.no_grad():
            values = self.model.logits(self.model(torch.tensor([ids])))[0].log_softmax(-1)  # (T, V)
        tokens = [self.tokenizer.decode([each]) for each in ids]
        log_probs: list[float | None] = [None]
        tops: list[dict[str, float] | None] = [None]
        offsets = [0]
        for place, each in enumerate(ids[1:]):
            best = values[place].topk(top).indices.tolist()
            log_probs.append(values[place, each].item())
            shown: dict[str, float] = {}
            for other in [*best, each]:
                shown.setdefault(self.tokenizer.decode([other]), values[place, other].item())
            tops.append(shown)
            offsets.append(offsets[-1] + len(tokens[place]))
        return {"tokens": tokens, "token_logprobs": log_probs, "top_logprobs": tops, "text_offset": offsets}


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    app: OpenAIServer

    def reply(self, status: int, content: Mapping[str, Any] | str) -> bool:
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def refuse(self, status: int, message: str) -> bool:
        return self.reply(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}})

    def do_GET(self) -> None:
        self.app.keys.add(self.headers["Authorization"])
        if not any(failure(self, {}) for failure in self.app.failures):
            self.reply(200, {"object": "list", "data": self.app.models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.app.lock:
            self.app.requests.append(body)
            self.app.keys.add(self.headers["Authorization"])
            self.app.in_flight += 1
            self.app.most_in_flight = max(self.app.most_in_flight, self.app.in_flight)
        try:
            if any(failure(self, body) for failure in self.app.failures):
                return
            with self.app.lock:
                content = self.app.chat(body) if self.path.endswith("/chat/completions") else self.app.completion(body)
            self.reply(200, content)
        finally:
            with self.app.lock:
                self.app.in_flight -= 1

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that close a connection."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serve(model: Model, tokenizer: Tokenizer) -> Iterator[OpenAIServer]:
    """Run a server on a free port of this machine."""
    app = OpenAIServer(model, tokenizer)
    handler = type("BoundHandler", (Handler,), {"app": app})
    server = QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    app.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield app
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
