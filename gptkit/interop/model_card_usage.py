"""The section "Use" of a model card: how to load the model from the hub."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptkit.interop.huggingface_formats import FORMATS

VLLM_ARCHITECTURES = ("GPT2LMHeadModel",)
"""The architectures, among those that gptkit writes, that vLLM serves."""


@dataclass(frozen=True)
class Usage:
    """The properties of a model that determine how to load it."""

    repository: str
    branch: str
    auto_class: str
    """The class of transformers."""

    gptkit_key: str
    """As in `ExportedFolder`."""

    remarks: Sequence[str]
    """Sentences for readers of the folder."""

    template: str
    """The chat template of prompts; empty if the model was trained without one."""

    architecture: str
    context: int
    """The maximum sequence length in tokens; 0 if unknown."""

    parameters: int

    @property
    def task(self) -> str:
        """The hub's name of the model's task."""
        return "text-classification" if "SequenceClassification" in self.auto_class else "text-generation"


def read_usage(folder: Path, **others: Any) -> Usage:
    """Read the usage from the files of an exported folder; `others` are the remaining fields."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Usage(
        architecture=str(next(iter(config.get("architectures") or []), config.get("model_type", ""))),
        context=int(config.get("n_positions") or config.get("max_position_embeddings") or 0),
        parameters=sum(_stored_numbers(path) for path in folder.glob("*.safetensors")),
        **others,
    )


def _stored_numbers(path: Path) -> int:
    """Return the number of values in a safetensors file, from its header."""
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def usage_section(usage: Usage) -> str:
    """Return the section, with commands to copy."""
    sections = ["## Use", *([" ".join(f"{_sentence(remark)}" for remark in usage.remarks)] if usage.remarks else [])]
    if usage.template:
        sections.append(f"The model was trained on prompts in the chat template `{usage.template}` of gptkit.")
    sections += ["With transformers:", _transformers_code(usage)]
    if usage.architecture in VLLM_ARCHITECTURES:
        revision = "" if usage.branch == "main" else f" --revision {usage.branch}"
        sections += ["With vLLM:", _fenced("sh", f"vllm serve {usage.repository}{revision}")]
    sections += _gptkit_sections(usage)
    return "\n\n".join(sections)


def _transformers_code(usage: Usage) -> str:
    arguments = f'"{usage.repository}"' + ("" if usage.branch == "main" else f', revision="{usage.branch}"')
    lines = [
        f"from transformers import {usage.auto_class}, AutoTokenizer",
        "",
        f"tokenizer = AutoTokenizer.from_pretrained({arguments})",
        f"model = {usage.auto_class}.from_pretrained({arguments})",
    ]
    if usage.task == "text-generation":
        lines += [
            'inputs = tokenizer("Once upon a time", return_tensors="pt")',
            "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=20, do_sample=True)[0]))",
        ]
    return _fenced("python", "\n".join(lines))


def _gptkit_sections(usage: Usage) -> list[str]:
    name = usage.repository if usage.branch == "main" else f"{usage.repository}@{usage.branch}"
    if not usage.gptkit_key:
        return ["gptkit reads the checkpoint that this model was exported from, not the model itself."]
    is_own = usage.architecture in {form.architecture for form in FORMATS.values()}
    lines = [
        *([] if is_own else ["pip install gptkit-hf"]),
        f'gptkit generate checkpoint=hf:{name} prompt="Once upon a time"',
        f"gptkit train {usage.gptkit_key}{name} data=text data.path=books/",
    ]
    return ["With [gptkit](https://github.com/gptkit/gptkit):", _fenced("sh", "\n".join(lines))]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _fenced(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"
