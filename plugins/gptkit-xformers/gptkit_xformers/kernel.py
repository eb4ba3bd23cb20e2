"""The call of xformers' kernels, with error messages for unsupported inputs."""

from __future__ import annotations

import torch
from torch import Tensor
from xformers.ops import memory_efficient_attention
from xformers.ops.fmha.attn_bias import AttentionBias, BlockDiagonalCausalLocalAttentionMask
from xformers.ops.fmha.attn_bias import LowerTriangularFromBottomRightLocalAttentionMask as LocalMask

from gptkit.errors import ConfigError


def attention(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias, *, dropout: float) -> Tensor:
    """Return softmax(q k^T / sqrt(Dh) + bias) v without the T x T matrix: (B, T, H, Dh) three times -> (B, T, H, Dh).

    Raises:
        ConfigError: the tensors are not on a CUDA device, or a gradient of banded attention in fp32 is needed.
    """
    if not q.is_cuda:
        raise ConfigError(
            f"attention=xformers requires CUDA, but the model is on {q.device.type}; set trainer=gpu, or attention=dense"
        )
    banded = isinstance(bias, LocalMask | BlockDiagonalCausalLocalAttentionMask)
    if banded and q.dtype == torch.float32 and q.requires_grad and torch.is_grad_enabled():
        raise ConfigError(
            "attention=xformers with attention.window has no backward pass in fp32; set trainer.precision=bf16-mixed, "
            "or use attention=banded"
        )
    return memory_efficient_attention(q, k, v, attn_bias=bias, p=dropout)  # type: ignore[no-any-return]
