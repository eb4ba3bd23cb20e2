"""Beam search: the continuation with the highest log-probability, divided by a length penalty, that a narrow search finds.

Source of the penalty: "Google's Neural Machine Translation System" (2016), section 7: ((5 + length) / 6) ** alpha. GPT-3 uses four
beams and alpha = 0.6 for free-form answers ("Language Models are Few-Shot Learners", section 2.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.generation.decoder import Decoder
from gptkit.generation.text_stream import TextStream
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer


@dataclass(frozen=True)
class Hypothesis:
    """A continuation with its score."""

    text: str
    """Without end-of-text and without the stop string that ended it."""
    tokens: tuple[int, ...]
    """All generated ids, including end-of-text and those of the stop string."""
    log_prob: float
    """The log-probability of the tokens, in nats."""
    score: float
    """The log-probability, divided by the length penalty."""


def length_penalty(length: int, alpha: float) -> float:
    """Return the number by which the log-probability of `length` tokens is divided; 1 if alpha is 0."""
    return float(((5 + length) / 6) ** alpha)


def beam_search(
    model: Model,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    *,
    beams: int,
    alpha: float,
    max_new_tokens: int,
    stop: Sequence[str] = (),
    end: int | None = None,
) -> Hypothesis:
    """Return the best continuation that was found.

    At every step, the unfinished hypotheses are extended by all tokens, and the `beams` most probable unfinished extensions are
    kept. An extension that ends (end-of-text, a stop string, or the maximum length) is finished if it is among the 2 * `beams` most
    probable ones. The search ends when no unfinished hypothesis can reach the score of the best finished one.

    Args:
        model: the model that generates.
        tokenizer: only its ids are generated.
        prompt: token ids, at least one, and fewer than the context of the model.
        beams: number of unfinished hypotheses that are kept.
        end: the token that ends a text; None: end-of-text.
        alpha: exponent of the length penalty, at least 0; larger values favour longer texts.
        max_new_tokens: maximum number of tokens; fewer if the context of the model ends.
        stop: texts that end a continuation.
    """
    steps = min(max_new_tokens, model.context - len(prompt))
    if steps < 1:
        raise ValueError(f"a prompt of {len(prompt)} tokens fills the context of {model.context}")
    search = _Search(tokenizer, prompt, beams=beams, alpha=alpha, steps=steps, stop=stop, end=end)
    decoder = Decoder(model, [prompt], [1], length=len(prompt) + steps)
    try:
        for step in range(1, steps + 1):
            with torch.inference_mode():
                totals = search.totals(decoder.logits)
            parents = search.extend(totals, step)
            if not parents or search.is_decided():
                break
            decoder.select(parents)
            decoder.feed(torch.tensor([tokens[-1] for tokens, _ in search.active], device=decoder.device))
    finally:
        decoder.close()
    assert search.best is not None
    return search.best


class _Search:
    """The unfinished hypotheses, and the best finished one."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt: Sequence[int],
        *,
        beams: int,
        alpha: float,
        steps: int,
        stop: Sequence[str],
        end: int | None,
    ) -> None:
        self.active: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        """The unfinished hypotheses: tokens and log-probability."""
        self.best: Hypothesis | None = None
        self._tokenizer, self._prompt, self._stop = tokenizer, prompt, stop
        self._beams, self._alpha, self._steps = beams, alpha, steps
        self._end_of_text = tokenizer.special["end_of_text"] if end is None else end

    def totals(self, logits: Tensor) -> Tensor:
        """Return the log-probabilities of all extensions: (B, V) logits -> (B, V) float64."""
        log_probs = logits[:, : self._tokenizer.size].double().log_softmax(dim=-1).cpu()
        return log_probs + torch.tensor([log_prob for _, log_prob in self.active], dtype=torch.float64).unsqueeze(-1)

    def extend(self, totals: Tensor, step: int) -> list[int]:
        """Replace the unfinished hypotheses by their best extensions, and return the number of the parent of each."""
        vocabulary = totals.shape[-1]
        values, indices = totals.flatten().topk(min(2 * self._beams, totals.numel()))
        extended: list[tuple[tuple[int, ...], float]] = []
        parents: list[int] = []
        for log_prob, index in zip(values.tolist(), indices.tolist(), strict=True):
            parent, token = divmod(index, vocabulary)
            tokens = (*self.active[parent][0], token)
            text, has_ended = self._text(tokens)
            if has_ended or step == self._steps:
                self._finish(tokens, text, log_prob)
            elif len(extended) < self._beams:
                extended.append((tokens, log_prob))
                parents.append(parent)
        self.active = extended
        return parents

    def is_decided(self) -> bool:
        """Return whether no unfinished hypothesis can become better than the best finished one.

        Log-probabilities only fall, and the penalty is largest for the maximum length.
        """
        if self.best is None:
            return False
        return max(log_prob for _, log_prob in self.active) / length_penalty(self._steps, self._alpha) <= self.best.score

    def _text(self, tokens: tuple[int, ...]) -> tuple[str, bool]:
        """Return the text of a hypothesis, and whether it has ended."""
        has_ended = tokens[-1] == self._end_of_text
        stream = TextStream(self._tokenizer, self._prompt, self._stop)
        text = stream.push(tokens[:-1] if has_ended else tokens)
        return text + stream.finish(), has_ended or stream.stopped

    def _finish(self, tokens: tuple[int, ...], text: str, log_prob: float) -> None:
        score = log_prob / length_penalty(len(tokens), self._alpha)
        if self.best is None or score > self.best.score:
            self.best = Hypothesis(text, tokens, log_prob, score)
