"""Measure the decoding speed of a GPT-2 of 124M parameters, compared with transformers' `generate` with the same weights.

    python benchmarks/decode.py                    bf16 and fp32, one prompt and sixteen
    python benchmarks/decode.py --rounds 5 --dtypes bf16 --layers 24 --heads 16 --width 1024

Prints JSON with tokens per second over all prompts of 32 tokens: the medians of several rounds, in which both sides alternate.
Only decoding is measured: the time of a call for 1 + N new tokens minus that of a call for 1, which reads the prompt. Weights are
random, decoding is greedy, texts never end early, and both sides use PyTorch's default number of threads. `agree` is the share of
equal tokens; rounding in bf16 can decide between nearly equal probabilities.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gptkit.attention import DenseAttentionConfig
from gptkit.generation import generate
from gptkit.generation.precision import prepare_device
from gptkit.interop.huggingface import to_huggingface
from gptkit.interop.weight_names import GPT2_NAMES
from gptkit.model import GPTConfig
from gptkit.model.packed_weights import pack_weights
from gptkit.tokenizer.base import Tokenizer

PROMPT, VOCABULARY, CONTEXT = 32, 50257, 1024
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class NumberTokenizer(Tokenizer):
    """Encodes a text of numbers as these ids. No token ends a text."""

    size, special, fingerprint = VOCABULARY, {"end_of_text": -1}, ""

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        return [np.array(self.encode(text), dtype=np.uint32) for text in texts]

    def save(self, folder: Path) -> None:
        raise NotImplementedError  # not needed for decoding


Decode = Callable[[int], list[list[int]]]
"""Number of new tokens -> the new tokens of each prompt."""


def ours(model: torch.nn.Module, prompts: list[list[int]]) -> Decode:
    texts = [" ".join(map(str, prompt)) for prompt in prompts]

    def decode(count: int) -> list[list[int]]:
        results = generate(model, NumberTokenizer(), texts, max_new_tokens=count, temperature=0, batch=len(texts))  # type: ignore[arg-type]
        return [continuations[0].tokens for continuations in results]

    return decode


def theirs(model: torch.nn.Module, prompts: list[list[int]]) -> Decode:
    tokens = torch.tensor(prompts, device=next(model.parameters()).device)
    mask = torch.ones_like(tokens)

    def decode(count: int) -> list[list[int]]:
        with torch.inference_mode():
            tokens_out = model.generate(  # type: ignore[operator]
                tokens, attention_mask=mask, min_new_tokens=count, max_new_tokens=count, do_sample=False, pad_token_id=0
            )
        return tokens_out[:, tokens.shape[1] :].tolist()  # type: ignore[no-any-return]

    return decode


def seconds(decode: Decode, count: int) -> float:
    start = time.perf_counter()
    decode(count)
    return time.perf_counter() - start


def measure(decoders: dict[str, Decode], *, batch: int, count: int, rounds: int) -> dict[str, float]:
    """Measure the tokens per second of each decoder. The decoders alternate."""
    rates: dict[str, list[float]] = {name: [] for name in decoders}
    for decode in decoders.values():
        decode(4)
    for _ in range(rounds):
        for name, decode in decoders.items():
            before = seconds(decode, 1)
            rates[name].append(batch * count / (seconds(decode, 1 + count) - before))
    return {name: round(statistics.median(each), 1) for name, each in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--tokens", type=int, default=64, help="N, the number of new tokens after the first")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "fp32"], choices=list(DTYPES))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    import transformers

    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(0)
    device = prepare_device()
    settings = GPTConfig(layers=arguments.layers, heads=arguments.heads, width=arguments.width, context=CONTEXT)
    plain = settings.build(attention=DenseAttentionConfig(), vocabulary=VOCABULARY).eval()
    config = transformers.GPT2Config(n_layer=arguments.layers, n_head=arguments.heads, n_embd=arguments.width, eos_token_id=None)
    other = transformers.GPT2LMHeadModel(config).eval()
    other.load_state_dict(to_huggingface(plain.state_dict(), GPT2_NAMES), strict=False)
    results = []
    for dtype in arguments.dtypes:
        model = copy.deepcopy(plain).to(device=device, dtype=DTYPES[dtype])
        pack_weights(model)
        converted = copy.deepcopy(other).to(device=device, dtype=DTYPES[dtype])
        for batch in arguments.batches:
            prompts = torch.randint(0, VOCABULARY, (batch, PROMPT)).tolist()
            decoders = {"gptkit": ours(model, prompts), "transformers": theirs(converted, prompts)}
            pairs = zip(decoders["gptkit"](16), decoders["transformers"](16), strict=True)
            agree = [a == b for x, y in pairs for a, b in zip(x, y, strict=True)]
            rates = measure(decoders, batch=batch, count=arguments.tokens, rounds=arguments.rounds)
            results.append({"dtype": dtype, "prompts": batch, "tokens_per_second": rates, "agree": sum(agree) / len(agree)})
        del model, converted
    machine = {"device": str(device), "processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    print(
        json.dumps({**machine, "torch": torch.__version__, "transformers": transformers.__version__, "results": results}, indent=2)
    )


if __name__ == "__main__":
    main()
