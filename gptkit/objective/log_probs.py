"""Log-probabilities of tokens, in nats and in at least float32. Shapes: N positions, V vocabulary.

The log-probabilities of all tokens take as much memory as the logits, so callers pass only the positions that they need.
"""

from __future__ import annotations

from torch import Tensor

from gptkit.objective.precision import upcast


def token_log_probs(logits: Tensor, tokens: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return the log-probability of one token per position.

    Args:
        logits: (N, V) in any floating dtype.
        tokens: (N,) int64, below V.
        temperature: divides the logits.

    Returns:
        (N,) in at least float32.
    """
    return select_tokens(all_log_probs(logits, temperature=temperature), tokens)


def all_log_probs(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return the log-probabilities of all tokens of the vocabulary: (N, V) -> (N, V) in at least float32."""
    logits = upcast(logits)
    if temperature != 1.0:
        logits = logits / temperature
    return logits.log_softmax(dim=-1)


def select_tokens(values: Tensor, tokens: Tensor) -> Tensor:
    """Select the entry of one token per position: (N, V), (N,) -> (N,)."""
    return values.gather(-1, tokens[:, None]).squeeze(-1)
