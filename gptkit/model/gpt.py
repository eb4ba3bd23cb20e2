"""The decoder-only Transformer of GPT-1, GPT-2 and GPT-3: MLP, Block and GPT.

Shapes: B batch, T time, D width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptkit.model.base import Cache, Model
from gptkit.model.decoding_cache import DecodingCache
from gptkit.model.lm_head import lm_logits, padded_vocabulary

if TYPE_CHECKING:
    from gptkit.attention import AttentionConfig
    from gptkit.attention.base import Attention, AttentionCache
    from gptkit.model import GPTConfig

INITIAL_STD = 0.02  # GPT-1, section 4.1: weights from N(0, 0.02)
NORM_EPSILON = 1e-5  # as in OpenAI's code


class MLP(nn.Module):
    """The MLP with 4 D hidden units and the tanh approximation of GELU: (B, T, D) -> (B, T, D).

    Source: "Gaussian Error Linear Units", section 2; GPT-1, section 4.1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = nn.Linear(width, 4 * width)
        self.output = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(F.gelu(self.input(x), approximate="tanh"))  # type: ignore[no-any-return]  # (B, T, D)


class Block(nn.Module):
    """Attention and MLP, each on a residual branch: (B, T, D) -> (B, T, D).

    Source: norm at the input of each branch: GPT-2, section 2.3; norm after each addition: GPT-1, figure 1.
    """

    def __init__(self, *, width: int, dropout: float, norm: str, attention: Attention) -> None:
        super().__init__()
        self.pre_norm = norm == "pre"
        self.dropout = dropout
        self.norm_1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attention = attention
        self.norm_2 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.mlp = MLP(width)

    def forward(self, x: Tensor, *, cache: AttentionCache | None = None, segments: Tensor | None = None) -> Tensor:
        if self.pre_norm:
            x = x + self.drop(self.attention(self.norm_1(x), cache=cache, segments=segments))
            return x + self.drop(self.mlp(self.norm_2(x)))
        x = self.norm_1(x + self.drop(self.attention(x, cache=cache, segments=segments)))
        return self.norm_2(x + self.drop(self.mlp(x)))  # type: ignore[no-any-return]

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class GPT(Model):
    """The model. Its parameters in checkpoints are `wte.weight` (V, D), `wpe.weight` (context, D), `blocks.<n>.` with `norm_1`,
    `attention.qkv`, `attention.output`, `norm_2`, `mlp.input` and `mlp.output`, `norm` (only with norm=pre) and `head.weight` (V,
    D) (only with tied=false).
    """

    def __init__(self, settings: GPTConfig, *, attention: AttentionConfig, vocabulary: int) -> None:
        super().__init__()
        self.settings = settings
        self.vocabulary = vocabulary
        self.context = settings.context
        self.wte = nn.Embedding(vocabulary, settings.width)
        self.wpe = nn.Embedding(settings.context, settings.width)
        self.blocks = nn.ModuleList(
            Block(
                width=settings.width,
                dropout=settings.dropout,
                norm=settings.norm,
                attention=attention.build(
                    width=settings.width,
                    heads=settings.heads,
                    context=settings.context,
                    dropout=settings.dropout,
                    layer=layer,
                    layers=settings.layers,
                ),
            )
            for layer in range(settings.layers)
        )
        self.norm = nn.LayerNorm(settings.width, eps=NORM_EPSILON) if settings.norm == "pre" else None
        self.head: nn.Module | None = None if settings.tied else nn.Linear(settings.width, vocabulary, bias=False)
        self.register_load_state_dict_pre_hook(_trim_vocabulary_padding)  # type: ignore[no-untyped-call]
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise the weights: N(0, 0.02), positions N(0, `position_deviation`), residual projections scaled, biases 0.

        Also initialises a model that was built on the meta device, after `to_empty`.
        Source: GPT-1, section 4.1; GPT-2, section 2.3 and its released code (positions).
        """
        residual_std = INITIAL_STD / math.sqrt(2 * self.settings.layers) if self.settings.residual_scaling else INITIAL_STD
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=residual_std if name.endswith(".output") else INITIAL_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=self.settings.position_deviation if module is self.wpe else INITIAL_STD)
            elif module is not self and hasattr(module, "reset_parameters"):
                module.reset_parameters()

    def forward(self, tokens: Tensor, *, cache: Cache | None = None, segments: Tensor | None = None) -> Tensor:
        x, layers = self._embed(tokens, cache)
        for block, layer in zip(self.blocks, layers, strict=True):
            x = block(x, cache=layer, segments=segments)  # (B, T, D)
        return self._normalise(x)

    def forward_in_parts(self, tokens: Tensor, *, cache: Cache) -> Generator[None, None, Tensor]:
        x, layers = self._embed(tokens, cache)
        for number, (block, layer) in enumerate(zip(self.blocks, layers, strict=True)):
            if number:
                yield
            x = block(x, cache=layer)  # (B, T, D)
        return self._normalise(x)

    def _normalise(self, x: Tensor) -> Tensor:
        """Return the hidden states after the last block."""
        return x if self.norm is None else self.norm(x)

    def _embed(self, tokens: Tensor, cache: Cache | None) -> tuple[Tensor, Sequence[Any]]:
        """Return the input of the first block (B, T, D), and the cache of each block."""
        if cache is None:
            if tokens.shape[1] > self.context:
                raise ValueError(f"a sequence of {tokens.shape[1]} tokens is longer than the model's context of {self.context}")
            positions = torch.arange(tokens.shape[1], device=tokens.device)  # (T,)
            layers: Sequence[Any] = [None] * len(self.blocks)
        else:
            assert isinstance(cache, DecodingCache)
            positions = cache.advance(tokens).position_ids  # (1 or B, T)
            layers = cache.layers
        x = self.wte(tokens) + self.wpe(positions)  # (B, T, D)
        if self.settings.dropout:
            x = F.dropout(x, self.settings.dropout, self.training)
        return x, layers

    def logits(self, hidden: Tensor) -> Tensor:
        if self.head is not None and not isinstance(self.head, nn.Linear):
            return self.head(hidden)  # type: ignore[no-any-return]  # packed for decoding
        return lm_logits(hidden, self.wte.weight if self.head is None else self.head.weight)  # (..., V)

    def cache(self, batch: int, length: int) -> DecodingCache:
        """Create an empty cache.

        Raises:
            ValueError: `length` is beyond the context.
        """
        if length > self.context:
            raise ValueError(f"a cache of {length} tokens is longer than the model's context of {self.context}")
        layers = [block.attention.cache(batch, length) for block in self.blocks]  # type: ignore[union-attr, operator]
        return DecodingCache(layers, batch, length, self.wte.weight.device)


def _trim_vocabulary_padding(module: GPT, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Remove rows that pad the vocabulary, to load checkpoints of programs that store them."""
    for name in ("wte.weight", "head.weight"):
        weight = state.get(prefix + name)
        if weight is not None and weight.shape[0] == padded_vocabulary(module.vocabulary) != module.vocabulary:
            state[prefix + name] = weight[: module.vocabulary]
