"""The two formats of Hugging Face that can express `GPT`: their names, and their fixed settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gptkit.interop.weight_names import GPT1_NAMES, GPT2_NAMES, WeightNames
from gptkit.model import GPTConfig
from gptkit.model.gpt import NORM_EPSILON


@dataclass(frozen=True)
class HuggingFaceFormat:
    """One `model_type`. Both formats have the same keys for sizes."""

    model_type: str
    architecture: str
    names: WeightNames
    fixed: dict[str, tuple[Any, ...]]
    """Keys of config.json for which gptkit supports one behaviour: the value to write, followed by equivalent values."""
    settings: dict[str, Any]
    """The settings of `GPT` that the format implies."""
    context: int
    """The context of a config.json without n_positions."""
    vocabulary: int
    """The vocabulary size of a config.json without vocab_size."""


GPT1 = HuggingFaceFormat(
    model_type="openai-gpt",
    architecture="OpenAIGPTLMHeadModel",
    names=GPT1_NAMES,
    fixed={"afn": ("gelu",), "layer_norm_epsilon": (NORM_EPSILON,)},  # this format's gelu is the tanh form
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
        "layer_norm_epsilon": (NORM_EPSILON,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    },
    settings={"norm": "pre"},
    context=1024,
    vocabulary=50_257,
)
FORMATS = {form.model_type: form for form in (GPT2, GPT1)}


def format_for(settings: GPTConfig) -> HuggingFaceFormat:
    """Return the format for models of these settings."""
    return next(form for form in FORMATS.values() if form.settings["norm"] == settings.norm)
