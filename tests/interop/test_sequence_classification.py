"""Exported classifiers have the same outputs in transformers as in gptkit, also for padded batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import gptkit
from gptkit.attention import DenseAttentionConfig
from gptkit.errors import ConfigError
from gptkit.interop.sequence_classification import export_sequence_classifier
from gptkit.model import GPTConfig
from gptkit.objective import AuxLMConfig, ProbeConfig, RewardModelConfig
from gptkit.objective.base import TrainedModel
from gptkit.objective.classify.classification_dataset import collate_examples
from gptkit.records import Example, Turn
from gptkit.tokenizer.bytes import BytesTokenizer

TOKENIZER = BytesTokenizer()
EXAMPLES = {
    "classification": [Example(text, "a") for text in ("good", "a bad film", "so so")],
    "entailment": [Example("one", "a", pair="two"), Example("a longer one", "b", pair="2")],
    "multiple_choice": [Example("q", 0, options=("x", "yes", "no no"))],
}


def trained(part: Any, task: str = "classification", **settings: Any) -> Any:
    torch.manual_seed(0)
    objective = part.build(tokenizer=TOKENIZER, context=32, width=16)
    if isinstance(part, AuxLMConfig):
        objective.set_labels(task, [] if task == "multiple_choice" else ["a", "b", "c"])
    gpt = GPTConfig(**({"layers": 2, "heads": 2, "width": 16, "context": 32} | settings))
    model = gpt.build(attention=DenseAttentionConfig(), vocabulary=TOKENIZER.size + part.added_tokens)
    with torch.no_grad():
        for parameter in (*model.parameters(), *objective.parameters()):
            parameter.add_(0.3 * torch.randn_like(parameter))
    return TrainedModel(model.eval(), TOKENIZER, objective.eval(), {}, source="", fingerprint="")


def read_back(transformers: Any, folder: Path) -> Any:
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()


@pytest.mark.parametrize("form", [{}, {"tied": False}, {"norm": "post"}], ids=["gpt2", "untied", "gpt1"])
@pytest.mark.parametrize("part", [AuxLMConfig(), ProbeConfig()], ids=["aux_lm", "probe"])
@pytest.mark.parametrize("task", EXAMPLES)
def test_exported_classifier_has_equal_logits(
    tmp_path: Path, transformers: Any, task: str, part: Any, form: dict[str, Any]
) -> None:
    own = trained(part, task, **form)
    sentence, *_ = export_sequence_classifier(own, tmp_path)
    theirs = read_back(transformers, tmp_path)
    batch = collate_examples(own.objective.tokenize(EXAMPLES[task], "x", labelled=False))
    with torch.no_grad():
        logits = theirs(batch["tokens"].flatten(0, 1)).logits
        expected = own.objective.outputs(own.objective.hidden_states(own.model, batch), batch["lengths"])
    torch.testing.assert_close(logits.view_as(expected), expected, rtol=0, atol=1e-4)
    if task == "classification":
        assert theirs.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert ("<|extract|>" in sentence) == bool(part.added_tokens)


def test_exported_tokenizer_has_the_tokens_of_the_objective(tmp_path: Path, transformers: Any) -> None:
    own = trained(AuxLMConfig())
    export_sequence_classifier(own, tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    (item,) = own.objective.tokenize(EXAMPLES["classification"][:1], "x", labelled=False)
    assert tokenizer("<|start|>good<|extract|>")["input_ids"] == item.sequences[0].tolist()


@pytest.mark.parametrize("form", [{}, {"norm": "post"}], ids=["gpt2", "gpt1"])
def test_exported_reward_model_has_equal_scores(tmp_path: Path, transformers: Any, form: dict[str, Any]) -> None:
    own = trained(RewardModelConfig(), **form)
    own.objective.bias.fill_(0.7)
    export_sequence_classifier(own, tmp_path)
    sequences = [own.objective.encode([Turn("user", prompt)], text)[0] for prompt, text in (("Hi", "there"), ("Why?", "no"))]
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(sequence) for sequence in sequences], batch_first=True)
    with torch.no_grad():
        result = read_back(transformers, tmp_path)(tokens).logits[:, 0]
        torch.testing.assert_close(result, own.objective.scores(own.model, tokens, lengths), rtol=0, atol=1e-4)


@pytest.mark.parametrize("task", ["similarity", "regression"])
def test_export_of_a_head_over_both_orders_is_rejected(tmp_path: Path, task: str) -> None:
    with pytest.raises(ConfigError, match=f"task={task} adds the hidden states of both orders .* gptkit predict"):
        export_sequence_classifier(trained(AuxLMConfig(), task), tmp_path)
    assert not any(tmp_path.iterdir())


def test_exported_classifier_is_rejected_by_init_from(tmp_path: Path) -> None:
    export_sequence_classifier(trained(AuxLMConfig()), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["GPT2ForSequenceClassification"]
    with pytest.raises(gptkit.errors.CheckpointError, match="a classifier"):
        gptkit.load(f"hf:{tmp_path}")
