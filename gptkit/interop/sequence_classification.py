"""Classifiers and reward models in Hugging Face's format: GPT2ForSequenceClassification and GPT-1's, the same scores.

There the scores are one linear layer without a bias, `score`, on the last hidden state whose token is no padding. The kit's heads
read the last token of a sequence, too; their bias goes into the bias of the last norm, which nothing else reads.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from gptkit.errors import ConfigError
from gptkit.interop.huggingface import CONFIG, WEIGHTS, as_expressible, config_of, to_theirs
from gptkit.interop.huggingface_formats import format_of
from gptkit.interop.tokenizer_files import write_tokenizer
from gptkit.model.gpt import GPT
from gptkit.objective.base import TrainedModel
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.objective.preference.reward_model import RewardModel

PADDING = 0
"""The id that fills shorter sequences, here and in the kit: every sequence ends with another."""

MARKS = ("<|start|>", "<|delimiter|>", "<|extract|>")
"""What the exported tokenizer calls the ids that an objective adds."""


def export_scores(trained: TrainedModel, folder: Path) -> list[str]:
    """Write a model that was trained with objective=aux_lm, probe or reward, with its head, into an existing folder.

    Returns:
        How a sequence is laid out, and what the folder lacks, in sentences.

    Raises:
        ConfigError: the format cannot express the model, or what its head reads.
    """
    objective = trained.objective
    assert isinstance(objective, AuxLM | RewardModel)
    gpt = as_expressible(trained.model)
    form = format_of(gpt.settings)
    if isinstance(objective, RewardModel):
        weight, bias = objective.head.weight, objective.head.bias - objective.bias
        labels, layout = ["reward"], ["a sequence is prompt, response and end-of-text, tokenised apart"]
        own: tuple[str, ...] = ()
    else:
        if objective.task in ("similarity", "regression"):
            raise ConfigError(
                f"objective.task={objective.task} adds the hidden states of both orders of a pair before its head, which Hugging "
                "Face's classifiers cannot express; gptkit predict reads the checkpoint"
            )
        weight, bias = objective.head.weight, objective.head.bias
        labels, own = objective.labels or ["score"], MARKS if gpt.vocabulary > trained.tokenizer.size else ()
        layout = [_layout(objective, own)]
    state = {name: tensor for name, tensor in gpt.state_dict().items() if name != "head.weight"}
    last = _last_norm(gpt)
    state[last] = state[last] + _in_norm(weight.detach(), bias.detach()).to(state[last])
    config = config_of(gpt, form, trained.tokenizer) | {
        "architectures": [form.architecture.replace("LMHeadModel", "ForSequenceClassification")],
        "pad_token_id": PADDING,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
        **({"problem_type": "single_label_classification"} if len(labels) > 1 else {}),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    from safetensors.torch import save_file

    tensors = to_theirs(state, form.names) | {"score.weight": weight.detach().float().contiguous().cpu()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return layout + write_tokenizer(trained.tokenizer, folder, context=gpt.settings.context, added=own)


def _layout(objective: AuxLM, marks: tuple[str, ...]) -> str:
    start, delimiter, extract = marks or ("end-of-text",) * 3
    parts = {"classification": f"{start}, text, {extract}", "entailment": f"{start}, text, {delimiter}, pair, {extract}"}
    options = f"{start}, text, {delimiter}, option, {extract}; the options of an example compete by their scores"
    return f"a sequence is {parts.get(objective.task, options)}; tokens behind it are id {PADDING}"


def _last_norm(gpt: GPT) -> str:
    """The bias that is added to hidden states last."""
    return "norm.bias" if gpt.norm is not None else f"blocks.{gpt.settings.layers - 1}.norm_2.bias"


def _in_norm(weight: Tensor, bias: Tensor) -> Tensor:
    """The shortest x (D,) with W x = b: added to every hidden state it adds b to every score. (K, D), (K,) -> (D,) float64.

    Raises:
        ConfigError: there is none: two labels have proportional weights and other biases.
    """
    w, b = weight.double().cpu(), bias.double().cpu()
    found: Tensor = torch.linalg.pinv(w) @ b
    if not torch.allclose(w @ found, b, atol=1e-4):
        raise ConfigError("the head's bias cannot be expressed in Hugging Face's classifiers, whose heads have none")
    return found
