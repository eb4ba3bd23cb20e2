"""The processes of tests are like those of a shell, except that they start with their imports done."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.processes import ProcessServer


def describe() -> None:
    modules = set(sys.modules)
    import gptkit.plugins

    torch = sys.modules["torch"]
    print(
        json.dumps(
            {
                "pid": os.getpid(),
                "session": os.getsid(0),
                "folder": os.getcwd(),
                "variables": dict(os.environ),
                "threads": torch.get_num_threads(),
                "tasks": len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1,
                "imported": {"lightning", "gptkit.training.fit"} <= modules,
                "plugins_loaded": gptkit.plugins.registry.cache_info().currsize,
                "temporary": __import__("tempfile").gettempdir(),
                "stdin": os.fstat(0).st_rdev == os.stat(os.devnull).st_rdev and sys.stdin.read(),
            }
        )
    )


def wait() -> None:
    print("waiting", flush=True)
    time.sleep(600)


def leave(status: int) -> None:
    import atexit

    atexit.register(print, "cleaned up")
    print("left", file=sys.stderr)
    sys.exit(status)


def fail() -> None:
    raise KeyError("some bug")


def test_each_process_has_its_own_environment_folder_and_session(process_server: ProcessServer, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    variables = {"PATH": "/bin", "TMPDIR": str(tmp_path / "tmp")}
    process = process_server.start(describe, env=variables, cwd=tmp_path)
    assert process.wait() == 0, process.stderr
    result = json.loads(process.stdout)
    assert result["variables"] == variables
    assert result["folder"] == str(tmp_path)
    assert result["pid"] == result["session"] == process.pid != os.getpid()
    assert (result["threads"], result["tasks"]) == (1, 1)
    assert result["imported"] and not result["plugins_loaded"]
    assert result["temporary"] == str(tmp_path / "tmp")
    assert result["stdin"] == ""
    other = process_server.start(describe)
    assert other.wait() == 0, other.stderr
    result = json.loads(other.stdout)
    assert result["variables"] == dict(os.environ)
    assert result["folder"] == os.getcwd()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_signals_end_a_process(process_server: ProcessServer, number: signal.Signals) -> None:
    process = process_server.start(wait)
    while not process.stdout:
        time.sleep(0.01)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait() == -number
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_interrupt_raises_keyboard_interrupt(process_server: ProcessServer) -> None:
    process = process_server.start(wait)
    while not process.stdout:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 1
    assert "KeyboardInterrupt" in process.stderr


def test_exit_statuses_and_exit_handlers(process_server: ProcessServer) -> None:
    process = process_server.start(leave, 3)
    assert process.wait() == 3
    assert (process.stdout, process.stderr) == ("cleaned up\n", "left\n")
    process = process_server.start(fail)
    assert process.wait() == 1
    assert process.stderr.endswith("KeyError: 'some bug'\n")


def test_gptkit_prints_and_exits(process_server: ProcessServer) -> None:
    process = process_server.start_gptkit("--version")
    assert (process.wait(), process.stdout.split()[0], process.stderr) == (0, "gptkit", "")
    process = process_server.start_gptkit("train", "model.layers=none")
    assert (process.wait(), process.stdout) == (2, "")
    assert process.stderr.startswith("gptkit: ")
