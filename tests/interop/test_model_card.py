"""What the model card states, and what it leaves to the author."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gptkit.interop.model_card import PLACEHOLDER, Provenance, Stage, build_model_card, describe_data
from gptkit.interop.model_card_usage import Usage

pytest.importorskip("huggingface_hub")

SETTINGS: dict[str, Any] = {
    "model": {"name": "gpt", "layers": 2, "width": 32, "context": 16},
    "attention": {"name": "dense"},
    "objective": {"name": "lm"},
    "tokenizer": {"name": "gpt2", "path": "/home/me/vocabulary"},
    "data": {"name": "text", "path": ["/home/me/private/a.txt", "~/b.txt"]},
    "optimizer": {"name": "adamw", "lr": 0.001, "schedule": {"shape": "cosine"}},
    "batch": {"size": 4},
    "seed": 7,
}
RUN = Provenance(
    settings=SETTINGS,
    step=30,
    last_step=40,
    tokens=1920,
    metrics={"val_loss": 2.0, "val_accuracy": 0.5, "val_accuracy_low": 0.25, "val_accuracy_high": 0.75, "train_loss": math.nan},
    stages=[Stage("lm", "text (a.txt, b.txt)")],
    papers=["+gpt2=124m", "+shrink=tiny"],
    versions={"gptkit": "0.1.0"},
)


def usage(**changes: Any) -> Usage:
    known: dict[str, Any] = {
        "repository": "me/tiny",
        "branch": "main",
        "auto_class": "AutoModelForCausalLM",
        "gptkit_key": "init_from=hf:",
        "remarks": [],
        "template": "",
        "architecture": "GPT2LMHeadModel",
        "context": 16,
        "parameters": 35_520,
    }
    return Usage(**{**known, **changes})


def card(provenance: Provenance = RUN, license: str | None = None, **changes: Any) -> Any:
    """The card, read back as the hub reads it."""
    from huggingface_hub import ModelCard

    return ModelCard(str(build_model_card(provenance, usage(**changes), license=license)))


def test_the_metadata_is_what_the_hub_searches_by() -> None:
    data = card(license="mit").data
    assert (data.library_name, data.pipeline_tag, data.license) == ("transformers", "text-generation", "mit")
    assert data.tags == ["gptkit", "lm"]
    assert data.base_model is None
    assert data.model_name == "tiny"
    assert {result.metric_type: result.metric_value for result in data.eval_results} == {
        "loss": 2.0,
        "accuracy": 0.5,
        "perplexity": pytest.approx(math.exp(2), abs=1e-6),
    }


def test_the_text_states_how_the_model_was_trained() -> None:
    text = card().text
    for fact in ("+gpt2=124m +shrink=tiny", "text (a.txt, b.txt)", "30 of 40", "1,920", "schedule.shape=cosine", "gptkit 0.1.0"):
        assert fact in text
    assert "| Seed | `7` |" in text
    assert "| `val_accuracy` | 0.5000 (95% interval: 0.2500 to 0.7500) |" in text
    assert "nan" not in text


def test_the_card_names_no_folder_of_the_machine() -> None:
    text = str(card())
    assert "/home/me" not in text
    assert "~" not in text
    assert describe_data({"name": "text", "path": "C:/x/a.txt"}) == "text (a.txt)"
    assert describe_data({"name": "text", "path": [f"{n}.txt" for n in range(5)]}) == "text (0.txt, 1.txt, 2.txt and 2 more)"


def test_what_no_run_knows_is_a_placeholder() -> None:
    assert card().text.count(PLACEHOLDER) == 2
    assert card(license="mit").text.count(PLACEHOLDER) == 1
    assert "license" not in card().data.to_dict()


def test_the_commands_load_the_branch_that_was_pushed() -> None:
    text = card(branch="v1").text
    assert 'from_pretrained("me/tiny", revision="v1")' in text
    assert "vllm serve me/tiny --revision v1" in text
    assert "gptkit generate checkpoint=hf:me/tiny@v1 " in text
    assert "gptkit train init_from=hf:me/tiny@v1 " in text


def test_vllm_is_named_only_for_what_it_serves() -> None:
    assert "vllm" not in card(architecture="OpenAIGPTLMHeadModel").text


def test_a_model_that_a_plugin_loads_names_the_package() -> None:
    assert "pip install gptkit-hf\ngptkit generate checkpoint=hf:me/tiny" in card(architecture="LlamaForCausalLM").text
    assert "gptkit-hf" not in card().text


def test_a_classifier_says_how_its_inputs_look() -> None:
    provenance = Provenance(settings=SETTINGS | {"objective": {"name": "aux_lm"}}, metrics={"val_loss": 1.0})
    changes = {
        "auto_class": "AutoModelForSequenceClassification",
        "gptkit_key": "",
        "architecture": "GPT2ForSequenceClassification",
    }
    read = card(provenance, remarks=["a sequence is text, end-of-text"], **changes)
    assert read.data.pipeline_tag == "text-classification"
    assert "A sequence is text, end-of-text." in read.text
    assert "perplexity" not in str(read)
    assert "gptkit generate" not in read.text


def test_a_model_that_no_run_trained_names_its_base() -> None:
    read = card(Provenance(base_model="openai-community/gpt2@main"))
    assert read.data.base_model == "openai-community/gpt2"
    assert "[openai-community/gpt2@main](https://huggingface.co/openai-community/gpt2)" in read.text
    assert "## Training" not in read.text


def test_names_of_files_cannot_change_the_page() -> None:
    data = {"name": "text", "path": "a|b`<script>\n# c.txt"}
    text = card(Provenance(settings=SETTINGS | {"data": data}, stages=[Stage("lm", describe_data(data))])).text
    assert "| Data | `text (a/b'<script>\\n# c.txt)` |" in text
