import pytest
import torch

from gptkit.attention import BandedAttentionConfig
from gptkit.errors import CheckpointError
from gptkit.model import GPTConfig
from gptkit.model.base import Model
from gptkit.training.checkpoints.model_weights import load_weights


def build_model(layers: int, vocabulary: int) -> Model:
    settings = GPTConfig(layers=layers, heads=2, width=8, context=16)
    return settings.build(attention=BandedAttentionConfig(window=4), vocabulary=vocabulary)


def test_first_weight_that_does_not_match_is_named() -> None:
    state = build_model(layers=1, vocabulary=20).state_dict()
    with pytest.raises(
        CheckpointError, match=r"runs/shake: weight wte\.weight is \(20, 8\) in the checkpoint and \(99, 8\) in the model"
    ):
        load_weights(build_model(layers=1, vocabulary=99), state, "runs/shake")
    with pytest.raises(CheckpointError, match=r"the model has a weight blocks\.1"):
        load_weights(build_model(layers=2, vocabulary=20), state, "runs/shake")
    with pytest.raises(CheckpointError, match="the checkpoint has a weight extra"):
        load_weights(build_model(layers=1, vocabulary=20), {**state, "extra": torch.zeros(1)}, "runs/shake")


def test_weights_of_another_number_kind_are_rejected() -> None:
    model = build_model(layers=1, vocabulary=20)
    state = model.state_dict()
    with pytest.raises(CheckpointError, match=r"weight wte\.weight has dtype torch\.int64 in the checkpoint and torch\.float32"):
        load_weights(model, {**state, "wte.weight": state["wte.weight"].long()}, "runs/shake")


def test_missing_rows_of_added_tokens_keep_their_initial_values() -> None:
    state = build_model(layers=1, vocabulary=20).state_dict()
    model = build_model(layers=1, vocabulary=23)
    initial_rows = model.state_dict()["wte.weight"][20:].clone()
    load_weights(model, state, "runs/shake", tokens=20)
    embedding = model.state_dict()["wte.weight"]
    assert torch.equal(embedding[:20], state["wte.weight"])
    assert torch.equal(embedding[20:], initial_rows)
