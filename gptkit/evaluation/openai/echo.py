"""Log-probabilities of a prompt, as an OpenAI-compatible server echoes them (`echo=true`, `logprobs=1`)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from gptkit.errors import GptkitError
from gptkit.task.requests import LogLikelihoodAnswer


@dataclass(frozen=True)
class Echo:
    """The tokens that a server echoes: those of the prompt, and perhaps one that it generated."""

    tokens: Sequence[str]
    log_probs: Sequence[float | None]
    """None for the first token of a text."""
    offsets: Sequence[int]
    """The position of each token in the text, in characters."""
    top: Sequence[Mapping[str, float] | None]
    """For each token, the log-probabilities of the most probable ones."""
    asked_top: int = 1
    """The number of most probable tokens that the server was asked for."""

    def scored_by_text(self, text: str, scored: int) -> slice:
        """Return the tokens of the last `scored` characters of a text; a token that begins before them is not included.

        At least one token is scored. Some servers put a token before the text, whose name their offsets count.
        """
        named = self.tokens[0] if self.tokens else ""
        has_prefix = (
            len(self.tokens) > 1
            and named
            and not text.startswith(named)
            and text.startswith(self.tokens[1])
            and self.offsets[1] > 0
        )
        shift = self.offsets[1] if has_prefix else 0
        last = sum(offset < shift + len(text) for offset in self.offsets)
        first = sum(offset < shift + len(text) - scored for offset in self.offsets)
        return slice(max(0, min(first, last - 1)), last)

    def answer(self, part: slice, excluded: Collection[str], source: str) -> LogLikelihoodAnswer:
        """Return the answer for some tokens.

        Args:
            part: the tokens.
            excluded: words that cannot be the first token, for `is_greedy_filtered`, which is false if the token is not among the
                most probable ones.
            source: the server, for messages.

        Raises:
            GptkitError: a log-probability is missing or not finite.
        """
        log_probs = [value for value in self.log_probs[part] if value is not None]
        tops = [top for top in self.top[part] if top]
        if len(log_probs) < part.stop - part.start:
            raise GptkitError(
                f"{source}: gives no log-probability of the first token of a text; set openai.tokenizer=<run or hf:folder>, so "
                "that an end-of-text token precedes it"
            )
        if not all(map(math.isfinite, log_probs)):
            raise GptkitError(f"{source}: a log-probability is not finite")
        if len(tops) < len(log_probs):
            raise GptkitError(f"{source}: the log-probabilities of the most probable tokens (top_logprobs) are missing")
        greedy = [value >= max(top.values()) for value, top in zip(log_probs, tops, strict=True)]
        filtered = None
        if excluded:
            limit = sorted(tops[0].values(), reverse=True)[: self.asked_top][-1]  # servers add the scored token to these
            allowed = [value for token, value in tops[0].items() if plain_token(token) not in excluded]
            is_first = plain_token(self.tokens[part.start]) not in excluded and log_probs[0] >= max([limit, *allowed])
            filtered = is_first and all(greedy[1:])
        tokens = tuple(map(plain_token, self.tokens[part]))
        return LogLikelihoodAnswer(tuple(log_probs), all(greedy), is_greedy_filtered=filtered, tokens=tokens)


def read_echo(choice: Any, top: int, prompt_tokens: int = 0) -> Echo | None:
    """Return the echo of an answer of `/v1/completions`; None if the server did not echo the prompt.

    Args:
        choice: an element of `choices`.
        top: the number of most probable tokens that the server was asked for.
        prompt_tokens: the number of tokens of the prompt, if it is known.
    """
    content: Any = getattr(choice, "logprobs", None)
    tokens, log_probs = getattr(content, "tokens", None), getattr(content, "token_logprobs", None)
    if not tokens or not log_probs or len(tokens) != len(log_probs) or len(tokens) < prompt_tokens:
        return None
    offsets = content.text_offset
    if not offsets or len(offsets) != len(tokens):
        offsets = [0, *accumulate(map(len, tokens))][:-1]
    tops = content.top_logprobs
    return Echo(tokens, log_probs, offsets, tops if tops and len(tops) == len(tokens) else [None] * len(tokens), top)


def plain_token(token: str) -> str:
    """Return a token with a space, where some servers send the symbol of their vocabulary for it."""
    return token.replace("Ġ", " ").replace("▁", " ")
