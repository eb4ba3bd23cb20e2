"""Answers to messages: the client of the package openai gets the texts of `gptkit generate chat=true`."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest
from serve_fixtures import TestServer

from gptkit.records import Turn

MESSAGES: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}]
TURNS = (("system", "Be brief."), ("user", "Who are you?"))


def test_an_answer_is_that_of_generate(server: TestServer, client: openai.OpenAI) -> None:
    response = client.chat.completions.create(model="small", messages=MESSAGES, seed=5, max_completion_tokens=20)
    (choice,) = response.choices
    assert choice.message.content == server.expected_answer(*TURNS, seed=5, max_new_tokens=20)
    assert (choice.finish_reason, choice.message.role, response.model) == ("length", "assistant", "small")
    assert response.usage is not None
    assert response.usage.completion_tokens == 20
    assert response.usage.total_tokens == response.usage.prompt_tokens + 20


@pytest.mark.parametrize(
    ("request_settings", "settings"),
    [
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 0.7, "top_p": 0.8}, {"temperature": 0.7, "top_p": 0.8}),
        ({"extra_body": {"top_k": 3}}, {"top_k": 3}),
        ({"extra_body": {"top_k": -1}}, {}),
        ({"stop": "e"}, {"stop": ["e"]}),
        ({"stop": ["e", "a"]}, {"stop": ["e", "a"]}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_sampling_is_that_of_generate(
    server: TestServer, client: openai.OpenAI, request_settings: Any, settings: Any, stream: bool
) -> None:
    create: Any = client.chat.completions.create
    response = create(model="small", messages=MESSAGES, seed=3, max_tokens=30, stream=stream, **request_settings)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in response) if stream else response.choices[0].message.content
    assert text == server.expected_answer(*TURNS, seed=3, max_new_tokens=30, **settings)


def test_a_stream_begins_with_the_role_and_ends_with_the_reason_and_the_usage(server: TestServer, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="small", messages=MESSAGES, seed=5, max_tokens=20, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "length"]
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 20
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == server.expected_answer(*TURNS, seed=5, max_new_tokens=20)
    assert len(chunks) > 10


@pytest.mark.parametrize("stream", [False, True])
def test_n_answers_are_the_samples_of_generate(server: TestServer, client: openai.OpenAI, stream: bool) -> None:
    create: Any = client.chat.completions.create
    response = create(model="small", messages=MESSAGES, seed=1, max_tokens=10, n=3, stream=stream)
    texts = ["", "", ""]
    if stream:
        for chunk in response:
            texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    else:
        texts = [choice.message.content for choice in response.choices]
        assert response.usage.completion_tokens == 30
    template = server.served.template
    assert template is not None
    ids = template.prompt_ids([Turn(*turn) for turn in TURNS])
    expected = server.expected(ids, seed=1, max_new_tokens=10, samples=3, end=template.end)
    assert texts == [each.text for each in expected]


def test_answers_without_a_seed_differ(client: openai.OpenAI) -> None:
    texts = {
        client.chat.completions.create(model="small", messages=MESSAGES, max_tokens=20).choices[0].message.content for _ in range(3)
    }
    assert len(texts) == 3


def test_log_probabilities_belong_to_the_tokens_of_the_answer(client: openai.OpenAI) -> None:
    create: Any = client.chat.completions.create
    settings: Any = {"model": "small", "messages": MESSAGES, "seed": 2, "max_tokens": 20, "logprobs": True, "top_logprobs": 3}
    choice = create(**settings).choices[0]
    tokens = choice.logprobs.content
    assert len(tokens) == 20
    assert all(len(token.top_logprobs) == 3 and token.logprob <= token.top_logprobs[0].logprob for token in tokens)
    assert all(sum(math.exp(top.logprob) for top in token.top_logprobs) <= 1 for token in tokens)
    streamed = [
        token.model_dump()
        for chunk in create(**settings, stream=True)
        for token in (chunk.choices[0].logprobs.content if chunk.choices[0].logprobs else [])
    ]
    assert streamed == [token.model_dump() for token in tokens]
    stopped = create(**settings, stop=[choice.message.content[4]]).choices[0]
    assert len(stopped.message.content) <= 4
    assert len(stopped.logprobs.content) == len(stopped.message.content.encode()) or "\ufffd" in stopped.message.content


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.retrieve("small").id == "small"
    with pytest.raises(openai.NotFoundError, match="there is no model 'large'; this server has 'small'"):
        client.models.retrieve("large")


@pytest.mark.parametrize("stream", [False, True])
def test_the_usage_says_how_much_of_a_prompt_was_not_read_again(client: openai.OpenAI, stream: bool) -> None:
    create: Any = client.chat.completions.create
    content = f"{stream} " * 24
    cached = []
    for _ in range(2):
        options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        messages = [{"role": "user", "content": content}]
        response = create(model="small", messages=messages, max_tokens=2, n=2, temperature=0, **options)
        usage = list(response)[-1].usage if stream else response.usage
        assert usage.prompt_tokens > 128
        cached.append(usage.prompt_tokens_details.cached_tokens)
    assert cached[0] < 64  # at most what an earlier test has sent
    assert cached[1] == usage.prompt_tokens // 64 * 64  # whole chunks


def test_a_response_says_how_much_of_its_prompt_was_not_read_again(client: openai.OpenAI) -> None:
    text = "response " * 12
    usages = [client.responses.create(model="small", input=text, max_output_tokens=16).usage for _ in range(2)]
    assert [usage and usage.input_tokens_details.cached_tokens for usage in usages] == [0, 128]
