"""Send many requests from many clients at random times, and compare every answer with `gptkit generate` and with a replay.

    python plugins/gptkit-serve/benchmarks/acceptance.py
    python plugins/gptkit-serve/benchmarks/acceptance.py --requests 60 --clients 8 --replays 3          a smoke run

Nothing is sent twice. Prints JSON, and exits with status 1 if an answer is missing, belongs to another request, or differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import server_load
import server_process
from gptkit_serve.loading import load_for_decoding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gptkit-acceptance-") as folder:
        run = server_process.train(Path(folder), layers=arguments.layers, width=arguments.width, context=512)
        requests = server_load.make_requests(arguments.requests)
        with server_process.serve(run, "chat_template=chatml") as server:
            begin = time.perf_counter()
            answers = asyncio.run(server_load.send(server.url, server.model, requests, clients=arguments.clients, mean_pause=0.05))
            seconds = time.perf_counter() - begin
        loaded = load_for_decoding(str(run))
        different, crossed = server_load.count_differences(loaded.model, loaded.tokenizer, requests, answers)
        ids = [answer.id for answer in answers]
        sample = random.Random(0).sample(ids, min(arguments.replays, len(ids)))
        not_replayed = sum(not _is_replayed(id, run) for id in sample)
    result = {
        "requests": len(requests),
        "clients": arguments.clients,
        "seconds": round(seconds, 1),
        "lost": len(requests) - len(answers),
        "different": different,
        "crossed": crossed,
        "repeated_ids": len(ids) - len(set(ids)),
        "replays": len(sample),
        "replays_that_differ": not_replayed,
    }
    print(json.dumps(result))
    sys.exit(any(result[key] for key in ("lost", "different", "crossed", "repeated_ids", "replays_that_differ")))


def _is_replayed(id: str, run: Path) -> bool:
    words = [*server_process.GPTKIT, "replay", f"id={id}", f"receipts={run / 'receipts.jsonl'}", "format=json"]
    result = subprocess.run(words, capture_output=True, text=True)
    return result.returncode == 0 and bool(json.loads(result.stdout)["same"])


if __name__ == "__main__":
    main()
