"""Measure the share of a rollout's time that is spent inside the model (target: at least 90%), for a policy of 10M parameters.

    python benchmarks/rollout.py
    python benchmarks/rollout.py --prompts 4 --tokens 4 --rounds 1          a smoke run

Every response has the maximum length. Prints JSON with the seconds of a rollout and the share that is spent in calls of the model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from types import SimpleNamespace
from typing import Any

import torch

from gptkit.attention import DenseAttentionConfig
from gptkit.generation.responses import generate_responses
from gptkit.model import GPTConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = GPTConfig(layers=6, heads=5, width=320, context=128).build(attention=DenseAttentionConfig(), vocabulary=8192).eval()
    inside = 0.0

    def timed(call: Any) -> Any:
        def run(*words: Any, **named: Any) -> Any:
            nonlocal inside
            begin = time.perf_counter()
            result = call(*words, **named)
            inside += time.perf_counter() - begin
            return result

        return run

    model._call_impl = timed(model._call_impl)  # type: ignore[method-assign]  # decoding calls these two methods
    model.logits = timed(model.logits)  # type: ignore[method-assign]
    prompts = torch.randint(8192, (arguments.prompts, 8)).tolist()
    ids: Any = SimpleNamespace(size=8192, special={"end_of_text": -1})  # replaces a tokenizer; no token ends a response
    seconds, shares = [], []
    for _ in range(arguments.rounds):
        inside, begin = 0.0, time.perf_counter()
        responses = generate_responses(model, ids, prompts, items=range(len(prompts)), max_new_tokens=arguments.tokens)
        seconds.append(time.perf_counter() - begin)
        shares.append(inside / seconds[-1])
        assert all(len(response) == arguments.tokens for response in responses)
    print(
        json.dumps(
            {
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "seconds": round(statistics.median(seconds), 3),
                "tokens_per_second": round(arguments.prompts * arguments.tokens / statistics.median(seconds), 1),
                "share_inside_the_model": round(statistics.median(shares), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
