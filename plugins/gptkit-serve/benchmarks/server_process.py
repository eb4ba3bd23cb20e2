"""A model with few trained steps, and a process of `gptkit serve` for it."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GPTKIT = (sys.executable, "-m", "gptkit")
TEXT = "Once upon a time there was a cat that sat on a mat and told the dog a story about another cat. "


@dataclass(frozen=True)
class ServerProcess:
    """A running server."""

    url: str
    model: str
    process: int
    """The number of the process."""

    @property
    def megabytes(self) -> float:
        """The memory of the process."""
        fields = Path(f"/proc/{self.process}/status").read_text().split()
        return int(fields[fields.index("VmRSS:") + 1]) / 1024


def train(folder: Path, *, layers: int = 6, width: int = 384, context: int = 1024, steps: int = 20) -> Path:
    """Train a model of bytes, and return its run. Its texts seldom end before their limit."""
    (folder / "text.txt").write_text(TEXT * 2000)
    words = [
        *("data=text", f"data.path={folder / 'text.txt'}", "tokenizer=bytes", f"hydra.run.dir={folder / 'run'}"),
        *(f"model.layers={layers}", f"model.heads={max(1, width // 64)}", f"model.width={width}", f"model.context={context}"),
        *("batch.size=2", f"trainer.max_steps={steps}"),
    ]
    subprocess.run([*GPTKIT, "train", *words], check=True, capture_output=True)
    return folder / "run"


@contextmanager
def serve(run: Path, *settings: str) -> Iterator[ServerProcess]:
    """Run `gptkit serve` on a free port."""
    words = [*GPTKIT, "serve", f"checkpoint={run}", "model_name=small", "port=0", *settings]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = next((word for word in line.split() if word.startswith("http://")), None)
        if address is None:
            raise RuntimeError(f"the server did not start: {line}")
        url = address.removesuffix("/v1")
        with urllib.request.urlopen(f"{url}/health") as response:
            response.read()
        yield ServerProcess(url, "small", process.pid)
    finally:
        process.terminate()
        process.wait()
