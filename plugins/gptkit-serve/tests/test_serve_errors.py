"""Requests that are refused: the status, the field and the message; and the server answers the next request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from serve_fixtures import CONTEXT, TestServer, serving, small_model

CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
TEXT: dict[str, Any] = {"model": "small", "prompt": "Hi", "max_tokens": 2}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def the_server_lives_on(http: httpx2.Client) -> Iterator[None]:
    yield
    assert http.post("/v1/chat/completions", json=CHAT).status_code == 200


def error_of(response: httpx2.Response) -> dict[str, Any]:
    content: dict[str, Any] = response.json()
    assert set(content) == {"error"}
    assert set(content["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = content["error"]
    return error


@pytest.mark.parametrize(
    ("changes", "param", "message"),
    [
        ({"messages": None}, "messages", "messages"),
        ({"messages": []}, "messages", "messages: "),
        ({"messages": "Hi"}, "messages", "messages: "),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "messages.0.role: "),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "the field messages.0.content is missing"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0.type", "should be 'text'"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages", "must end before the assistant's answer"),
        ({"messages": [*CHAT["messages"], {"role": "system", "content": "x"}]}, "messages", "must come first"),
        ({"max_tokens": -1}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 1.5}, "max_tokens", "max_tokens: "),
        ({"max_tokens": "2"}, "max_tokens", "max_tokens: "),
        ({"n": 0}, "n", "n: "),
        ({"n": 10**30}, "n", "n: "),
        ({"temperature": -1}, "temperature", "temperature: "),
        ({"temperature": "hot"}, "temperature", "temperature: "),
        ({"top_p": 0}, "top_p", "top_p: "),
        ({"top_p": True}, "top_p", "top_p: "),
        ({"seed": 2**64}, "seed", "seed: "),
        ({"stop": ["a", ""]}, "stop", "must not contain an empty text"),
        ({"top_logprobs": 1}, "top_logprobs", "needs logprobs=true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "top_logprobs: "),
        ({"stream_options": {"include_usage": True}}, "stream_options", "needs stream=true"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "is not supported; leave it out, or set it to 0"),
        ({"tools": [{"type": "function"}]}, "tools", r"is not supported; leave it out, or set it to []"),
        ({"response_format": {"type": "json_object"}}, "response_format", "is not supported"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "is not supported"),
        ({"magic": 1}, "magic", "unknown field magic"),
        ({"stream": "yes"}, "stream", "stream: Input should be a valid boolean"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages", "half of a surrogate pair"),
        ({"model": "\udfff"}, "model", "half of a surrogate pair"),
        ({"stop": ["a", "\ud800"]}, "stop", "half of a surrogate pair"),
        ({"metadata": {"a": ["\ud800"]}}, "metadata", "half of a surrogate pair"),
        ({"messages": CHAT["messages"] * 2049}, "messages", "at most 2048 items"),
    ],
)
def test_a_field_that_is_wrong_is_named(http: httpx2.Client, changes: Any, param: str, message: str) -> None:
    content = json.dumps({**CHAT, **changes})  # with escapes, as surrogates need
    response = http.post("/v1/chat/completions", content=content, headers=JSON)
    error = error_of(response)
    assert response.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert message in error["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/chat/completions",
            {
                **CHAT,
                "n": 1,
                "frequency_penalty": 0,
                "presence_penalty": 0.0,
                "logit_bias": {},
                "tools": [],
                "tool_choice": "auto",
                "response_format": {"type": "text"},
                "user": "me",
                "metadata": {"a": "b"},
                "store": False,
                "parallel_tool_calls": True,
                "service_tier": "auto",
                "stop": None,
                "temperature": None,
                "min_p": 0,
            },
        ),
        ("/v1/completions", {**TEXT, "best_of": 1, "suffix": None, "logprobs": None, "echo": False, "stop": []}),
        ("/v1/responses", {"model": "small", "input": "Hi", "tools": [], "store": False, "text": {"format": {"type": "text"}}}),
    ],
)
def test_fields_without_an_effect_are_accepted(http: httpx2.Client, path: str, body: Any) -> None:
    assert http.post(path, json=body).status_code == 200


@pytest.mark.parametrize(
    ("prompt", "param"),
    [([], "prompt"), ([[]], "prompt"), ([300], "prompt"), ([-1], "prompt"), (["a", 5], "prompt"), (None, "prompt"), ({}, "prompt")],
)
def test_a_prompt_that_is_wrong(http: httpx2.Client, prompt: Any, param: str) -> None:
    response = http.post("/v1/completions", json={**TEXT, "prompt": prompt})
    assert response.status_code == 400
    assert str(error_of(response)["param"]).startswith(param)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize"])
@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"{", 400, "not valid JSON"),
        (b"", 400, ""),
        (b"[]", 400, "must be a JSON object"),
        (b"5", 400, "must be a JSON object"),
        (b'{"model": "sm\xff"}', 400, "not UTF-8"),
        (b"[" * 100_000, 400, ""),
        (b'{"seed": ' + b"9" * 10_000 + b"}", 400, ""),
    ],
)
def test_bodies_that_are_broken(http: httpx2.Client, path: str, content: bytes, status: int, message: str) -> None:
    response = http.post(path, content=content, headers=JSON)
    assert response.status_code == status
    assert message in error_of(response)["message"]


def test_half_of_a_surrogate_pair_is_refused(http: httpx2.Client) -> None:
    for path, body in (("/v1/completions", {**TEXT, "prompt": "\ud800"}), ("/tokenize", {"prompt": "\ud800"})):
        response = http.post(path, content=json.dumps(body), headers=JSON)
        assert response.status_code == 400
        assert "half of a surrogate pair" in error_of(response)["message"]


def test_numbers_that_json_does_not_have(http: httpx2.Client) -> None:
    for value in ("NaN", "Infinity", "1e999"):
        body = json.dumps(CHAT)[:-1] + f', "temperature": {value}}}'
        assert http.post("/v1/chat/completions", content=body, headers=JSON).status_code == 400


def test_another_content_type(http: httpx2.Client) -> None:
    response = http.post("/v1/chat/completions", content=json.dumps(CHAT), headers={"Content-Type": "text/plain"})
    assert response.status_code == 415
    assert "Content-Type: application/json" in error_of(response)["message"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_ten_megabytes(http: httpx2.Client, is_chunked: bool) -> None:
    body = json.dumps({**CHAT, "user": "x" * 10_000_000}).encode()
    content: Any = (body[start : start + 65536] for start in range(0, len(body), 65536)) if is_chunked else body
    response = http.post("/v1/chat/completions", content=content, headers=JSON)
    assert response.status_code == 413
    assert "longer than 4,194,304 bytes" in error_of(response)["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {**CHAT, "messages": [{"role": "user", "content": "x" * CONTEXT}]}, "messages"),
        ("/v1/completions", {**TEXT, "prompt": "x" * 3_000_000}, "prompt"),
        ("/v1/responses", {"model": "small", "input": "x" * CONTEXT}, "input"),
    ],
)
def test_a_prompt_over_the_context(http: httpx2.Client, path: str, body: Any, param: str, stream: bool) -> None:
    response = http.post(path, json={**body, "stream": stream})
    error = error_of(response)
    assert response.status_code == 400
    assert (error["code"], error["param"]) == ("context_length_exceeded", param)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", CHAT), ("/v1/completions", TEXT), ("/v1/responses", {"input": "x"}), ("/tokenize", {"prompt": "x"})],
)
def test_another_model(http: httpx2.Client, path: str, body: Any) -> None:
    response = http.post(path, json={**body, "model": "large"})
    assert response.status_code == 404
    assert error_of(response)["code"] == "model_not_found"


def test_other_paths_and_methods(http: httpx2.Client) -> None:
    assert http.get("/v1/engines").status_code == 404
    assert error_of(http.get("/v1/engines"))["message"] == "there is no GET /v1/engines here"
    response = http.get("/v1/chat/completions")
    assert response.status_code == 405
    assert error_of(response)["type"] == "invalid_request_error"


def test_more_texts_than_the_server_can_hold(http: httpx2.Client) -> None:
    response = http.post("/v1/completions", json={**TEXT, "prompt": ["x"] * 200, "n": 2})
    assert response.status_code == 400
    assert "asks for 400 texts" in error_of(response)["message"]


def test_a_model_without_a_chat_template(http: httpx2.Client) -> None:
    with serving(small_model(has_template=False)) as running, httpx2.Client(base_url=running.url) as other:
        response = other.post("/v1/chat/completions", json=CHAT)
        assert response.status_code == 400
        assert "was trained without a chat template" in error_of(response)["message"]
        assert other.post("/v1/completions", json=TEXT).status_code == 200


def test_the_tokenizer(server: TestServer, http: httpx2.Client) -> None:
    ids = list("Hé".encode())
    assert http.post("/tokenize", json={"prompt": "Hé"}).json() == {
        "count": 3,
        "max_model_len": CONTEXT,
        "tokens": ids,
        "token_strs": None,
    }
    assert http.post("/detokenize", json={"tokens": ids}).json() == {"prompt": "Hé"}
    info = http.get("/tokenizer_info").json()
    end = server.served.tokenizer.special["end_of_text"]
    assert info["eos_token"] == "<|endoftext|>"
    assert http.post("/tokenize", json={"prompt": info["eos_token"], "add_special_tokens": False}).json()["tokens"] == [end]
    assert "messages" in info["chat_template"]
    counted = http.post("/tokenize", json={"messages": CHAT["messages"]}).json()["count"]
    assert counted == http.post("/v1/chat/completions", json=CHAT).json()["usage"]["prompt_tokens"]
    assert http.post("/detokenize", json={"tokens": [999]}).status_code == 400
    assert http.post("/tokenize", json={}).status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/completions", {**TEXT, "prompt": "\ud800"}, "prompt"),
        ("/v1/responses", {"model": "small", "input": "a", "instructions": "\ud800"}, "instructions"),
        ("/v1/responses", {"model": "small", "input": "a", "metadata": {"a": "\ud800"}}, "metadata"),
        ("/tokenize", {"prompt": "\ud800"}, "prompt"),
        ("/tokenize", {"prompt": "a", "messages": CHAT["messages"]}, None),
    ],
)
def test_errors_of_other_endpoints_name_what_is_wrong(
    http: httpx2.Client, path: str, body: dict[str, Any], param: str | None
) -> None:
    response = http.post(path, content=json.dumps(body), headers=JSON)
    error = error_of(response)
    assert response.status_code == 400
    assert error["param"] == param
    assert ("half of a surrogate pair" if param else "set either prompt or messages") in error["message"]
