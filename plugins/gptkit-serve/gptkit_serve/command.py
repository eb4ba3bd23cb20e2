"""The command `serve`: checks the address and the keys, loads the model, and runs the web server."""

from __future__ import annotations

import asyncio
import functools
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from gptkit.errors import ConfigError
from gptkit.terminal import print_text
from gptkit_serve import KEY_VARIABLE
from gptkit_serve.access import check_address, read_keys
from gptkit_serve.http_protocol import BoundedHeadProtocol
from gptkit_serve.thread_call import call_in_thread

if TYPE_CHECKING:
    from types import FrameType

    from gptkit_serve import ServeCommand


def serve(settings: ServeCommand) -> None:
    """Serve a model until the process is interrupted.

    Raises:
        ConfigError: the address cannot be used, or needs a key.
        CheckpointError: the checkpoint cannot be read.
    """
    keys = read_keys(settings.keys)
    check_address(settings.host, keys)
    with _listen(settings.host, settings.port) as listener:  # before the model is loaded, which takes longer
        from gptkit_serve.app import make_app
        from gptkit_serve.receipt_writer import open_receipts
        from gptkit_serve.served_model import load_model

        # OpenMP keeps workers for every thread that has computed: if the main thread had any, those of the engine's thread would no
        # longer wait for work by spinning, and decoding would take up to twice as long
        served = call_in_thread(functools.partial(load_model, settings))
        receipts = open_receipts(settings.receipts, served.origin)
        config = uvicorn.Config(
            make_app(served, settings, keys, receipts=receipts),
            http=BoundedHeadProtocol,
            log_level="info" if settings.access_log else "warning",
            access_log=settings.access_log,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(settings.grace)),
            lifespan="on",
        )
        url = _url(settings.host, listener.getsockname()[1])
        endpoint = "/v1/completions" if served.template is None else "/v1/chat/completions"
        prompt = '"prompt": "Once"' if served.template is None else '"messages": [{"role": "user", "content": "Hello"}]'
        key = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if keys else ""
        ready = (
            f"gptkit: {settings.checkpoint} is served as {served.name} at {url}/v1 (context {served.context}, batch "
            f"{settings.batch}); Ctrl-C stops it. Try:\n"
            f"  curl {url}{endpoint}{key} -H 'Content-Type: application/json' -d '{{\"model\": \"{served.name}\", {prompt}}}'"
        )
        if receipts is not None:
            ready += f"\nReceipts, which contain the prompts, are appended to {receipts.path}; receipts=null turns them off."
        _run(_Server(config, ready), listener)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the address.

    Raises:
        ConfigError: the address is in use, or is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"host={host}: {error.strerror}; use an address of this machine, such as 127.0.0.1") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(f"host={host} port={port}: {error.strerror}; choose another port, or port=0 for a free one") from None
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A web server that says when it is ready, and when it stops."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print_text(self._ready)
        sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit and self.server_state.tasks:
            print_text(f"gptkit: stopping; running answers have {self.config.timeout_graceful_shutdown} s to finish", sys.stderr)
        super().handle_exit(sig, frame)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run the web server until SIGTERM or Ctrl-C."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in signals}  # uvicorn sends itself the signal at its end
    try:
        asyncio.run(server.serve(sockets=[listener]))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
