"""Measure the speed at which gptkit trains a transformers model, compared with a plain PyTorch loop over the same model.

    python benchmarks/hf_speed.py                                          GPT-2's vocabulary, 6 layers, width 384, 8 x 256 tokens
    python benchmarks/hf_speed.py --layers 12 --heads 12 --width 768 --context 1024 --batch 1

Prints JSON with tokens per second: the medians of several rounds, in which both sides alternate, each in a separate process. The
model is a GPT-2 with random weights. gptkit runs like `gptkit train model=hf`, with logs and pages. The plain loop uses batches
of the same shape, the same precision, fused AdamW, clipping and allocator settings, and transformers' own loss. The first steps
are not measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gptkit.model.freed_memory import keep_freed_memory
from gptkit.training.precision import choose_precision

VOCABULARY = {"gpt2": 50257, "bytes": 257}


def build_config(arguments: argparse.Namespace) -> GPT2Config:
    return GPT2Config(
        n_layer=arguments.layers,
        n_head=arguments.heads,
        n_embd=arguments.width,
        n_positions=arguments.context,
        vocab_size=VOCABULARY[arguments.tokenizer],
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )


def gptkit_rate(arguments: argparse.Namespace) -> float:
    """Return tokens per second from summary.json: the median over the windows between log rows, without the first."""
    import gptkit

    with tempfile.TemporaryDirectory() as folder:
        GPT2LMHeadModel(build_config(arguments)).save_pretrained(f"{folder}/model")
        words = [
            "model=hf",
            f"model.path={folder}/model",
            f"model.context={arguments.context}",
            f"tokenizer={arguments.tokenizer}",
            f"batch.size={arguments.batch}",
            f"batch.micro={arguments.batch}",
            f"trainer.max_steps={arguments.steps}",
            f"trainer.log_every_n_steps={arguments.warm_up}",
            "val.fraction=0",
            "save.every=0",
            "samples.prompts=[]",
            f"hydra.run.dir={folder}/run",
        ]
        return float(gptkit.run(gptkit.compose("train", words))["tokens_per_second"])


def plain_rate(arguments: argparse.Namespace) -> float:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        keep_freed_memory()
    model = GPT2LMHeadModel(build_config(arguments)).to(device).train()
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in model.parameters() if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=True)
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(choose_precision("auto"))
    seconds = []
    for _ in range(arguments.steps):
        tokens = torch.randint(model.config.vocab_size, (arguments.batch, arguments.context)).to(device)
        begin = time.perf_counter()
        with torch.autocast(device, dtype) if dtype else contextlib.nullcontext():
            loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return arguments.batch * arguments.context / statistics.median(seconds[arguments.warm_up :])


def run_in_process(side: str) -> float:
    command = [sys.executable, __file__, "--side", side, *sys.argv[1:]]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"layers": 6, "heads": 6, "width": 384, "context": 256, "batch": 8, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--warm-up", type=int, default=4)
    parser.add_argument("--tokenizer", choices=list(VOCABULARY), default="gpt2")
    parser.add_argument("--side", choices=["kit", "plain"], help="measure one side once, in this process")
    arguments = parser.parse_args()
    if arguments.side is not None:
        print(gptkit_rate(arguments) if arguments.side == "kit" else plain_rate(arguments))
        return
    rounds = [(run_in_process("kit"), run_in_process("plain")) for _ in range(arguments.rounds)]
    ours, theirs = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    results = {
        "kit_tokens_per_second": round(ours, 1),
        "plain_tokens_per_second": round(theirs, 1),
        "ratio": round(ours / theirs, 3),
    }
    print(json.dumps({"machine": platform.machine(), "threads": torch.get_num_threads(), **vars(arguments), **results}, indent=1))


if __name__ == "__main__":
    main()
