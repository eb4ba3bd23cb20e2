"""Best-of-n sampling: generates several continuations of a prompt and keeps those with the highest rewards."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptkit.data.parsing.messages import turns_without_answer
from gptkit.data.parsing.transcripts import is_transcript
from gptkit.generation.engine import generate
from gptkit.generation.text_sequence import Continuation
from gptkit.records import Prompt, Turn
from gptkit.reward.base import Reward, compute_scores

if TYPE_CHECKING:
    from gptkit.command import GenerateCommand
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer


@dataclass(frozen=True)
class ScoredContinuation(Continuation):
    """A continuation that best-of-n sampling has kept."""

    score: float
    """The reward of this continuation."""
    scores: tuple[float, ...]
    """The rewards of all continuations of the prompt, in the order in which they are generated without `best_of`."""


def best_of(
    settings: GenerateCommand,
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    judge: Reward,
    conversations: Sequence[Sequence[Turn]] | None = None,
    *,
    prompt_ids: Sequence[Sequence[int]] | None = None,
    end: int | None = None,
) -> Iterator[ScoredContinuation]:
    """Yield for each prompt the best `settings.samples` of `settings.best_of` continuations, best first.

    Of equal rewards, the continuation that was generated first comes first. The judge reads a prompt as a user turn, or as the
    turns of a transcript ("Human: ...", "Assistant:"), or as the messages of `conversations`. `prompt_ids` and `end` are as in
    `gptkit.generate`.
    """
    continuations = generate(
        model,
        tokenizer,
        prompts,
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        stop=settings.stop,
        overflow=settings.overflow,
        samples=settings.best_of,
        batch=settings.batch,
        seed=settings.seed,
        prompt_ids=prompt_ids,
        end=end,
    )
    turns = [_turns(prompt) for prompt in prompts] if conversations is None else [tuple(each) for each in conversations]
    for turns_before, candidates in zip(turns, continuations, strict=True):
        question = Prompt(turns_before)
        scores = compute_scores(judge, [question] * len(candidates), [text.text for text in candidates])
        for index in scores.argsort(descending=True, stable=True)[: settings.samples].tolist():
            fields = {field.name: getattr(candidates[index], field.name) for field in dataclasses.fields(Continuation)}
            yield ScoredContinuation(**fields, score=float(scores[index]), scores=tuple(scores.tolist()))


def _turns(prompt: str) -> tuple[Turn, ...]:
    if is_transcript(prompt):
        return turns_without_answer("prompt", prompt)
    return (Turn("user", prompt),) if prompt else ()
