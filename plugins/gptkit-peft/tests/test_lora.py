"""LoRA as a module: which layers it adapts, how it is turned off, merged and copied."""

from typing import Any

import pytest
import torch
from gptkit_peft import LoRAConfig
from gptkit_peft.lora import lora_layers
from peft import inject_adapter_in_model

from gptkit.attention import DenseAttentionConfig
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig, LSTMConfig
from gptkit.model.adapted import add_adapter, copy_with_shared_base, merge_adapter, with_base, without_base
from gptkit.model.base import Model
from gptkit.model.packed_weights import pack_weights

TOKENS = torch.tensor([[1, 5, 2, 7, 3], [4, 4, 0, 6, 9]])


def small_model() -> Model:
    torch.manual_seed(0)
    model = GPTConfig(layers=2, heads=2, width=16, context=8).build(attention=DenseAttentionConfig(), vocabulary=11)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def adapted_model(**settings: Any) -> Model:
    """A small model with an adapter whose weights are far from their initial values."""
    model = small_model()
    add_adapter(model, LoRAConfig(**settings), seed=3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def outputs(model: Model) -> torch.Tensor:
    with torch.no_grad():
        return model.logits(model(TOKENS))


def test_an_adapter_that_is_off_is_bit_equal_to_the_base() -> None:
    before, model = outputs(small_model()), adapted_model(rank=2)
    assert not torch.equal(outputs(model), before)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert model.adapter is not None
    with model.adapter.disabled(model):
        assert torch.equal(outputs(model), before)
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == trained
    assert not torch.equal(outputs(model), before)


def test_a_new_adapter_does_not_change_the_outputs() -> None:
    model = small_model()
    before = outputs(model)
    state = torch.get_rng_state()
    add_adapter(model, LoRAConfig(), seed=3)
    assert torch.equal(outputs(model), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_merged_weights_give_the_outputs_of_the_adapter_and_have_the_names_of_the_base() -> None:
    model = adapted_model(rank=4, alpha=8)
    before = outputs(model)
    merge_adapter(model)
    assert model.adapter is None
    assert list(model.state_dict()) == list(small_model().state_dict())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert (outputs(model) - before).abs().max() <= 1e-6 * before.abs().max()
    pack_weights(model, min_entries=1)
    torch.testing.assert_close(outputs(model), before)


def test_all_linear_layers_of_attention_and_mlp_are_adapted_by_default() -> None:
    model = adapted_model(rank=2)
    names = [name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name]
    layers = ("attention.qkv", "attention.output", "mlp.input", "mlp.output")
    assert names == [f"blocks.{block}.{layer}" for block in range(2) for layer in layers]


def test_targets_restrict_the_layers() -> None:
    model = adapted_model(rank=2, targets=["attention.qkv", "blocks.1.mlp.input"])
    names = [name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name]
    assert names == ["blocks.0.attention.qkv", "blocks.1.attention.qkv", "blocks.1.mlp.input"]
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert count == 2 * 2 * (16 + 48) + 2 * (16 + 64)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "attention.qvk",
            "adapter.targets: the model has no linear layer attention.qvk in its blocks. Did you mean attention.qkv?",
        ),
        ("x", "They are attention.output, attention.qkv, mlp.input, mlp.output"),
    ],
)
def test_an_unknown_target_is_an_error(target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        adapted_model(targets=[target])


def test_a_model_without_linear_layers_in_blocks_is_an_error() -> None:
    model = LSTMConfig(layers=1, units=8, width=8, context=8).build(attention=DenseAttentionConfig(), vocabulary=11)
    with pytest.raises(ConfigError, match="adapter=lora: LSTM has no linear layer in its blocks"):
        LoRAConfig().build(model=model, seed=0)


def test_the_initial_weights_depend_on_the_seed_alone() -> None:
    def initial(**settings: Any) -> torch.Tensor:
        model = small_model()
        torch.rand(3)
        add_adapter(model, LoRAConfig(**settings), seed=3)
        return model.state_dict()["blocks.0.mlp.input.lora_A.default.weight"]

    assert torch.equal(initial(), initial(seed=3))
    assert not torch.equal(initial(), initial(seed=4))


def test_a_copy_shares_the_base_and_has_weights_of_its_own() -> None:
    model = adapted_model(rank=2)
    copy = copy_with_shared_base(model)
    mine, theirs = dict(model.named_parameters()), dict(copy.named_parameters())
    for name, parameter in mine.items():
        assert (parameter.data_ptr() == theirs[name].data_ptr()) == (".lora_" not in name)
    before = outputs(copy)
    with torch.no_grad():
        mine["blocks.0.mlp.input.lora_B.default.weight"].add_(1)
    assert torch.equal(outputs(copy), before)


def test_a_checkpoint_holds_the_tensors_of_the_adapter_alone() -> None:
    model = adapted_model(rank=2)
    saved = without_base(model, model.state_dict())
    assert saved.keys() == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    again = adapted_model(rank=2, seed=9)
    again.load_state_dict(with_base(again, saved))
    assert torch.equal(outputs(again), outputs(model))


def test_mixed_precision_casts_an_input_once_and_changes_no_bit() -> None:
    """peft's own cast to float32, which autocast reverts, is turned off. The result is that with the cast, also its gradient."""

    def gradients(*, cast: bool) -> list[torch.Tensor]:
        model = adapted_model(rank=2)
        for layer in lora_layers(model):
            assert not layer.cast_input_dtype_enabled
            layer.cast_input_dtype_enabled = cast
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model.logits(model(TOKENS)).float().square().sum().backward()
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    pairs = list(zip(gradients(cast=False), gradients(cast=True), strict=True))
    assert pairs
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_peft_itself_computes_the_same() -> None:
    from peft import LoraConfig

    model, theirs = adapted_model(rank=2, alpha=6), small_model()
    layers = ["attention.qkv", "attention.output", "mlp.input", "mlp.output"]
    inject_adapter_in_model(LoraConfig(r=2, lora_alpha=6, target_modules=layers), theirs)
    theirs.load_state_dict(model.state_dict())
    assert torch.equal(outputs(theirs.eval()), outputs(model))
