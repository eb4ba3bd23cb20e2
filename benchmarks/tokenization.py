"""Measure the speed and memory of writing token shards, compared with the tokenizers library alone on the same text.

    python benchmarks/tokenization.py                        the bundled speeches with GPT-2's tokenizer
    python benchmarks/tokenization.py --text books/ --rounds 5

Prints JSON with megabytes of UTF-8 text per second: the medians of several rounds, in which both sides alternate. `library` is
one call of `encode_batch_fast` on all documents in memory. `shards` reads the files, encodes them, and writes shards to a
temporary folder, synced to the disk. Memory is the peak of a separate process that tokenizes the corpus as one file, and four
copies of it as one file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tokenizers import Tokenizer

from gptkit.data import SotuConfig, TextConfig
from gptkit.data.base import Data
from gptkit.data.tokens.tokenization import write_shards
from gptkit.tokenizer.gpt2 import load_published


def source(path: str | None) -> Data:
    return SotuConfig().build() if path is None else TextConfig(path=path).build()


def seconds_of_library(documents: list[str]) -> float:
    library = Tokenizer.from_str(load_published("auto").library.to_str())  # with the default word cache, which gptkit enlarges
    start = time.perf_counter()
    encodings = library.encode_batch_fast(documents, add_special_tokens=False)
    seconds = time.perf_counter() - start
    del encodings
    return seconds


def seconds_of_shards(path: str | None) -> float:
    tokenizer = load_published("auto")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_shards(Path(folder), source(path), "train", tokenizer)
        return time.perf_counter() - start


def peak_bytes(path: Path) -> int:
    """Return the peak memory of a process that only tokenizes this file."""
    command = [sys.executable, __file__, "--memory-of", str(path)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def tokenize_and_print_peak(path: str) -> None:
    seconds_of_shards(path)
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, a new process inherits the peak of getrusage from its parent
        print(next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM")))
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def measure(path: str | None, rounds: int) -> dict[str, object]:
    documents = [chunk for chunk in source(path).texts() if chunk]
    text = "\n".join(documents).encode()
    library, shards = [], []
    for _ in range(rounds):
        library.append(seconds_of_library(documents))
        shards.append(seconds_of_shards(path))
    megabytes = sum(len(document.encode()) for document in documents) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        once, four_times = Path(folder, "once.txt"), Path(folder, "four_times.txt")
        once.write_bytes(text)
        four_times.write_bytes((text + b"\n") * 4)
        peaks = peak_bytes(once), peak_bytes(four_times)
    rates = {name: megabytes / statistics.median(seconds) for name, seconds in (("library", library), ("shards", shards))}
    return {
        "megabytes": round(megabytes, 2),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "library_megabytes_per_second": round(rates["library"], 3),
        "shards_megabytes_per_second": round(rates["shards"], 3),
        "shards_of_library": round(rates["shards"] / rates["library"], 3),
        "peak_megabytes_once": round(peaks[0] / 1e6, 1),
        "peak_megabytes_four_times": round(peaks[1] / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--text", help="a file, glob or folder; default: the bundled speeches")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        tokenize_and_print_peak(arguments.memory_of)
    else:
        print(json.dumps(measure(arguments.text, arguments.rounds), indent=2))


if __name__ == "__main__":
    main()
