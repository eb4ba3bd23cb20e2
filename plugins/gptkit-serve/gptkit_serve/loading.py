"""Loads a model to decode with, and records what determines its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gptkit.evaluation.model_answerer import weights_fingerprint
from gptkit.generation.precision import decoding_dtype, prepare_device
from gptkit.model.base import Model
from gptkit.model.packed_weights import pack_weights
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints.load import HUB, build_model, initial_weights, open_checkpoint
from gptkit.training.checkpoints.manifest import FOLDER
from gptkit_serve.environment import current_environment
from gptkit_serve.receipts import FILE, Origin


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to decode."""

    model: Model
    tokenizer: Tokenizer
    run: Mapping[str, Any]
    """The settings of the run that trained the model, as plain values; empty for hf:..."""
    origin: Origin


def load_for_decoding(
    source: str,
    *,
    precision: str = "auto",
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    packed: bool = True,
) -> LoadedModel:
    """Load a model as `gptkit generate` does.

    Args:
        source: a run, a checkpoint folder, or hf:...
        precision: auto, fp32 or bf16.
        device: the device; None: the best one.
        dtype: the dtype of the weights; None: that of `precision`.
        packed: whether to pack the weights on a CPU that has the kernels.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    device = device or prepare_device()
    if not source.startswith(HUB):
        source = str(open_checkpoint(source).folder.resolve())  # the best checkpoint of a run may be another one later
    weights = initial_weights(source)
    model, tokenizer = build_model(weights, source)
    fingerprint = weights_fingerprint(model)
    model.to(device=device, dtype=decoding_dtype(precision, device) if dtype is None else dtype)
    if packed:
        pack_weights(model)
    origin = Origin(checkpoint=source, weights=fingerprint, tokenizer=tokenizer.fingerprint, environment=current_environment(model))
    return LoadedModel(model, tokenizer, weights.run, origin)


def default_receipts(checkpoint: str) -> Path:
    """Return the file for receipts: in the folder of the run, or in the current folder if the model is not from a run.

    Args:
        checkpoint: a checkpoint folder, or hf:...
    """
    folder = Path(checkpoint).parent
    if checkpoint.startswith(HUB) or folder.name != FOLDER:
        return Path(FILE)
    path = folder.parent / FILE
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
