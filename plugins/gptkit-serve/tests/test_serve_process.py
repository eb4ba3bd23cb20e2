"""The command `gptkit serve` as a process: what it prints, that it answers as `gptkit generate`, and how it stops."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

import gptkit
from gptkit.config.main import run_command_line

KEY = "a-secret-of-this-test"
WORDS = ["data=text", "tokenizer=bytes", "+shrink=tiny", "trainer.max_steps=1", "val.every=0", "model.context=512"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "x.txt").write_text("To be, or not to be, that is the question.\n" * 500)
    gptkit.run(gptkit.compose("train", [*WORDS, f"data.path={folder / 'x.txt'}", f"hydra.run.dir={folder / 'mine'}"]))
    return folder / "mine"


class Process:
    """The command in a process of its own."""

    def __init__(self, *words: str, key: str = "") -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GPTKIT_API_KEY": key}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gptkit", "serve", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # the tests may run in the background
        )
        assert self.process.stdout is not None
        self.first_line, self.second_line = (self.process.stdout.readline() for _ in range(2))
        address = re.search(r"http://127\.0\.0\.1:\d+", self.first_line)
        self.url = address[0] if address else ""

    def stop(self, number: int) -> tuple[int, str]:
        """Send a signal, and return the exit status and what was printed after the start."""
        self.process.send_signal(number)
        output = "".join(self.process.communicate(timeout=60))
        return self.process.returncode, output


@pytest.fixture
def process(run: Path) -> Iterator[Process]:
    running = Process(f"checkpoint={run}", "port=0", "chat_template=chatml", key=KEY)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


@pytest.mark.process
def test_a_process_answers_as_generate_and_finishes_when_it_is_stopped(
    run: Path, process: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.fullmatch(r"gptkit: .*/mine is served as mine at http://\S+/v1 \(context 512, batch 16\); .*\n", process.first_line)
    assert process.second_line.startswith(f'  curl {process.url}/v1/chat/completions -H "Authorization: Bearer $GPTKIT_API_KEY"')
    assert httpx2.get(f"{process.url}/v1/models").status_code == 401
    with openai.OpenAI(base_url=f"{process.url}/v1", api_key=KEY, max_retries=0) as client:
        answer = client.completions.create(model="mine", prompt="To be", seed=7, max_tokens=30).choices[0].text
        stream = client.completions.create(model="mine", prompt="To be", seed=7, max_tokens=400, stream=True)
        chunks = [next(stream)]
        process.process.send_signal(signal.SIGTERM)
        chunks += stream  # the server waits until the answer is complete
    assert chunks[-1].choices[0].finish_reason is not None
    status, output = process.process.wait(timeout=60), "".join(process.process.communicate())
    assert status == 0
    assert KEY not in process.first_line + process.second_line + output
    assert "running answers have 30 s to finish" in output
    command = ["generate", f"checkpoint={run}", "prompt=To be", "seed=7", "format=json"]
    for tokens, text in ((30, answer), (400, "".join(chunk.choices[0].text for chunk in chunks))):
        assert run_command_line([*command, f"max_new_tokens={tokens}"]) == 0
        assert json.loads(capsys.readouterr().out)["text"] == text


@pytest.mark.process
def test_a_client_that_never_ends_its_headers_is_refused_and_ctrl_c_stops_the_server(process: Process) -> None:
    address = ("127.0.0.1", int(process.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=60) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(100):
            connection.sendall(f"X-{number}: {'x' * 10_000}\r\n".encode())
        received = connection.recv(1000)
        assert received.startswith(b"HTTP/1.1 400 ")
        assert b"The head of the request has more than 65,536 bytes." in received
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=60)) as reused:
        for _ in range(2):  # the limit is per request
            reused.request("GET", "/health", headers={"X": "x" * 40_000})
            assert json.load(reused.getresponse()) == {"status": "ok"}
    status, _ = process.stop(signal.SIGINT)
    assert status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["host=0.0.0.0"], "host=0.0.0.0 lets other machines use the server, which needs a key"),
        (["host=192.0.2.1", "keys=KEYS"], "host=192.0.2.1 port="),
        (["keys=missing"], "keys=missing: "),
        (["port=70000"], "port=70000 must be at most 65,535"),
        (["api_key=secret"], "api_key"),
    ],
)
def test_settings_that_are_wrong(
    run: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.delenv("GPTKIT_API_KEY", raising=False)
    (tmp_path / "keys").write_text("secret\n")
    words = [word.replace("KEYS", str(tmp_path / "keys")) for word in words]
    assert run_command_line(["serve", f"checkpoint={run}", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_port_that_is_in_use(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run_command_line(["serve", f"checkpoint={run}", f"port={port}"]) == 2
    assert f"port={port}: Address already in use; choose another port, or port=0 for a free one" in capsys.readouterr().err
