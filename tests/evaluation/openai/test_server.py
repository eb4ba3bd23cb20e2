"""The address and the model of a server, and the tokens that servers echo."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gptkit.errors import ConfigError, GptkitError
from gptkit.evaluation.config import OpenAIConfig
from gptkit.evaluation.openai.echo import Echo
from gptkit.evaluation.openai.server import connect
from tests.openai_server import OpenAIServer, serve
from tests.small_models import TOKENIZER, random_model


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with serve(random_model(), TOKENIZER) as running:
        yield running


def test_the_only_model_is_the_default(server: OpenAIServer) -> None:
    connected = connect(f"openai:{server.url}/", OpenAIConfig())
    assert (connected.model, connected.context, connected.url) == ("small", 24, server.url)
    assert connect(f"openai:{server.url}", OpenAIConfig(context=16)).context == 16


def test_model_has_to_be_chosen_and_known(server: OpenAIServer) -> None:
    with pytest.raises(ConfigError, match=r"has no model 'smal'. Did you mean small\? It serves small"):
        connect(f"openai:{server.url}", OpenAIConfig(model="smal"))
    server.models.append({**server.models[0], "id": "large"})
    with pytest.raises(ConfigError, match=r"serves several models; choose one with openai.model: small, large"):
        connect(f"openai:{server.url}", OpenAIConfig())
    assert connect(f"openai:{server.url}", OpenAIConfig(model="large")).model == "large"
    server.models.clear()
    with pytest.raises(ConfigError, match="serves no model"):
        connect(f"openai:{server.url}", OpenAIConfig())


def test_server_without_a_list_of_models(server: OpenAIServer) -> None:
    server.failures = [lambda handler, body: handler.refuse(404, "not found")]
    with pytest.raises(ConfigError, match=r"does not list its models; set openai.model"):
        connect(f"openai:{server.url}", OpenAIConfig())
    assert connect(f"openai:{server.url}", OpenAIConfig(model="x")).model == "x"


def test_server_that_is_not_there_or_is_another_one(server: OpenAIServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"openai:http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(GptkitError, match="the server cannot be reached") as caught:
            connect(address, OpenAIConfig(retries=0))
    assert "\n" not in str(caught.value)
    server.failures = [lambda handler, body: handler.refuse(401, "no")]
    with pytest.raises(GptkitError, match=r"refuses the key \(401\)"):
        connect(f"openai:{server.url}", OpenAIConfig())
    server.failures = [lambda handler, body: handler.reply(200, "<html>welcome</html>")]
    with pytest.raises(GptkitError, match="is not an OpenAI-compatible server; the address usually ends with /v1"):
        connect(f"openai:{server.url}", OpenAIConfig())


@pytest.mark.parametrize("address", ["", "localhost:8000", "ftp://a/v1", "http://"])
def test_address_is_invalid(address: str) -> None:
    with pytest.raises(ConfigError, match="needs an address, such as checkpoint=openai:http://localhost:8000/v1"):
        connect(f"openai:{address}", OpenAIConfig())


@pytest.mark.parametrize("address", ["http://user:secret@a/v1", "http://a/v1?key=secret"])
def test_secrets_do_not_belong_to_the_address(address: str) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as caught:
        connect(f"openai:{address}", OpenAIConfig())
    assert "secret" not in str(caught.value)


def echo(*tokens: str, offsets: list[int] | None = None, top: list[dict[str, float]] | None = None, asked: int = 1) -> Echo:
    places = offsets or [sum(map(len, tokens[:place])) for place in range(len(tokens))]
    tops = top or [{token: -1.0} for token in tokens]
    return Echo(tokens, [None, *[-1.0] * (len(tokens) - 1)], places, [None, *tops[1:]], asked)


@pytest.mark.parametrize(
    ("tokens", "scored", "expected"),
    [
        (["ab", " cd", " ef"], 3, [" ef"]),
        (["ab", " cd", " ef", " gh"], 3, [" ef"]),  # the last token was generated
        (["ab", " c", "d", " e", "f"], 3, [" e", "f"]),
        (["ab", " cd e", "f"], 3, ["f"]),  # a token over the boundary belongs to the context
        (["ab", " cd ef"], 3, [" cd ef"]),  # at least one token is scored
        (["<s>", "ab", " cd", " ef"], 3, [" ef"]),
        (["<s>", "ab", " cd", " ef", " gh"], 3, [" ef"]),
    ],
)
def test_continuation_begins_at_the_boundary(tokens: list[str], scored: int, expected: list[str]) -> None:
    assert list(tokens[echo(*tokens).scored_by_text("ab cd ef", scored)]) == expected


def test_prefix_that_offsets_do_not_count() -> None:
    shown = echo("<s>", "ab", " cd", " ef", offsets=[0, 0, 2, 5])
    assert shown.scored_by_text("ab cd ef", 3) == slice(3, 4)


def test_greedy_with_excluded_words_needs_the_token_among_the_most_probable_ones() -> None:
    top = {" the": -0.5, " a": -0.7, " cat": -1.0, " dog": -3.0}

    def is_greedy(token: str, log_prob: float, asked: int) -> tuple[bool, bool | None]:
        tops = {**dict(list(top.items())[:asked]), token: log_prob}
        answer = Echo(["x", token], [None, log_prob], [0, 1], [None, tops], asked).answer(slice(1, 2), {" the", " a"}, "server")
        return answer.is_greedy, answer.is_greedy_filtered

    assert is_greedy(" cat", -1.0, 4) == (False, True)
    assert is_greedy(" dog", -3.0, 4) == (False, False)
    assert is_greedy(" the", -0.5, 4) == (True, False)
    assert is_greedy(" cat", -1.0, 3) == (False, True)
    assert is_greedy(" dog", -3.0, 2) == (False, False)  # tokens between the second and this one are unknown


@pytest.mark.parametrize(
    ("log_prob", "top", "problem"),
    [(float("nan"), {"b": -1.0}, "not finite"), (-1.0, None, r"\(top_logprobs\) are missing")],
)
def test_answers_without_what_is_needed(log_prob: float, top: dict[str, float] | None, problem: str) -> None:
    with pytest.raises(GptkitError, match=problem):
        Echo(["a", "b"], [None, log_prob], [0, 1], [None, top]).answer(slice(1, 2), (), "server")
