"""Beam search equals an exhaustive search where it is wide enough, and a plain search without a cache where it is not."""

from __future__ import annotations

import itertools

import pytest
import torch

from gptkit.evaluation.runner import evaluate
from gptkit.generation.beam_search import beam_search, length_penalty
from gptkit.generation.engine import continue_token_ids
from gptkit.generation.sampling import SamplingParams
from gptkit.model.base import Model
from gptkit.task.comparison import Subject
from gptkit.task.requests import Generation, GenerationAnswer
from tests.evaluation.test_runner import Recorder
from tests.small_models import END, TOKENIZER, random_model, slow_log_probs

MODELS = {kind: random_model(kind) for kind in ("gpt", "banded", "lstm")}
PROMPTS = ([END], [END, *b"ab"], [END, *b"a long prompt"])


def next_log_probs(model: Model, ids: list[int]) -> list[float]:
    with torch.no_grad():
        logits = model.logits(model(torch.tensor([ids])))[0, -1, : TOKENIZER.size].double()
    return logits.log_softmax(-1).tolist()


def plain_search(model: Model, prompt: list[int], *, beams: int, alpha: float, steps: int) -> tuple[tuple[int, ...], float]:
    """Beam search that reads every hypothesis from its beginning, and runs for all steps."""
    active: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished: list[tuple[float, tuple[int, ...]]] = []
    for step in range(1, steps + 1):
        extensions = [
            (total + value, (*tokens, token))
            for tokens, total in active
            for token, value in enumerate(next_log_probs(model, [*prompt, *tokens]))
        ]
        best = sorted(extensions, reverse=True)[: 2 * beams]
        ended = [(total / ((5 + step) / 6) ** alpha, tokens) for total, tokens in best if tokens[-1] == END or step == steps]
        finished += ended
        active = [(tokens, total) for total, tokens in best if tokens[-1] != END][:beams]
    score, tokens = max(finished)
    return tokens, score


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_beam_search_equals_a_search_without_a_cache(kind: str, alpha: float) -> None:
    for prompt, beams in itertools.product(PROMPTS, (1, 2, 4)):
        found = beam_search(MODELS[kind], TOKENIZER, prompt, beams=beams, alpha=alpha, max_new_tokens=5)
        tokens, score = plain_search(MODELS[kind], prompt, beams=beams, alpha=alpha, steps=5)
        assert found.tokens == tokens
        assert found.score == pytest.approx(score, abs=1e-5)


def test_search_as_wide_as_the_vocabulary_is_exhaustive() -> None:
    model, prompt = MODELS["gpt"], [END, *b"ab"]
    first = next_log_probs(model, prompt)
    scores = {(END,): first[END] / length_penalty(1, 0.6)}
    for one in range(TOKENIZER.size):
        if one != END:
            for other, value in enumerate(next_log_probs(model, [*prompt, one])):
                scores[one, other] = (first[one] + value) / length_penalty(2, 0.6)
    found = beam_search(model, TOKENIZER, prompt, beams=TOKENIZER.size, alpha=0.6, max_new_tokens=2)
    assert found.tokens == max(scores, key=lambda tokens: scores[tokens])
    assert found.score == pytest.approx(max(scores.values()), abs=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_more_beams_find_a_log_probability_at_least_as_high_as_that_of_greedy_decoding(kind: str) -> None:
    for prompt in PROMPTS:
        params = SamplingParams(6, temperature=0)
        (greedy,) = continue_token_ids(MODELS[kind], TOKENIZER, [prompt], params, items=[0])
        if len(greedy.tokens) < 6:
            continue
        found = beam_search(MODELS[kind], TOKENIZER, prompt, beams=8, alpha=0.0, max_new_tokens=6)
        assert found.log_prob >= sum(slow_log_probs(MODELS[kind], prompt, greedy.tokens)) - 1e-5


def test_text_ends_before_a_stop_string() -> None:
    found = beam_search(MODELS["gpt"], TOKENIZER, PROMPTS[1], beams=4, alpha=0.6, max_new_tokens=6)
    stop = found.text[2]
    stopped = beam_search(MODELS["gpt"], TOKENIZER, PROMPTS[1], beams=4, alpha=0.0, max_new_tokens=6, stop=[stop])
    assert stop not in stopped.text


def test_length_penalty_is_that_of_the_paper() -> None:
    assert length_penalty(1, 0.6) == 1.0
    assert length_penalty(7, 0.6) == pytest.approx(2**0.6)
    assert length_penalty(7, 0.0) == 1.0


def test_prompt_may_fill_the_context_except_for_one_token() -> None:
    model = MODELS["gpt"]
    prompt = [END, *b"x" * (model.context - 2)]
    assert len(beam_search(model, TOKENIZER, prompt, beams=2, alpha=0.6, max_new_tokens=9).tokens) == 1
    with pytest.raises(ValueError, match="fills the context"):
        beam_search(model, TOKENIZER, [*prompt, 1], beams=2, alpha=0.6, max_new_tokens=9)


def test_generation_requests_with_beams_are_answered_by_beam_search() -> None:
    task = Recorder(*(Generation(text, 5, beams=4, length_penalty=0.6) for text in ("ab", "a long prompt")))
    task.prefix = "always"
    evaluate(task, Subject(MODELS["gpt"], TOKENIZER))
    texts = {answer.text for answer in task.answers if isinstance(answer, GenerationAnswer)}
    assert texts == {
        beam_search(MODELS["gpt"], TOKENIZER, prompt, beams=4, alpha=0.6, max_new_tokens=5).text for prompt in PROMPTS[1:]
    }
