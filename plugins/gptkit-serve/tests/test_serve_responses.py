"""OpenAI's Responses interface, with the client of the package openai."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from serve_fixtures import TestServer

TURNS = (("system", "Be brief."), ("user", "Who are you?"))


@pytest.mark.parametrize(
    "question",
    [
        "Who are you?",
        [{"role": "user", "content": "Who are you?"}],
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Who are you?"}]}],
        [{"role": "developer", "content": "These are replaced."}, {"role": "user", "content": "Who are you?"}],
    ],
)
def test_an_answer_is_that_of_generate(server: TestServer, client: openai.OpenAI, question: Any) -> None:
    response = client.responses.create(
        model="small", instructions="Be brief.", input=question, max_output_tokens=20, extra_body={"seed": 5}, metadata={"a": "b"}
    )
    assert response.output_text == server.expected_answer(*TURNS, seed=5, max_new_tokens=20)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert response.usage.output_tokens == 20
    assert response.metadata == {"a": "b"}


def test_the_answer_can_be_sent_back(server: TestServer, client: openai.OpenAI) -> None:
    first = client.responses.create(model="small", input="Hello", max_output_tokens=5, extra_body={"seed": 5})
    items: Any = [{"role": "user", "content": "Hello"}, *first.output, {"role": "user", "content": "And?"}]
    second = client.responses.create(model="small", input=items, max_output_tokens=9, extra_body={"seed": 6})
    turns = (("user", "Hello"), ("assistant", first.output_text), ("user", "And?"))
    assert second.output_text == server.expected_answer(*turns, seed=6, max_new_tokens=9)


def test_the_events_of_a_stream(server: TestServer, client: openai.OpenAI) -> None:
    with client.responses.stream(
        model="small", instructions="Be brief.", input="Who are you?", max_output_tokens=20, extra_body={"seed": 5}
    ) as stream:
        events: list[Any] = list(stream)
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events[4:-4])
    assert text == events[-1].response.output_text == server.expected_answer(*TURNS, seed=5, max_new_tokens=20)


def test_log_probabilities(client: openai.OpenAI) -> None:
    settings: Any = {
        "model": "small",
        "input": "Hello",
        "max_output_tokens": 5,
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "extra_body": {"seed": 5},
    }
    create: Any = client.responses.create
    whole = create(**settings).output[0].content[0].logprobs
    assert len(whole) == 5
    assert all(len(token.top_logprobs) == 2 for token in whole)
    streamed = [token for event in create(**settings, stream=True) if event.type.endswith("delta") for token in event.logprobs]
    assert [token.logprob for token in streamed] == [token.logprob for token in whole]


@pytest.mark.parametrize(
    ("field", "value"),
    [("previous_response_id", "resp_1"), ("store", True), ("tools", [{"type": "web_search"}]), ("background", True)],
)
def test_what_is_not_supported_is_refused(client: openai.OpenAI, field: str, value: Any) -> None:
    create: Any = client.responses.create
    with pytest.raises(openai.BadRequestError, match=f"{field}: is not supported") as raised:
        create(model="small", input="Hello", **{field: value})
    assert raised.value.param == field
