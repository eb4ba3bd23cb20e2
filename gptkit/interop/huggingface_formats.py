"""The two formats of Hugging Face that the kit's `GPT` has a form in: what each is called, and what of its settings is fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gptkit.interop.weight_names import GPT1_NAMES, GPT2_NAMES, WeightNames
from gptkit.model import GPTConfig
from gptkit.model.gpt import EPSILON


@dataclass(frozen=True)
class HuggingFaceFormat:
    """One `model_type`. Sizes have the same keys in both."""

    model_type: str
    architecture: str
    names: WeightNames
    fixed: dict[str, tuple[Any, ...]]
    """Keys of config.json that the kit computes in one way alone: the value that is written, then others that mean the same."""
    settings: dict[str, Any]
    """Settings of `GPT` that the format stands for."""
    context: int
    vocabulary: int
    """What a config.json that does not say means."""


GPT1 = HuggingFaceFormat(
    model_type="openai-gpt",
    architecture="OpenAIGPTLMHeadModel",
    names=GPT1_NAMES,
    fixed={"afn": ("gelu",), "layer_norm_epsilon": (EPSILON,)},  # this format's gelu is the tanh form
    settings={"norm": "post", "residual_scaling": False, "position_deviation": 0.02},
    context=512,
    vocabulary=40_478,
)
GPT2 = HuggingFaceFormat(
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    names=GPT2_NAMES,
    fixed={
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "layer_norm_epsilon": (EPSILON,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    },
    settings={"norm": "pre"},
    context=1024,
    vocabulary=50_257,
)
FORMATS = {each.model_type: each for each in (GPT2, GPT1)}


def format_for(settings: GPTConfig) -> HuggingFaceFormat:
    """The format that holds models of these settings."""
    return next(each for each in FORMATS.values() if each.settings["norm"] == settings.norm)
