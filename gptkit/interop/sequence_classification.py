"""Exports classifiers and reward models as GPT2ForSequenceClassification or OpenAIGPTForSequenceClassification, with equal scores.

These classes apply one linear layer without a bias, `score`, to the hidden state of the last token that is not padding. gptkit's
heads also read the last token; their bias is folded into the bias of the final norm, which no other layer reads.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from gptkit.errors import ConfigError
from gptkit.interop.huggingface import CONFIG, WEIGHTS, build_config, require_exportable, to_huggingface
from gptkit.interop.huggingface_formats import format_for
from gptkit.interop.tokenizer_files import write_tokenizer
from gptkit.model.gpt import GPT
from gptkit.objective.base import TrainedModel
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.objective.preference.reward_model import RewardModel

PADDING = 0
"""The padding id, as in gptkit: no sequence ends with it."""

SPECIAL_TOKEN_NAMES = ("<|start|>", "<|delimiter|>", "<|extract|>")
"""The names of the objective's added tokens in the exported tokenizer."""


def export_sequence_classifier(trained: TrainedModel, folder: Path) -> list[str]:
    """Write a model that was trained with objective=aux_lm, probe or reward, with its head, into an existing folder.

    Returns:
        Sentences about the input format of a sequence and about parts that the folder lacks.

    Raises:
        ConfigError: the format cannot express the model or its head.
    """
    objective = trained.objective
    assert isinstance(objective, AuxLM | RewardModel)
    gpt = require_exportable(trained.model)
    form = format_for(gpt.settings)
    if isinstance(objective, RewardModel):
        weight, bias = objective.head.weight, objective.head.bias - objective.bias
        labels, layout = ["reward"], ["a sequence is prompt, response and end-of-text, tokenized separately"]
        added_tokens: tuple[str, ...] = ()
    else:
        if objective.task in ("similarity", "regression"):
            raise ConfigError(
                f"objective.task={objective.task} adds the hidden states of both orders of a pair before its head, which Hugging "
                "Face's classifiers cannot express; gptkit predict reads the checkpoint"
            )
        weight, bias = objective.head.weight, objective.head.bias
        labels = objective.labels or ["score"]
        added_tokens = SPECIAL_TOKEN_NAMES if gpt.vocabulary > trained.tokenizer.size else ()
        layout = [_describe_input(objective, added_tokens)]
    state = {name: tensor for name, tensor in gpt.state_dict().items() if name != "head.weight"}
    last = _final_norm_bias_name(gpt)
    state[last] = state[last] + _bias_through_norm(weight.detach(), bias.detach()).to(state[last])
    config = build_config(gpt, form, trained.tokenizer) | {
        "architectures": [form.architecture.replace("LMHeadModel", "ForSequenceClassification")],
        "pad_token_id": PADDING,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
        **({"problem_type": "single_label_classification"} if len(labels) > 1 else {}),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    from safetensors.torch import save_file

    tensors = to_huggingface(state, form.names) | {"score.weight": weight.detach().float().contiguous().cpu()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return layout + write_tokenizer(trained.tokenizer, folder, context=gpt.settings.context, added_tokens=added_tokens)


def _describe_input(objective: AuxLM, names: tuple[str, ...]) -> str:
    start, delimiter, extract = names or ("end-of-text",) * 3
    parts = {"classification": f"{start}, text, {extract}", "entailment": f"{start}, text, {delimiter}, pair, {extract}"}
    options = f"{start}, text, {delimiter}, option, {extract}; the options of an example compete by their scores"
    return f"a sequence is {parts.get(objective.task, options)}; padding after it has id {PADDING}"


def _final_norm_bias_name(gpt: GPT) -> str:
    """Return the name of the bias that is added to the hidden states last."""
    return "norm.bias" if gpt.norm is not None else f"blocks.{gpt.settings.layers - 1}.norm_2.bias"


def _bias_through_norm(weight: Tensor, bias: Tensor) -> Tensor:
    """Solve W x = b for the shortest x (D,), which adds b to the scores when added to every hidden state.

    Shapes: (K, D), (K,) -> (D,) float64.

    Raises:
        ConfigError: there is no solution, because two labels have proportional weights and different biases.
    """
    w, b = weight.double().cpu(), bias.double().cpu()
    shift: Tensor = torch.linalg.pinv(w) @ b
    if not torch.allclose(w @ shift, b, atol=1e-4):
        raise ConfigError("the head's bias cannot be expressed in Hugging Face's classifiers, whose heads have none")
    return shift
