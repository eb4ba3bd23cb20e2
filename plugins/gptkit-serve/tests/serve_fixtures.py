"""A server with a small model, in a thread of the tests, and clients for it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest
import torch
import uvicorn
from gptkit_serve import ServeCommand
from gptkit_serve.app import make_app
from gptkit_serve.receipt_writer import ReceiptWriter
from gptkit_serve.served_model import ServedModel

from gptkit.attention import DenseAttentionConfig
from gptkit.chat_template import ChatMLConfig
from gptkit.generation import Continuation, generate
from gptkit.model import GPTConfig
from gptkit.records import Turn
from gptkit.tokenizer.bytes import BytesTokenizer

TOKENIZER = BytesTokenizer()
CONTEXT = 256


def small_model(name: str = "small", *, has_template: bool = True) -> ServedModel:
    """A model over bytes with random weights that are far from their initial values."""
    torch.manual_seed(0)
    config = GPTConfig(layers=1, heads=2, width=16, context=CONTEXT, dropout=0.0)
    model = config.build(attention=DenseAttentionConfig(), vocabulary=TOKENIZER.size).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    template = ChatMLConfig().build(tokenizer=TOKENIZER) if has_template else None
    return ServedModel(name, "runs/small", model, TOKENIZER, template)


class TestServer:
    """A running server."""

    __test__ = False

    def __init__(self, served: ServedModel, app: Any, port: int) -> None:
        self.served, self.app, self.port = served, app, port
        self.url = f"http://127.0.0.1:{port}"

    @property
    def texts(self) -> int:
        """The number of texts that are generated."""
        return int(self.app.state.service.engine.texts)

    def wait_until_idle(self) -> None:
        """Wait until no text is generated."""
        wait_for(lambda: self.texts == 0)

    def expected(self, prompt: str | Sequence[int], **settings: Any) -> list[Continuation]:
        """Return what `gptkit generate` generates from one prompt."""
        ids = TOKENIZER.encode(prompt) if isinstance(prompt, str) else list(prompt)
        (texts,) = generate(self.served.model, TOKENIZER, [""], prompt_ids=[ids], **settings)
        return texts

    def expected_answer(self, *messages: tuple[str, str], **settings: Any) -> str:
        """Return what `gptkit generate chat=true` answers to messages."""
        template = self.served.template
        assert template is not None
        ids = template.prompt_ids([Turn(role, text) for role, text in messages])
        return self.expected(ids, end=template.end, **settings)[0].text


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextmanager
def serving(
    served: ServedModel | None = None, *, keys: Sequence[str] = (), receipts: ReceiptWriter | None = None, **settings: Any
) -> Iterator[TestServer]:
    """Run a server on a free port."""
    served = served or small_model()
    app = make_app(served, ServeCommand(checkpoint=served.source, **settings), list(keys), receipts=receipts)
    listener = socket.create_server(("127.0.0.1", 0))
    web_server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(web_server.serve(sockets=[listener])))
    thread.start()
    try:
        wait_for(lambda: web_server.started or not thread.is_alive())
        yield TestServer(served, app, listener.getsockname()[1])
    finally:
        web_server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="session")
def server() -> Iterator[TestServer]:
    """A server without limits and keys."""
    with serving() as running:
        yield running


@pytest.fixture
def client(server: TestServer) -> Iterator[openai.OpenAI]:
    """The client of the package openai."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as connected:
        yield connected


@pytest.fixture
def http(server: TestServer) -> Iterator[httpx2.Client]:
    """A plain HTTP client."""
    with httpx2.Client(base_url=server.url, timeout=60) as connected:
        yield connected
