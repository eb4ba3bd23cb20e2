from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from gptkit.attention import BandedAttentionConfig
from gptkit.model import GPTConfig
from gptkit.model.packed_weights import PackedLinear, can_pack, pack_weights


@pytest.mark.parametrize("tied", [True, False])
def test_packed_weights_give_the_same_logits(tied: bool) -> None:
    torch.manual_seed(0)
    model = (
        GPTConfig(layers=2, heads=2, width=32, context=16, tied=tied)
        .build(attention=BandedAttentionConfig(window=5), vocabulary=67)
        .eval()
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    packed = copy.deepcopy(model)
    pack_weights(packed, min_entries=1)
    linear = [module for module in packed.modules() if isinstance(module, PackedLinear)]
    assert len(linear) == (2 * 4 + 1 if can_pack(torch.float32) else 0)
    with torch.inference_mode():
        for shape in [(1, 1), (3, 1), (2, 16)]:
            tokens = torch.randint(0, 67, shape)
            torch.testing.assert_close(packed.logits(packed(tokens)), model.logits(model(tokens)), rtol=1e-5, atol=1e-5)


class ThirdPartyModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(32, 32)


def test_layers_of_third_party_modules_are_not_packed() -> None:
    model = GPTConfig(layers=1, heads=2, width=32, context=16).build(attention=BandedAttentionConfig(), vocabulary=67)
    model.blocks[0].attention.output = ThirdPartyModule()
    pack_weights(model, min_entries=1)
    assert type(model.blocks[0].attention.output.inner) is nn.Linear
