"""Measure the speed of `gptkit serve`: how long clients wait, throughput, and whether it becomes slower or larger with time.

    python plugins/gptkit-serve/benchmarks/serve.py
    python plugins/gptkit-serve/benchmarks/serve.py --only throughput
    python plugins/gptkit-serve/benchmarks/serve.py --smoke          a smoke run

The model has 11M parameters over bytes. The clients run on the same machine. Prints a table with targets, and JSON with --json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import server_process
from gptkit_serve.loading import load_for_decoding
from lean_client import LeanClient, Streamed
from rich.console import Console
from rich.table import Table
from server_process import ServerProcess

from gptkit.generation.engine import continue_token_ids
from gptkit.generation.sampling import SamplingParams
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer

Prompts = list[list[int]]


@dataclass(frozen=True)
class Sizes:
    """The sizes of the measurements."""

    layers: int = 6
    width: int = 384
    context: int = 1024
    rounds: int = 5
    requests: int = 64
    """Requests of each round of throughput, and of the measurement of capacity."""
    tokens: int = 128
    """Tokens of each answer."""
    arrivals: int = 500
    streams: int = 4
    long_prompts: int = 5
    many: int = 10_000
    part: int = 1000


SMOKE = Sizes(layers=1, width=64, context=256, rounds=1, requests=16, tokens=16, arrivals=20, long_prompts=1, many=60, part=20)


@dataclass(frozen=True)
class Metric:
    """A measured value and its target."""

    name: str
    value: float
    target: str
    is_reached: bool
    details: dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="small sizes, whose results mean nothing")
    parser.add_argument("--only", choices=list(MEASUREMENTS), action="append", help="this measurement alone; may be repeated")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    arguments = parser.parse_args()
    sizes = SMOKE if arguments.smoke else Sizes()
    metrics: list[Metric] = []
    with tempfile.TemporaryDirectory(prefix="gptkit-serve-") as folder:
        run = server_process.train(Path(folder), layers=sizes.layers, width=sizes.width, context=sizes.context)
        for name in arguments.only or MEASUREMENTS:
            begin = time.perf_counter()
            measured = MEASUREMENTS[name](run, sizes)
            print(
                f"{name}: {time.perf_counter() - begin:.0f} s",
                *(f"  {one.name}: {one.value:.3g}" for one in measured),
                sep="\n",
                file=sys.stderr,
            )
            metrics += measured
    print(json.dumps([metric.__dict__ for metric in metrics], indent=None if arguments.json else 2))
    if not arguments.json:
        _print_table(metrics)


def _print_table(metrics: Sequence[Metric]) -> None:
    table = Table("measurement", "value", "target", "reached")
    for metric in metrics:
        table.add_row(metric.name, f"{metric.value:.3g}", metric.target, "yes" if metric.is_reached else "no")
    Console(width=120).print(table)


def make_prompts(count: int, *, seed: int, lengths: tuple[int, int] = (16, 128)) -> Prompts:
    """Return prompts of random bytes, so that none begins like another."""
    draw = random.Random(seed)
    return [[draw.randrange(97, 123) for _ in range(draw.randrange(*lengths))] for _ in range(count)]


async def send_all(url: str, prompts: Prompts, *, clients: int, tokens: int, streams: bool = True) -> list[Streamed]:
    """Send prompts from clients that each send the next one as soon as the last one is answered."""
    answers: list[Streamed] = []
    remaining = list(enumerate(prompts))[::-1]

    async def run_client() -> None:
        client = await LeanClient.connect(url, "small")
        while remaining:
            seed, prompt = remaining.pop()
            ask = client.stream if streams else client.complete
            answers.append(await ask(prompt, max_tokens=tokens, seed=seed))
        client.close()

    await asyncio.gather(*(run_client() for _ in range(clients)))
    return answers


def tokens_per_second(url: str, prompts: Prompts, *, clients: int, tokens: int, streams: bool = True) -> float:
    """Return the number of generated tokens per second."""
    begin = time.perf_counter()
    answers = asyncio.run(send_all(url, prompts, clients=clients, tokens=tokens, streams=streams))
    return sum(answer.tokens for answer in answers) / (time.perf_counter() - begin)


def generated_per_second(model: Model, tokenizer: Tokenizer, prompts: Prompts, *, batch: int, tokens: int) -> float:
    """Return the number of tokens per second of `gptkit generate`."""
    begin = time.perf_counter()
    texts = continue_token_ids(model, tokenizer, prompts, SamplingParams(tokens), items=range(len(prompts)), batch=batch)
    return sum(len(text.tokens) for text in texts) / (time.perf_counter() - begin)


def throughput(run: Path, sizes: Sizes) -> list[Metric]:
    """Compare the server with `gptkit generate` on the same prompts, in turns, so that both see the same machine."""
    loaded = load_for_decoding(str(run))
    metrics = []
    with server_process.serve(run) as server:
        for clients, least in ((16, 0.8), (1, 0.9)):
            count = sizes.requests if clients > 1 else max(1, sizes.requests // 8)
            rates: dict[str, list[float]] = {"streamed": [], "whole": [], "generate": []}
            for number in range(-1, sizes.rounds):
                prompts = make_prompts(count, seed=100 * clients + number)
                measured = {
                    "streamed": tokens_per_second(server.url, prompts, clients=clients, tokens=sizes.tokens),
                    "whole": tokens_per_second(server.url, prompts, clients=clients, tokens=sizes.tokens, streams=False),
                    "generate": generated_per_second(loaded.model, loaded.tokenizer, prompts, batch=clients, tokens=sizes.tokens),
                }
                if number >= 0:  # the round before warms up
                    for name, rate in measured.items():
                        rates[name].append(rate)
            medians = {name: statistics.median(values) for name, values in rates.items()}
            for name in ("streamed", "whole"):
                share = statistics.median(a / b for a, b in zip(rates[name], rates["generate"], strict=True))
                label = f"tokens/s of {clients} clients ({name}) / generate batch={clients}"
                metrics.append(Metric(label, share, f">= {least}", share >= least, {"tokens_per_second": medians}))
    return metrics


def waiting(run: Path, sizes: Sizes) -> list[Metric]:
    """Measure the time to the first token when requests arrive at random times, at half of the capacity."""
    with server_process.serve(run) as server:
        warm, prompts = make_prompts(sizes.requests, seed=1), make_prompts(sizes.requests, seed=2)
        asyncio.run(send_all(server.url, warm, clients=16, tokens=sizes.tokens))
        begin = time.perf_counter()
        asyncio.run(send_all(server.url, prompts, clients=16, tokens=sizes.tokens))
        capacity = len(prompts) / (time.perf_counter() - begin)
        answers = asyncio.run(_send_at_random(server, make_prompts(sizes.arrivals, seed=3), rate=capacity / 2, tokens=sizes.tokens))
    seconds = [answer.seconds_to_first_token for answer in answers]
    median, late = statistics.median(seconds), _quantile(seconds, 0.99)
    details = {"median_ms": 1000 * median, "p99_ms": 1000 * late, "requests_per_second": capacity / 2}
    return [Metric("time to first token, p99 / median", late / median, "<= 4", late <= 4 * median, details)]


async def _send_at_random(server: ServerProcess, prompts: Prompts, *, rate: float, tokens: int) -> list[Streamed]:
    """Send prompts at the times of a Poisson process, each on a new connection, because the server closes idle ones."""
    draw = random.Random(0)
    begin = due = time.perf_counter()

    async def ask(number: int, prompt: list[int], due: float) -> Streamed:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        client = await LeanClient.connect(server.url, server.model)
        answer = await client.stream(prompt, sent=due, max_tokens=tokens, seed=number)
        client.close()
        return answer

    tasks = []
    for number, prompt in enumerate(prompts):
        due += draw.expovariate(rate)
        tasks.append(asyncio.create_task(ask(number, prompt, due)))
    assert due > begin
    return await asyncio.gather(*tasks)


def gaps(run: Path, sizes: Sizes) -> list[Metric]:
    """Measure the time between two tokens of streams while prompts that fill the context arrive."""
    with server_process.serve(run) as server:
        undisturbed, disturbed = asyncio.run(_stream_beside_long_prompts(server, sizes))
    median, late = statistics.median(undisturbed + disturbed), _quantile(disturbed, 0.99)
    details = {
        "median_ms": 1000 * median,
        "p99_ms": 1000 * late,
        "median_while_ms": 1000 * statistics.median(disturbed),
        "median_otherwise_ms": 1000 * statistics.median(undisturbed),
    }
    name = "gap between tokens while a long prompt is read, p99 / median of all"
    return [Metric(name, late / median, "<= 3", late <= 3 * median, details)]


async def _stream_beside_long_prompts(server: ServerProcess, sizes: Sizes) -> tuple[list[float], list[float]]:
    """Return the gaps of streams: those without a long prompt, and those while one is read."""
    undisturbed: list[float] = []
    disturbed: list[float] = []
    for number in range(-1, sizes.long_prompts):
        short = make_prompts(sizes.streams, seed=10 + number, lengths=(8, 16))
        (long,) = make_prompts(1, seed=1000 + number, lengths=(sizes.context - 2, sizes.context - 1))
        clients = [await LeanClient.connect(server.url, server.model) for _ in range(sizes.streams + 1)]
        tokens = sizes.context - 32
        streams = [
            asyncio.create_task(client.stream(prompt, max_tokens=tokens, seed=number % 1000))
            for client, prompt in zip(clients, short, strict=False)
        ]
        await asyncio.sleep(0.3)
        answer = await clients[-1].stream(long, max_tokens=1, temperature=0)
        first, last = answer.sent, time.perf_counter()
        for stream in await asyncio.gather(*streams):
            if number >= 0:  # the round before warms up
                for time_of_token, gap in zip(stream.times[1:], stream.gaps, strict=True):
                    is_beside = first <= time_of_token - gap < last or first <= time_of_token < last
                    (disturbed if is_beside else undisturbed).append(gap)
        for client in clients:
            client.close()
    return undisturbed, disturbed


def endurance(run: Path, sizes: Sizes) -> list[Metric]:
    """Compare memory and speed of the last requests with those of the second part of them."""
    rates, memory = [], []
    with server_process.serve(run) as server:
        for number in range(sizes.many // sizes.part):
            prompts = make_prompts(sizes.part, seed=number)
            rates.append(tokens_per_second(server.url, prompts, clients=16, tokens=16))
            memory.append(server.megabytes)
    speed, size = rates[-1] / rates[1], memory[-1] / memory[1]
    parts = f"last {sizes.part:,} of {sizes.many:,} requests / second {sizes.part:,}"
    return [
        Metric(f"tokens/s, {parts}", speed, ">= 0.95", speed >= 0.95, {"tokens_per_second": rates}),
        Metric(f"memory, {parts}", size, "<= 1.05", size <= 1.05, {"megabytes": memory}),
    ]


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


MEASUREMENTS: dict[str, Callable[[Path, Sizes], list[Metric]]] = {
    "throughput": throughput,
    "waiting": waiting,
    "gaps": gaps,
    "endurance": endurance,
}


if __name__ == "__main__":
    main()
