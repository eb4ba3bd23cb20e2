"""`attention=xformers` against the kit's own attention with the same weights.

Without a CUDA device its kernel is stood in for by its definition: softmax over the scores and the bias written out.
"""

import pytest
import torch
from gptkit_xformers import XFormersAttentionConfig, kernel
from gptkit_xformers.attention import XFormersAttention

import gptkit
from gptkit.attention import AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig

SIZES = {"width": 32, "heads": 4, "context": 24, "dropout": 0.0, "layer": 0, "layers": 2}
SEGMENTS = torch.tensor([[0] * 10 + [1] * 14, [0] * 3 + [1] * 20 + [2]])


def by_definition(q, k, v, bias, *, dropout):
    """(B, T, H, Dh) three times -> (B, T, H, Dh), in plain PyTorch."""
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    b, h, t, _ = scores.shape
    written = bias.materialize((t, t)) if hasattr(bias, "q_seqinfo") else bias.materialize((b, h, t, t))
    return torch.einsum("bhqk,bkhd->bqhd", (scores + written).softmax(-1), v)


@pytest.fixture
def defined(monkeypatch):
    monkeypatch.setattr(kernel, "attention", by_definition)


class Here(AttentionConfig):
    """The part on a machine without CUDA."""

    def __init__(self, window):
        self.window = window

    def build(self, *, width, heads, context, dropout, layer, layers):
        return XFormersAttention(width=width, heads=heads, dropout=dropout, window=self.window or context)


def pair(window, seed=0):
    torch.manual_seed(seed)
    own = (BandedAttentionConfig(window=window) if window else DenseAttentionConfig()).build(**SIZES)
    other = Here(window).build(**SIZES)
    other.load_state_dict(own.state_dict())
    return own, other


@pytest.mark.parametrize("window", [0, 1, 5, 24])
@pytest.mark.parametrize("segments", [None, SEGMENTS])
def test_results_and_gradients_are_the_kits(defined, window, segments):
    own, other = pair(window)
    x = torch.randn(2, 24, 32)
    expected, found = own(x, segments=segments), other(x, segments=segments)
    torch.testing.assert_close(found, expected)
    expected.square().sum().backward()
    found.square().sum().backward()
    for ours, theirs in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, ours.grad)


@pytest.mark.parametrize("window", [0, 5])
def test_cached_decoding_is_the_whole_pass(defined, window):
    model = GPTConfig(layers=2, heads=4, width=32, context=24).build(attention=Here(window), vocabulary=11).eval()
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
def test_without_cuda_one_line_names_the_way_out(window, instead):
    part = gptkit.compose("train", ["attention=xformers", f"attention.window={window}"]).settings.attention
    with pytest.raises(ConfigError, match="needs a CUDA device") as error:
        part.build(**SIZES)
    assert instead in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_on_the_cpu_of_a_machine_with_cuda_is_refused_by_the_kernel():
    q = torch.zeros(1, 4, 2, 8)
    with pytest.raises(ConfigError, match="runs on CUDA alone"):
        kernel.attention(q, q, q, None, dropout=0.0)


def test_it_is_counted_without_a_device():
    with torch.device("meta"):
        built = XFormersAttentionConfig(window=4).build(**SIZES)
    assert sum(parameter.numel() for parameter in built.parameters()) == 4 * 32 * 32 + 4 * 32
    assert XFormersAttentionConfig(window=4).keys_per_query(context=24, layer=0, layers=2) == BandedAttentionConfig(
        window=4
    ).keys_per_query(context=24, layer=0, layers=2)
    assert XFormersAttentionConfig().keys_per_query(context=24, layer=0, layers=2) == DenseAttentionConfig().keys_per_query(
        context=24, layer=0, layers=2
    )


def test_sizes_that_the_kernels_do_not_take_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="divisible by 8"):
        XFormersAttentionConfig().build(**{**SIZES, "heads": 8})
    with pytest.raises(ConfigError, match=r"attention.window=-1"):
        gptkit.compose("train", ["attention=xformers", "attention.window=-1"])


@pytest.mark.cuda
@pytest.mark.parametrize("window", [0, 5])
@pytest.mark.parametrize("segments", [None, SEGMENTS])
def test_on_cuda_results_and_gradients_are_the_kits(window, segments):
    own, _ = pair(window)
    other = XFormersAttentionConfig(window=window).build(**SIZES)
    other.load_state_dict(own.state_dict())
    own, other = own.cuda(), other.cuda()
    x = torch.randn(2, 24, 32, device="cuda")
    segments = None if segments is None else segments.cuda()
    expected = own(x, segments=segments)
    expected.square().sum().backward()
    with torch.autocast("cuda", torch.bfloat16):
        found = other(x, segments=segments)
    torch.testing.assert_close(found.float(), expected, atol=2e-2, rtol=2e-2)
    found.float().square().sum().backward()
    for ours, theirs in zip(own.parameters(), other.parameters(), strict=True):
        assert (theirs.grad - ours.grad).norm() < 0.03 * ours.grad.norm()


@pytest.mark.cuda
def test_on_cuda_banded_fp32_has_no_gradient_and_says_so():
    built = XFormersAttentionConfig(window=5).build(**SIZES).cuda()
    x = torch.randn(2, 24, 32, device="cuda")
    with torch.no_grad():
        built(x)
    with pytest.raises(ConfigError, match="no backward pass in fp32"):
        built(x)
