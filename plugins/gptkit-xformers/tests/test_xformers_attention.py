"""`attention=xformers` equals gptkit's own attention with the same weights.

Without a CUDA device, the kernel is replaced by its definition in plain PyTorch.
"""

from typing import Any

import pytest
import torch
from gptkit_xformers import XFormersAttentionConfig, biases, kernel
from gptkit_xformers.attention import XFormersAttention

import gptkit
from gptkit.attention import AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig

SIZES: dict[str, Any] = {"width": 32, "heads": 4, "context": 24, "dropout": 0.0, "layer": 0, "layers": 2}
SEGMENTS = torch.tensor([[0] * 10 + [1] * 14, [0] * 3 + [1] * 20 + [2]])

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: xformers has no CPU kernels")


def reference_kernel(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: Any, *, dropout: float) -> torch.Tensor:
    """The definition of the kernel: (B, T, H, Dh) three times -> (B, T, H, Dh)."""
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    b, h, t, _ = scores.shape
    matrix = bias.materialize((t, t)) if hasattr(bias, "q_seqinfo") else bias.materialize((b, h, t, t))
    return torch.einsum("bhqk,bkhd->bqhd", (scores + matrix).softmax(-1), v)


@pytest.fixture
def without_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the kernel by its definition."""
    monkeypatch.setattr(kernel, "attention", reference_kernel)


class WithoutCuda(AttentionConfig):
    """The part without its check for CUDA."""

    def __init__(self, window: int) -> None:
        self.window = window

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> XFormersAttention:
        return XFormersAttention(width=width, heads=heads, dropout=dropout, window=self.window or context)


def build_pair(window: int) -> tuple[Any, Any]:
    """Return gptkit's own attention and that of xformers with the same weights."""
    torch.manual_seed(0)
    config = BandedAttentionConfig(window=window) if window else DenseAttentionConfig()
    own: Any = config.build(**SIZES)
    other = WithoutCuda(window).build(**SIZES)
    other.load_state_dict(own.state_dict())
    return own, other


@pytest.mark.parametrize("window", [0, 1, 5, 24])
@pytest.mark.parametrize("segments", [None, SEGMENTS])
def test_results_and_gradients_equal_those_of_gptkit(without_kernel: None, window: int, segments: torch.Tensor | None) -> None:
    own, other = build_pair(window)
    x = torch.randn(2, 24, 32)
    expected, actual = own(x, segments=segments), other(x, segments=segments)
    torch.testing.assert_close(actual, expected)
    expected.square().sum().backward()
    actual.square().sum().backward()
    for ours, theirs in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, ours.grad)


@pytest.mark.parametrize("window", [0, 5])
def test_cached_decoding_equals_a_full_forward_pass(without_kernel: None, window: int) -> None:
    model = GPTConfig(layers=2, heads=4, width=32, context=24).build(attention=WithoutCuda(window), vocabulary=11).eval()
    rows = [torch.randint(11, (n,)) for n in (3, 9)]
    with torch.no_grad():
        cache = model.cache(2, 24)
        tokens = torch.zeros(2, 9, dtype=torch.int64)
        for row, ids in enumerate(rows):
            tokens[row, : len(ids)] = ids
        cache.receive(torch.tensor([3, 9]))
        hidden = model(tokens, cache=cache)
        last = [hidden[0, 2], hidden[1, 8]]
        for _ in range(12):
            for row, ids in enumerate(rows):
                torch.testing.assert_close(last[row], model(ids[None])[0, -1])
            following = torch.randint(11, (2, 1))
            rows = [torch.cat([ids, new]) for ids, new in zip(rows, following, strict=True)]
            last = list(model(following, cache=cache)[:, 0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize(("window", "instead"), [(0, "attention=dense"), (7, "attention=banded attention.window=7")])
def test_without_cuda_the_error_names_an_alternative(window: int, instead: str) -> None:
    settings: Any = gptkit.compose("train", ["attention=xformers", f"attention.window={window}"]).settings
    part = settings.attention
    with pytest.raises(ConfigError, match="needs a CUDA device") as error:
        part.build(**SIZES)
    assert instead in str(error.value)
    assert "\n" not in str(error.value)


def test_the_kernel_rejects_tensors_on_the_cpu() -> None:
    q = torch.zeros(1, 4, 2, 8)
    with pytest.raises(ConfigError, match="requires CUDA"):
        kernel.attention(q, q, q, biases.whole(None), dropout=0.0)


def test_parameters_are_counted_without_a_cuda_device() -> None:
    with torch.device("meta"):
        module = XFormersAttentionConfig(window=4).build(**SIZES)
    assert sum(parameter.numel() for parameter in module.parameters()) == 4 * 32 * 32 + 4 * 32
    assert XFormersAttentionConfig(window=4).keys_per_query(context=24, layer=0, layers=2) == BandedAttentionConfig(
        window=4
    ).keys_per_query(context=24, layer=0, layers=2)
    assert XFormersAttentionConfig().keys_per_query(context=24, layer=0, layers=2) == DenseAttentionConfig().keys_per_query(
        context=24, layer=0, layers=2
    )


def test_unsupported_sizes_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="divisible by 8"):
        XFormersAttentionConfig().build(**{**SIZES, "heads": 8})
    with pytest.raises(ConfigError, match=r"attention.window=-1"):
        gptkit.compose("train", ["attention=xformers", "attention.window=-1"])


@needs_cuda
@pytest.mark.parametrize("window", [0, 5])
@pytest.mark.parametrize("segments", [None, SEGMENTS])
def test_on_cuda_results_and_gradients_equal_those_of_gptkit(window: int, segments: torch.Tensor | None) -> None:
    own, _ = build_pair(window)
    other: Any = XFormersAttentionConfig(window=window).build(**SIZES)
    other.load_state_dict(own.state_dict())
    own, other = own.cuda(), other.cuda()
    x = torch.randn(2, 24, 32, device="cuda")
    segments = None if segments is None else segments.cuda()
    expected = own(x, segments=segments)
    expected.square().sum().backward()
    with torch.autocast("cuda", torch.bfloat16):
        actual = other(x, segments=segments)
    torch.testing.assert_close(actual.float(), expected, atol=2e-2, rtol=2e-2)
    actual.float().square().sum().backward()
    for ours, theirs in zip(own.parameters(), other.parameters(), strict=True):
        assert (theirs.grad - ours.grad).norm() < 0.03 * ours.grad.norm()


@needs_cuda
def test_on_cuda_a_gradient_of_banded_attention_in_fp32_is_an_error() -> None:
    module = XFormersAttentionConfig(window=5).build(**SIZES).cuda()
    x = torch.randn(2, 24, 32, device="cuda")
    with torch.no_grad():
        module(x)
    with pytest.raises(ConfigError, match="no backward pass in fp32"):
        module(x)
