"""Programs that already speak the OpenAI API work unchanged."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import httpx2
import pytest
from serve_fixtures import TOKENIZER, TestServer

from gptkit.generation.scoring import TokenSequence, score_continuations

TURNS = (("system", "Be brief."), ("user", "Who are you?"))


@pytest.mark.parametrize("uses_responses", [False, True])
def test_langchain(server: TestServer, uses_responses: bool) -> None:
    langchain_openai = pytest.importorskip("langchain_openai")
    chat = langchain_openai.ChatOpenAI(
        model="small",
        base_url=f"{server.url}/v1",
        api_key="none",
        max_retries=0,
        max_tokens=20,
        use_responses_api=uses_responses,
        stream_usage=True,
        extra_body={"seed": 5},
    )
    expected = server.expected_answer(*TURNS, seed=5, max_new_tokens=20)
    answer = chat.invoke(list(TURNS))
    assert answer.text == expected
    assert answer.usage_metadata["output_tokens"] == 20
    chunks = list(chat.stream(list(TURNS)))
    assert "".join(chunk.text for chunk in chunks) == expected
    assert len(chunks) > 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_lm_eval_local_completions(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    monkeypatch.setenv("OPENAI_API_KEY", "none")
    model = LocalCompletionsAPI(base_url=f"{server.url}/v1/completions", model="small", max_length=256, batch_size=2, max_retries=1)
    pairs = [("Once upon", " a time"), ("The cat sat on", " the mat"), ("", "Hello there")]
    requests = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]
    results = model.loglikelihood(requests)
    end = TOKENIZER.special["end_of_text"]
    sequences = [TokenSequence(TOKENIZER.encode(context) or [end], TOKENIZER.encode(text)) for context, text in pairs]
    scores = score_continuations(server.served.model, sequences)
    assert [total for total, _ in results] == pytest.approx([float(score.log_probs.sum()) for score in scores], abs=1e-4)
    assert [is_greedy for _, is_greedy in results] == [score.is_greedy for score in scores]
    settings = {"until": ["\n"], "max_gen_toks": 12}
    (text,) = model.generate_until([Instance("generate_until", {}, ("Once upon", settings), 0)])
    (expected,) = server.expected("Once upon", temperature=0, max_new_tokens=12, stop=["\n"])
    assert text == expected.text


def test_curl(server: TestServer) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    body = {"model": "small", "messages": [{"role": role, "content": text} for role, text in TURNS], "seed": 5, "max_tokens": 20}
    command = ["curl", "-sN", f"{server.url}/v1/chat/completions", "-H", "Content-Type: application/json", "-d"]

    def curl(**changes: Any) -> str:
        return subprocess.run([*command, json.dumps({**body, **changes})], check=True, capture_output=True, text=True).stdout

    expected = server.expected_answer(*TURNS, seed=5, max_new_tokens=20)
    assert json.loads(curl())["choices"][0]["message"]["content"] == expected
    lines = [line for line in curl(stream=True).split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == expected


OPEN_WEBUI_HEADERS = {
    "Authorization": "Bearer none",
    "Content-Type": "application/json",
    "X-OpenWebUI-User-Name": "Ada",
    "X-OpenWebUI-User-Id": "0b7e1a52",
    "X-OpenWebUI-User-Email": "ada@example.com",
    "X-OpenWebUI-User-Role": "admin",
    "X-OpenWebUI-Chat-Id": "f2c0",
}
OPEN_WEBUI_CHAT: dict[str, Any] = {
    "stream": True,
    "model": "small",
    "messages": [{"role": "user", "content": "Who are you?"}],
    "stream_options": {"include_usage": True},
}
OPEN_WEBUI_TITLE: dict[str, Any] = {
    "model": "small",
    "messages": [{"role": "user", "content": "### Task:\nGenerate a title"}],
    "stream": False,
    "max_tokens": 1000,
}


def test_the_requests_of_open_webui(http: httpx2.Client) -> None:
    models = http.get("/v1/models", headers=OPEN_WEBUI_HEADERS).json()
    assert [model["id"] for model in models["data"]] == ["small"]
    with http.stream("POST", "/v1/chat/completions", headers=OPEN_WEBUI_HEADERS, content=json.dumps(OPEN_WEBUI_CHAT)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["usage"]["completion_tokens"] > 0
    title = http.post("/v1/chat/completions", headers=OPEN_WEBUI_HEADERS, content=json.dumps(OPEN_WEBUI_TITLE))
    assert title.json()["choices"][0]["message"]["role"] == "assistant"
