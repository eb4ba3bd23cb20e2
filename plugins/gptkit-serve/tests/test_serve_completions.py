"""Continuations of texts and token ids, and log-probabilities of prompts."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from serve_fixtures import CONTEXT, TOKENIZER, TestServer

from gptkit.generation import generate
from gptkit.generation.scoring import TokenSequence, score_continuations

PROMPT = "Once upon a time"
IDS = TOKENIZER.encode(PROMPT)


@pytest.mark.parametrize("prompt", [PROMPT, IDS, [PROMPT], [IDS], ""])
@pytest.mark.parametrize("stream", [False, True])
def test_a_continuation_is_that_of_generate(server: TestServer, client: openai.OpenAI, prompt: Any, stream: bool) -> None:
    create: Any = client.completions.create
    response = create(model="small", prompt=prompt, seed=5, max_tokens=20, stream=stream)
    chunks = list(response) if stream else [response]
    text = "".join(chunk.choices[0].text for chunk in chunks)
    assert text == generate(server.served.model, TOKENIZER, [PROMPT if prompt else ""], seed=5, max_new_tokens=20)[0][0].text
    assert chunks[-1].choices[0].finish_reason == "length"


def test_several_prompts_and_samples_are_those_of_generate(server: TestServer, client: openai.OpenAI) -> None:
    prompts = [PROMPT, "The end", PROMPT]
    response = client.completions.create(model="small", prompt=prompts, n=2, seed=7, max_tokens=12)
    expected = generate(server.served.model, TOKENIZER, prompts, seed=7, max_new_tokens=12, samples=2)
    assert [choice.text for choice in response.choices] == [text.text for texts in expected for text in texts]
    assert [choice.index for choice in response.choices] == list(range(6))
    assert response.usage is not None
    assert response.usage.prompt_tokens == sum(len(TOKENIZER.encode(prompt)) for prompt in prompts)


def test_a_request_without_a_limit_has_sixteen_tokens(client: openai.OpenAI) -> None:
    response = client.completions.create(model="small", prompt=PROMPT, seed=1)
    assert response.usage is not None
    assert response.usage.completion_tokens == 16


@pytest.mark.parametrize("prompt", [PROMPT, IDS])
@pytest.mark.parametrize(("max_tokens", "stream"), [(0, False), (1, False), (3, True), (0, True)])
def test_an_echo_has_the_log_probabilities_of_the_prompt(
    server: TestServer, client: openai.OpenAI, prompt: Any, max_tokens: int, stream: bool
) -> None:
    create: Any = client.completions.create
    response = create(model="small", prompt=prompt, echo=True, logprobs=2, max_tokens=max_tokens, temperature=0, stream=stream)
    choices = [chunk.choices[0] for chunk in response] if stream else [response.choices[0]]
    text = "".join(choice.text for choice in choices)
    assert text.startswith(PROMPT)
    tokens = [each for choice in choices for each in choice.logprobs.tokens]
    values = [each for choice in choices for each in choice.logprobs.token_logprobs]
    tops = [each for choice in choices for each in choice.logprobs.top_logprobs]
    offsets = [each for choice in choices for each in choice.logprobs.text_offset]
    assert len(tokens) == len(values) == len(tops) == len(offsets) == len(IDS) + max_tokens
    assert offsets[: len(IDS)] == list(range(len(PROMPT)))
    assert "".join(tokens[: len(IDS)]) == PROMPT
    assert values[0] is None and tops[0] is None
    (score,) = score_continuations(server.served.model, [TokenSequence(IDS[:1], IDS[1:])])
    assert values[1 : len(IDS)] == pytest.approx(score.log_probs.tolist(), abs=1e-5)
    for value, top in zip(values[1:], tops[1:], strict=True):
        assert value in top.values() and len(top) in (2, 3) and value <= max(top.values())
    for value, top in zip(values[len(IDS) :], tops[len(IDS) :], strict=True):
        assert value == max(top.values())  # the new tokens are greedy


def test_a_prompt_that_fills_the_context_can_be_echoed_but_not_continued(client: openai.OpenAI) -> None:
    ids = [65] * CONTEXT
    response = client.completions.create(model="small", prompt=ids, echo=True, max_tokens=0, logprobs=0)
    assert len(response.choices[0].logprobs.tokens) == CONTEXT  # type: ignore[union-attr, arg-type]
    with pytest.raises(openai.BadRequestError, match="maximum context length of the model is 256 tokens") as raised:
        client.completions.create(model="small", prompt=ids, max_tokens=1)
    assert raised.value.code == "context_length_exceeded"


def test_a_text_ends_where_the_context_does(client: openai.OpenAI) -> None:
    choice = client.completions.create(model="small", prompt=[65] * (CONTEXT - 5), max_tokens=10**9, seed=0).choices[0]
    assert choice.finish_reason == "length"


def test_tokens_of_a_stop_string_have_no_log_probabilities(server: TestServer, client: openai.OpenAI) -> None:
    settings: Any = {"model": "small", "prompt": PROMPT, "seed": 11, "max_tokens": 40, "logprobs": 0}
    whole = client.completions.create(**settings).choices[0].text
    stop = whole[8:10]
    stopped = client.completions.create(**settings, stop=stop).choices[0]
    assert stopped.finish_reason == "stop"
    assert stopped.text == whole[: whole.index(stop)]
    assert all(offset < len(stopped.text) for offset in stopped.logprobs.text_offset)
