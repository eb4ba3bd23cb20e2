"""Memory by part, compared with what PyTorch stores for the backward pass of a small model."""

from __future__ import annotations

import pytest
import torch

from gptkit.attention import AlternatingAttentionConfig, AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.model import GPTConfig, LSTMConfig, ModelConfig
from gptkit.objective.losses import cross_entropy_sum
from gptkit.optimizer import AdamWConfig, MuonConfig
from gptkit.scaling.compute import parameters
from gptkit.scaling.memory_estimate import Others, Placement, Precision, activation_bytes, logit_bytes, memory_per_device

VOCABULARY = 500
ON_PROCESSOR = Placement(on_processor=True)


def stored_bytes(model: ModelConfig, attention: AttentionConfig, sequences: int, *, mixed: bool) -> int:
    """Return the bytes of all distinct tensors, except parameters, that autograd keeps for the backward pass."""
    built = model.build(attention=attention, vocabulary=VOCABULARY)
    own = {parameter.untyped_storage().data_ptr() for parameter in built.parameters()}
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    tokens = torch.randint(VOCABULARY, (sequences, model.context))
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=mixed),
    ):
        logits = built.logits(built(tokens)).flatten(0, 1)
        cross_entropy_sum(logits, tokens.flatten())
    sizes = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    return sum(size for storage, size in sizes.items() if storage not in own)


@pytest.mark.parametrize(
    "attention",
    [DenseAttentionConfig(), BandedAttentionConfig(window=16), AlternatingAttentionConfig(window=16)],
    ids=lambda part: part.name,
)
@pytest.mark.parametrize("mixed", [False, True], ids=["32-true", "bf16-mixed"])
@pytest.mark.parametrize(("dropout", "bound"), [(0.0, 0.005), (0.1, 0.05)])
def test_activation_bytes_match_the_tensors_saved_by_autograd(
    attention: AttentionConfig, mixed: bool, dropout: float, bound: float
) -> None:
    model = GPTConfig(layers=3, width=64, heads=4, context=128, dropout=dropout)
    precision = Precision.of("bf16-mixed" if mixed else "32-true")
    activations = activation_bytes(model, attention, sequences=4, precision=precision, placement=ON_PROCESSOR)
    logits = logit_bytes(model, VOCABULARY, sequences=4, precision=precision) / 2  # their gradient is allocated later
    matrices = 12 * model.layers * model.width**2 + VOCABULARY * model.width
    low_copies = 2 * matrices if mixed else 0
    assert activations + logits + low_copies == pytest.approx(stored_bytes(model, attention, 4, mixed=mixed), rel=bound)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("mixed", [False, True], ids=["32-true", "bf16-mixed"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_lstm_reports_the_activation_bytes_saved_by_autograd(layers: int, mixed: bool, dropout: float) -> None:
    model = LSTMConfig(layers=layers, width=64, units=256, context=128, dropout=dropout)
    precision = Precision.of("bf16-mixed" if mixed else "32-true")
    activations = activation_bytes(model, DenseAttentionConfig(), sequences=8, precision=precision, placement=ON_PROCESSOR)
    logits = logit_bytes(model, VOCABULARY, sequences=8, precision=precision) / 2
    recurrences = 4 * 256 * (64 + 256 + (layers - 1) * 512)
    low_copies = 2 * (recurrences + 256 * 64 + VOCABULARY * 64) if mixed else 0
    assert activations + logits + low_copies == pytest.approx(stored_bytes(model, DenseAttentionConfig(), 8, mixed=mixed), rel=0.05)


@pytest.mark.parametrize("optimizer", [AdamWConfig(), MuonConfig()], ids=lambda part: part.name)
def test_estimated_weights_gradients_and_moments_match_a_real_step(optimizer: AdamWConfig | MuonConfig) -> None:
    model = GPTConfig(layers=2, width=64, heads=4, context=32)
    built = model.build(attention=DenseAttentionConfig(), vocabulary=VOCABULARY)
    updater = optimizer.build(parameters=built.named_parameters())
    built.logits(built(torch.zeros(1, 32, dtype=torch.int64))).sum().backward()
    updater.step()
    planned = memory_per_device(
        model, DenseAttentionConfig(), optimizer, VOCABULARY, sequences=1, precision=Precision(4, 4), placement=ON_PROCESSOR
    )
    assert planned["weights"] == sum(p.nbytes for p in built.parameters())
    assert planned["gradients"] == sum(p.grad.nbytes for p in built.parameters() if p.grad is not None)
    moments = sum(v.nbytes for state in updater.state.values() for v in state.values() if torch.is_tensor(v) and v.dim())
    assert planned["optimizer"] == pytest.approx(moments, rel=0.01)
    assert planned["copies"] == 0


def test_sharding_divides_stored_tensors() -> None:
    model = GPTConfig(layers=8, width=64, heads=4, context=32)
    count = parameters(model, DenseAttentionConfig(), VOCABULARY)

    def held(strategy: str, devices: int) -> dict[str, float]:
        placement = Placement(devices, strategy)
        return memory_per_device(
            model, DenseAttentionConfig(), AdamWConfig(), VOCABULARY, sequences=2, precision=Precision(4, 4), placement=placement
        )

    single, ddp, fsdp2, tp = held("single", 1), held("ddp", 4), held("fsdp2", 4), held("tp", 4)
    assert single["weights"] == ddp["weights"] == 4 * count
    assert ddp["copies"] == 4 * count
    assert fsdp2["weights"] == count
    assert fsdp2["optimizer"] == 2 * count
    assert count < tp["weights"] < 4 * count
    assert tp["activations"] < single["activations"] == fsdp2["activations"]


def test_fsdp_keeps_no_lower_precision_copy_of_the_blocks() -> None:
    def copies(layers: int, strategy: str) -> float:
        model = GPTConfig(layers=layers, width=64, heads=4, context=32)
        placement, precision = Placement(4, strategy), Precision(4, 2)
        result = memory_per_device(
            model, DenseAttentionConfig(), AdamWConfig(), VOCABULARY, sequences=2, precision=precision, placement=placement
        )
        return result["copies"]

    assert copies(64, "fsdp2") < 1.2 * copies(8, "fsdp2")  # only the norms
    assert copies(64, "ddp") > 4 * copies(8, "ddp")


def test_models_trained_together_add_up_their_activations() -> None:
    def held(trained: int) -> dict[str, float]:
        model, others = GPTConfig(layers=2, width=64, heads=4, context=32), Others(trained=trained)
        precision = Precision(4, 4)
        return memory_per_device(
            model,
            DenseAttentionConfig(),
            AdamWConfig(),
            VOCABULARY,
            sequences=2,
            precision=precision,
            placement=Placement(),
            others=others,
        )

    alone, with_value = held(0), held(1)
    for part in ("activations", "gradients", "optimizer"):
        assert with_value[part] == pytest.approx(2 * alone[part])
    assert with_value["logits"] == alone["logits"]


def test_precision_is_parsed_from_lightning_names() -> None:
    assert Precision.of("32-true") == Precision(4, 4)
    assert Precision.of("bf16-mixed") == Precision.of("16-mixed") == Precision(4, 2)
    assert Precision.of("bf16-true") == Precision(2, 2)
    assert Precision.of("64-true") == Precision(8, 8)
