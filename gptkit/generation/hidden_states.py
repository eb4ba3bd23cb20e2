"""The hidden state at the last token of texts, which a classifier can read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.generation.scoring_batches import TOKENS_PER_PASS, group_by_size
from gptkit.model.base import Model
from gptkit.model.evaluation_mode import decoding_mode


def last_hidden_states(model: Model, sequences: Sequence[Sequence[int]], *, rows: int = 0) -> Tensor:
    """Return the final hidden state at the last token of each sequence: N sequences -> (N, D) float32 on the CPU.

    Sequences that are longer than the context of the model are truncated on the left. The result for a sequence does not depend
    on the other sequences, except for rounding.

    Args:
        model: the model; it runs without dropout and gradients.
        sequences: token ids, at least one per sequence.
        rows: maximum number of sequences per forward pass; 0: as many as TOKENS_PER_PASS allows.
    """
    device = next(model.parameters()).device
    fitted = [list(sequence[-model.context :]) for sequence in sequences]
    states: dict[int, Tensor] = {}
    with decoding_mode(model):
        for batch in group_by_size([len(sequence) for sequence in fitted], rows, TOKENS_PER_PASS):
            part = [fitted[index] for index in batch]
            hidden = model(pad_sequences(part).to(device))  # (B, T, D)
            last = sequence_lengths(part).to(device) - 1  # (B,)
            states.update(zip(batch, hidden[torch.arange(len(part), device=device), last].float().cpu(), strict=True))
    return torch.stack([states[index] for index in range(len(fitted))]).clone()
