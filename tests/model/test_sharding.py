from __future__ import annotations

import copy

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from gptkit.attention import AlternatingAttentionConfig
from gptkit.generation.decoder import Decoder
from gptkit.model import GPTConfig
from gptkit.model.gpt import GPT


def build() -> GPT:
    torch.manual_seed(0)
    model = GPTConfig(layers=2, heads=2, width=16, context=12).build(attention=AlternatingAttentionConfig(window=4), vocabulary=37)
    assert isinstance(model, GPT)
    return model


TOKENS = torch.arange(24).view(2, 12) % 37


def gradients(model: GPT, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
    model.logits(hidden).log_softmax(-1)[..., 5].sum().backward()
    result = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {name: getattr(gradient, "full_tensor", lambda gradient=gradient: gradient)() for name, gradient in result.items()}


@pytest.mark.usefixtures("alone")
def test_sharded_and_replicated_models_have_the_same_gradients() -> None:
    plain, sharded, replicated = build(), build(), build()
    expected = gradients(plain, plain(TOKENS))
    for block in sharded.blocks:
        fully_shard(block, mesh=dist.device_mesh.init_device_mesh("cpu", (1,)))
    fully_shard(sharded, mesh=dist.device_mesh.init_device_mesh("cpu", (1,)))
    assert_same(gradients(sharded, sharded(TOKENS)), expected)
    assert_same(gradients(replicated, DistributedDataParallel(replicated)(TOKENS)), expected)

    # generating samples between two steps changes neither the weights nor the next step
    decoder = Decoder(sharded, [[1, 2, 3], [4]], [1, 1], length=5)
    torch.testing.assert_close(decoder.logits[0], plain.logits(plain(torch.tensor([[1, 2, 3]])))[0, -1])
    decoder.close()
    assert sharded.training
    sharded.zero_grad()
    assert_same(gradients(sharded, sharded(TOKENS)), expected)


def assert_same(result: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(result) == list(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(result[name], gradient, msg=name)


def test_a_compiled_model_is_one_graph_and_still_decodes() -> None:
    model = build()
    plain = copy.deepcopy(model)
    model.compile(dynamic=False, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(model(TOKENS), plain(TOKENS))
    decoder = Decoder(model, [[1, 2, 3], [4]], [1, 1], length=5)
    torch.testing.assert_close(decoder.logits[1], plain.logits(plain(torch.tensor([[4]])))[0, -1])
