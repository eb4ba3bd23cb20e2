"""What a task asks of a model, and the answers. The texts are not tokenised, so a task works with every model."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LogLikelihood:
    """The log-probability of a continuation, given a context. An empty context stands for the start of a text."""

    context: str
    continuation: str


@dataclass(frozen=True)
class RollingLogLikelihood:
    """The log-probability of a whole text, which may be longer than the context of the model.

    The text is scored in windows: each one scores the next `stride` tokens, and reads as many tokens before them as fit. With the
    default, windows do not overlap. A smaller stride gives every token more context, and takes more forward passes.
    """

    text: str
    stride: int = 0
    """The number of tokens that a window scores; 0: as many as the context of the model."""


@dataclass(frozen=True)
class Generation:
    """A text that the model generates after a prompt."""

    prompt: str
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    """The text ends before any of these strings."""
    temperature: float = 0.0
    """0: greedy."""
    top_k: int = 0
    beams: int = 1
    """More than 1: the best text that beam search with so many beams finds; temperature and top_k have no effect."""
    length_penalty: float = 0.0
    """The exponent of the length penalty of beam search; see `gptkit.generation.beam_search`."""


@dataclass(frozen=True)
class ChatGeneration(Generation):
    """The answer of a model to a message of a user, after a system message. It needs a chat template (`chat=true`)."""

    system: str = ""
    """Empty: none."""


Request = LogLikelihood | RollingLogLikelihood | Generation


@dataclass(frozen=True)
class LogLikelihoodAnswer:
    """The answer to a `LogLikelihood` or a `RollingLogLikelihood`."""

    log_probs: tuple[float, ...]
    """The log-probability of each token that was scored, in nats."""
    is_greedy: bool
    """Whether greedy decoding would generate the continuation."""
    truncated: int = 0
    """The number of tokens that were removed on the left, because the context of the model is too short."""
    is_greedy_filtered: bool | None = None
    """Whether greedy decoding would generate the continuation if no excluded word could begin it (`Task.excluded_words`)."""
    tokens: tuple[str, ...] = ()
    """The text of each token that was scored. A token that ends inside a character has an empty text."""

    @property
    def total(self) -> float:
        """The sum, computed without rounding errors, so that it does not depend on the order."""
        return math.fsum(self.log_probs)

    @property
    def mean(self) -> float:
        """The mean per token."""
        return self.total / len(self.log_probs)


@dataclass(frozen=True)
class GenerationAnswer:
    """The answer to a `Generation`."""

    text: str
    """Without end-of-text and without the string that ended it."""
    truncated: int = 0
    """The number of tokens of the prompt that were removed on the left."""


@dataclass(frozen=True)
class ProbeAnswer:
    """What a linear probe says about an option."""

    decision_value: float | None
    """Higher for an option that is more likely to be right; None: the examples have no option of this class."""
    truncated: int = 0
    """The number of tokens that were removed on the left."""


Answer = LogLikelihoodAnswer | GenerationAnswer | ProbeAnswer
