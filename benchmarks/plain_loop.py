"""The baseline of the benchmarks: a GPT and its training loop in plain PyTorch.

It mirrors nanoGPT's defaults on a CPU: pre-norm blocks without biases, exact GELU, vocabulary padded to a multiple of 64, tied
head, fp32, AdamW with torch's defaults, clipping at 1.0, a cosine learning rate, batches sampled from a memory-mapped array of
tokens, and no allocator settings. It was written for this comparison and contains no code of nanoGPT.
"""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The sizes of a model, and of a batch of `batch` sequences of `context` tokens."""

    layers: int
    heads: int
    width: int
    context: int
    vocabulary: int
    batch: int


SHAPES = {
    "gpt2-124m": Shape(layers=12, heads=12, width=768, context=1024, vocabulary=50257, batch=1),
    "characters": Shape(layers=4, heads=4, width=128, context=64, vocabulary=65, batch=12),
}


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm_1, self.norm_2 = nn.LayerNorm(shape.width, bias=False), nn.LayerNorm(shape.width, bias=False)
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.project = nn.Linear(shape.width, shape.width, bias=False)
        self.up, self.down = (
            nn.Linear(shape.width, 4 * shape.width, bias=False),
            nn.Linear(4 * shape.width, shape.width, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, T, D) -> (B, T, D)
        b, t, d = x.shape
        q, k, v = (y.view(b, t, self.heads, d // self.heads).transpose(1, 2) for y in self.qkv(self.norm_1(x)).split(d, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)
        x = x + self.project(mixed)
        return x + self.down(F.gelu(self.up(self.norm_2(x))))  # type: ignore[no-any-return]


class PlainGPT(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        padded = -(-shape.vocabulary // 64) * 64 if shape.vocabulary > 1000 else shape.vocabulary
        self.tokens, self.positions = nn.Embedding(padded, shape.width), nn.Embedding(shape.context, shape.width)
        self.blocks = nn.Sequential(*(Block(shape) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.width, bias=False)
        self.head = nn.Linear(shape.width, padded, bias=False)
        self.head.weight = self.tokens.weight
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:  # (B, T), (B, T) -> ()
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        logits = self.head(self.norm(self.blocks(x)))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def seconds_per_step(shape: Shape, steps: int) -> list[float]:
    """Return the seconds of each step, including reading the batch, on random tokens."""
    torch.manual_seed(0)
    model = PlainGPT(shape)
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens.bin"
        np.random.default_rng(0).integers(0, shape.vocabulary, 1_000_000, dtype=np.uint16).tofile(path)
        for step in range(steps):
            start_time = time.perf_counter()
            data = np.memmap(path, dtype=np.uint16, mode="r")
            starts = torch.randint(len(data) - shape.context, (shape.batch,)).tolist()
            read = [torch.from_numpy(data[start : start + shape.context + 1].astype(np.int64)) for start in starts]
            batch = torch.stack(read)
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
            loss = model(batch[:, :-1].contiguous(), batch[:, 1:].contiguous())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seconds.append(time.perf_counter() - start_time)
    return seconds
