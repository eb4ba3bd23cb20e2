"""Log-probabilities of the tokens of a given text, with the most probable tokens in their places."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gptkit.generation.predictions import LOGITS_PER_SLICE
from gptkit.generation.text_sequence import TokenLogProbs
from gptkit.model.base import Model
from gptkit.model.evaluation_mode import decoding_mode


def token_log_probs(model: Model, ids: Sequence[int], *, vocabulary: int, top: int = 0) -> list[TokenLogProbs]:
    """Return the log-probability of every token after the first one, given those before it.

    Args:
        model: the model; it runs without dropout and gradients.
        ids: at most `model.context` token ids.
        vocabulary: only ids below it have a probability.
        top: the number of most probable tokens that are returned with each token.
    """
    scores: list[TokenLogProbs] = []
    if len(ids) < 2:
        return scores
    with decoding_mode(model):
        tokens = torch.tensor([list(ids)], device=next(model.parameters()).device)
        hidden = model(tokens[:, :-1])[0]  # (T - 1, D)
        size = max(1, LOGITS_PER_SLICE // model.vocabulary)
        for states, targets in zip(torch.split(hidden, size), torch.split(tokens[0, 1:], size), strict=True):
            log_probs = model.logits(states)[:, :vocabulary].float().log_softmax(-1)  # (n, V)
            own = log_probs.gather(-1, targets[:, None]).squeeze(-1).tolist()
            values, best = log_probs.topk(min(top, vocabulary), dim=-1)
            for token, value, row, row_ids in zip(targets.tolist(), own, values.tolist(), best.tolist(), strict=True):
                scores.append(TokenLogProbs(token, value, tuple(zip(row_ids, row, strict=True))))
    return scores
