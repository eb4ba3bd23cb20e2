"""Keys, limits, clients that leave, and what the server says about itself."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import httpx2
import openai
import pytest
from gptkit_serve.access import check_address, read_keys
from gptkit_serve.served_model import ServedModel
from serve_fixtures import TestServer, serving, small_model, wait_for

from gptkit.errors import ConfigError

CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
LONG: dict[str, Any] = {**CHAT, "max_tokens": 200, "seed": 0}


def slow_model() -> ServedModel:
    """A model that takes its time: a text of 200 tokens takes more than four seconds."""
    served = small_model()
    served.model.register_forward_pre_hook(lambda *_: time.sleep(0.02))
    return served


def open_request(running: TestServer, body: dict[str, Any]) -> socket.socket:
    """Send a request, and return the connection."""
    content = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", running.port))
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return connection


def metric(http: httpx2.Client, name: str) -> float:
    lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith(name + " ")]
    return float(lines[0].split()[1])


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_makes_room(stream: bool) -> None:
    with serving(slow_model(), batch=1, queue=0) as running, httpx2.Client(base_url=running.url, timeout=60) as http:
        connection = open_request(running, {**LONG, "stream": stream})
        wait_for(lambda: running.texts == 1)
        refused = http.post("/v1/chat/completions", json=CHAT)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert refused.json()["error"]["code"] == "server_overloaded"
        connection.close()
        running.wait_until_idle()
        assert http.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert metric(http, "gptkit_generated_tokens_total") == 2  # the text of the first client was not completed


def test_a_client_that_hangs_does_not_stop_others() -> None:
    with serving(slow_model(), batch=4) as running, httpx2.Client(base_url=running.url, timeout=60) as http:
        with socket.create_connection(("127.0.0.1", running.port)) as silent, open_request(running, {**LONG, "stream": True}):
            silent.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            assert http.post("/v1/chat/completions", json=CHAT).status_code == 200
        running.wait_until_idle()


def test_a_request_that_takes_too_long() -> None:
    with serving(slow_model(), timeout=0.4) as running, httpx2.Client(base_url=running.url, timeout=60) as http:
        response = http.post("/v1/chat/completions", json=LONG)
        assert response.status_code == 504
        assert response.json()["error"]["code"] == "timeout"
        running.wait_until_idle()
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
            stream = client.chat.completions.create(**LONG, stream=True)
            with pytest.raises(openai.APIError, match=r"the request took more than 0\.4 s"):
                list(stream)
        running.wait_until_idle()


def test_requests_per_minute_are_limited_for_each_key() -> None:
    with serving(keys=["one", "two"], requests_per_minute=2) as running:
        statuses = []
        for key in ("one", "one", "one", "two"):
            with httpx2.Client(base_url=running.url, headers={"Authorization": f"Bearer {key}"}) as http:
                response = http.get("/v1/models")
                statuses.append(response.status_code)
                if response.status_code == 429:
                    assert 1 <= int(response.headers["Retry-After"]) <= 60
                    assert response.json()["error"]["type"] == "rate_limit_error"
        assert statuses == [200, 200, 429, 200]


def test_simultaneous_requests_are_limited() -> None:
    with serving(slow_model(), concurrent_requests=1) as running, httpx2.Client(base_url=running.url) as http:
        connection = open_request(running, {**LONG, "stream": True})
        wait_for(lambda: running.texts == 1)
        response = http.post("/v1/chat/completions", json=CHAT)
        assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
        connection.close()
        running.wait_until_idle()
        wait_for(lambda: http.post("/v1/chat/completions", json=CHAT).status_code == 200)


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Bearer secre", "Basic secret", "secret", "Bearer s\xe9cret"])
def test_a_key_that_is_missing_or_wrong(header: str | None) -> None:
    with serving(keys=["secret"]) as running, httpx2.Client(base_url=running.url) as http:
        headers: Any = {} if header is None else {"Authorization": header.encode("latin-1")}
        for response in (http.get("/v1/models", headers=headers), http.post("/v1/chat/completions", json=CHAT, headers=headers)):
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "invalid_api_key"
            assert "secret" not in response.text
        assert http.get("/metrics", headers=headers).status_code == 401
        assert http.get("/health", headers=headers).json() == {"status": "ok"}
        assert http.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_without_a_key_other_names_of_this_machine_are_refused(http: httpx2.Client) -> None:
    assert http.get("/v1/models", headers={"Host": "localhost:1234"}).status_code == 200
    for host in ("attacker.example", "attacker.example:8000", "[", "127.0.0.1.example"):
        assert http.get("/v1/models", headers={"Host": host}).status_code == 403


def test_web_pages_of_other_origins_are_allowed_by_a_setting(http: httpx2.Client) -> None:
    headers = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in http.get("/v1/models", headers=headers).headers
    with serving(keys=["secret"], cors=["https://chat.example"]) as running, httpx2.Client(base_url=running.url) as other:
        preflight = other.options("/v1/chat/completions", headers=headers)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://chat.example"
        refused = other.get("/v1/models", headers=headers)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://chat.example"
        elsewhere = other.get("/v1/models", headers={"Origin": "https://other.example", "Authorization": "Bearer secret"})
        assert "access-control-allow-origin" not in elsewhere.headers


def test_metrics_count_requests_and_tokens() -> None:
    with serving() as running, httpx2.Client(base_url=running.url) as http:
        http.post("/v1/chat/completions", json=CHAT)
        http.post("/v1/chat/completions", json={})
        http.get("/nowhere/1")
        http.get("/nowhere/2")
        lines = http.get("/metrics").text.splitlines()
        assert 'gptkit_requests_total{path="/v1/chat/completions",status="200"} 1.0' in lines
        assert 'gptkit_requests_total{path="/v1/chat/completions",status="400"} 1.0' in lines
        assert 'gptkit_requests_total{path="other",status="404"} 2.0' in lines
        assert "gptkit_generated_tokens_total 2.0" in lines
        assert "gptkit_texts 0.0" in lines


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_other_addresses_need_a_key(host: str) -> None:
    with pytest.raises(ConfigError, match=f"host={host} lets other machines use the server, which needs a key"):
        check_address(host, [])
    check_address(host, ["secret"])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_the_addresses_of_this_machine_need_no_key(host: str) -> None:
    check_address(host, [])


def test_keys_are_read_from_a_file_or_the_environment(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPTKIT_API_KEY", raising=False)
    assert read_keys(None) == []
    monkeypatch.setenv("GPTKIT_API_KEY", "from-environment")
    assert read_keys(None) == ["from-environment"]
    file = tmp_path / "keys"
    file.write_text("# of the team\none\n\n two \n")
    assert read_keys(str(file)) == ["one", "two"]
    file.write_text("# none\n")
    with pytest.raises(ConfigError, match="there is no key in this file"):
        read_keys(str(file))
    with pytest.raises(ConfigError, match="keys="):
        read_keys(str(tmp_path / "missing"))
