"""Evaluation of a server: answers equal those of the same model in this process."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.evaluation.config import OpenAIConfig
from gptkit.evaluation.folder import EvaluationFolder
from gptkit.evaluation.openai.answerer import OpenAIAnswerer
from gptkit.evaluation.openai.server import connect
from gptkit.evaluation.runner import Results, evaluate
from gptkit.task.base import Item
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer, Generation, LogLikelihood, LogLikelihoodAnswer, Request, RollingLogLikelihood
from gptkit.tokenizer.base import Tokenizer
from tests.evaluation.test_runner import Recorder
from tests.openai_server import Handler, OpenAIServer, serve
from tests.small_models import TOKENIZER, random_model

MODEL = random_model(context=48)
SUBJECT = Subject(MODEL, TOKENIZER)
GENERATIONS = [Generation(text, 6, stop=("q",)) for text in ("ab", "cd ef", "gh")]


class Recorded(Recorder):
    """Records answers in the order of the items."""

    def __init__(self, *requests: Request, **settings: Any) -> None:
        super().__init__(*requests)
        self.by_item: dict[int, Answer] = {}
        for name, value in settings.items():
            setattr(self, name, value)

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        self.by_item[item.target] = answers[0]
        return {"one": 1.0}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with serve(MODEL, TOKENIZER) as running:
        yield running


def answerer(
    server: OpenAIServer, tokenizer: Tokenizer | None = TOKENIZER, *, chat: bool = False, **settings: Any
) -> OpenAIAnswerer:
    config = OpenAIConfig(**({"retries": 0} | settings))
    return OpenAIAnswerer(connect(f"openai:{server.url}", config), tokenizer=tokenizer, chat=chat, generating=["arithmetic"])


def pairs(count: int = 40) -> list[LogLikelihood]:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randrange(1, 8))) for _ in range(4 * count)]
    return [LogLikelihood(" ".join(words[4 * each : 4 * each + 3]), f" {words[4 * each + 3]}") for each in range(count)]


def assert_close(one: Recorded, other: Recorded) -> None:
    assert one.by_item.keys() == other.by_item.keys()
    for place, answer in one.by_item.items():
        expected = other.by_item[place]
        if isinstance(answer, LogLikelihoodAnswer) and isinstance(expected, LogLikelihoodAnswer):
            assert answer.log_probs == pytest.approx(expected.log_probs, abs=1e-4)
            assert (answer.is_greedy, answer.is_greedy_filtered) == (expected.is_greedy, expected.is_greedy_filtered)
            assert answer.truncated == expected.truncated
        else:
            assert answer == expected


@pytest.mark.parametrize("sends_ids", [True, False])
def test_answers_equal_those_of_the_model_in_this_process(server: OpenAIServer, sends_ids: bool) -> None:
    requests: list[Request] = [*pairs(), *GENERATIONS, LogLikelihood("ab", "x")]
    settings: dict[str, Any] = {"boundary": "joint", "prefix": "empty"}
    local, remote = Recorded(*requests, **settings), Recorded(*requests, **settings)
    evaluate(local, SUBJECT)
    evaluate(remote, answerer(server, TOKENIZER if sends_ids else None))
    assert_close(remote, local)
    assert {isinstance(request["prompt"], str) for request in server.requests} == {not sends_ids}


def test_token_ids_keep_boundary_prefix_windows_and_excluded_words(server: OpenAIServer) -> None:
    greedy = Recorded(Generation("ab cd", 1))
    evaluate(greedy, SUBJECT)
    best = getattr(greedy.by_item[0], "text", "")
    requests: list[Request] = [*pairs(10), LogLikelihood("", "abc"), LogLikelihood("ab cd", best), LogLikelihood("ab cd", "e")]
    requests.append(RollingLogLikelihood("abc" * 5))
    settings: dict[str, Any] = {"boundary": "separate", "prefix": "always", "excluded_words": ["a", "the"]}
    local, remote = Recorded(*requests, **settings), Recorded(*requests, **settings)
    evaluate(local, SUBJECT)
    evaluate(remote, answerer(server))
    assert_close(remote, local)


def test_long_requests_are_truncated_on_the_left_and_counted(server: OpenAIServer) -> None:
    requests: list[Request] = [
        LogLikelihood("ab " * 40, "cd"),
        Generation("ef" * 40, 4),
        RollingLogLikelihood("abcdefgh" * 12, stride=8),
    ]
    results = evaluate(Recorded(*requests), answerer(server))
    assert results.truncated == 2
    assert all(len(request["prompt"]) + max(1, request["max_tokens"]) <= MODEL.context for request in server.requests)


def test_a_server_that_generates_at_least_one_token_gives_the_same_answers(server: OpenAIServer) -> None:
    def refuse(handler: Handler, body: Mapping[str, Any]) -> bool:
        return body.get("max_tokens") == 0 and handler.refuse(400, "max_tokens must be at least 1, got 0")

    server.failures = [refuse]
    for tokenizer in (TOKENIZER, None):
        local, remote = (Recorded(*pairs(12), boundary="joint", prefix="empty") for _ in range(2))
        evaluate(local, SUBJECT)
        evaluate(remote, answerer(server, tokenizer))
        assert_close(remote, local)


def test_sampled_texts_depend_on_the_seed_and_the_item_alone(server: OpenAIServer) -> None:
    requests = [Generation("ab", 8, temperature=1.0), Generation("ab", 8, temperature=1.0)]

    def sample(seed: int, batch: int) -> dict[int, Answer]:
        task = Recorded(*requests)
        evaluate(task, answerer(server), seed=seed, batch=batch)
        return task.by_item

    assert sample(0, 1) == sample(0, 2)
    assert sample(0, 1) != sample(1, 1)
    assert sample(0, 1)[0] != sample(0, 1)[1]


def test_chat_generates_and_gives_no_log_probabilities(server: OpenAIServer) -> None:
    def refuse_old(handler: Handler, body: Mapping[str, Any]) -> bool:
        return "max_tokens" in body and handler.refuse(400, "Unsupported parameter: use 'max_completion_tokens' instead.")

    local, remote = Recorded(*GENERATIONS), Recorded(*GENERATIONS)
    evaluate(local, SUBJECT)
    server.failures = [refuse_old]
    evaluate(remote, answerer(server, None, chat=True))
    assert remote.by_item == local.by_item
    with pytest.raises(ConfigError, match=r"a chat gives no log-probabilities of a given text.*text do not: arithmetic"):
        evaluate(Recorded(*pairs(1)), answerer(server, chat=True))


@pytest.mark.parametrize("batch", [1, 3])
def test_limited_number_of_requests_at_a_time_and_results_in_order(server: OpenAIServer, batch: int) -> None:
    barrier = threading.Barrier(batch)

    def wait(handler: Handler, body: Mapping[str, Any]) -> bool:
        barrier.wait(timeout=20)  # passes only if so many requests are in flight
        return False

    answers = answerer(server)
    server.failures = [wait]
    task = Recorded(*pairs(12))
    groups = list(answers.answer(task, task.items(), batch=batch))
    assert [position for group in groups for position, _ in group] == list(range(12))
    assert server.most_in_flight == batch


def test_errors_of_the_server_are_retried(server: OpenAIServer) -> None:
    left = [500, 429, 503]

    def fail(handler: Handler, body: Mapping[str, Any]) -> bool:
        return bool(body and left) and handler.refuse(left.pop(), "busy")

    server.failures = [fail]
    local, remote = Recorded(*pairs(4)), Recorded(*pairs(4))
    evaluate(local, SUBJECT)
    evaluate(remote, answerer(server, retries=3), batch=1)
    assert_close(remote, local)
    assert not left


def hang_up(handler: Handler, body: Mapping[str, Any]) -> bool:
    handler.close_connection = True
    return True


def test_items_before_a_failure_are_kept_and_the_evaluation_continues(server: OpenAIServer, tmp_path: Any) -> None:
    expected = Recorded(*pairs(12))
    complete = evaluate(expected, SUBJECT)
    bad = TOKENIZER.encode(expected.requests[7].continuation) if isinstance(expected.requests[7], LogLikelihood) else []

    def fail(handler: Handler, body: Mapping[str, Any]) -> bool:
        return body.get("prompt", [])[-len(bad) :] == bad and hang_up(handler, body)

    server.failures = [fail]

    def run() -> Results:
        with EvaluationFolder(str(tmp_path / "a"), {"seed": 0}) as folder:
            return evaluate(Recorded(*pairs(12)), answerer(server), store=folder, batch=2)

    with pytest.raises(GptkitError, match=r"cannot be reached .*; start it, or correct the address"):
        run()
    assert len((tmp_path / "a" / "items.jsonl").read_text().splitlines()) >= 7
    server.failures.clear()
    asked = len(server.requests)
    assert run().metrics == complete.metrics
    assert len(server.requests) - asked <= 5
    lines = (tmp_path / "a" / "items.jsonl").read_text().splitlines()
    assert sorted(int(re.findall(r'"item": "(\d+)', line)[0]) for line in lines) == list(range(12))


@pytest.mark.parametrize("behaviour", ["no log-probabilities", "only those of the generated token", "refusal"])
@pytest.mark.parametrize("sends_ids", [True, False])
def test_server_without_echo(server: OpenAIServer, behaviour: str, sends_ids: bool) -> None:
    def answer(handler: Handler, body: Mapping[str, Any]) -> bool:
        if not body:
            return False
        if behaviour == "refusal":
            return handler.refuse(400, "Setting 'echo' and 'logprobs' at the same time is not supported for this model.")
        only = {"tokens": ["x"], "token_logprobs": [-1.0], "top_logprobs": [{"x": -1.0}], "text_offset": [0]}
        choice = {
            "index": 0,
            "text": "x",
            "logprobs": only if behaviour.startswith("only") else None,
            "finish_reason": "length",
        }
        return handler.reply(200, {"id": "1", "object": "text_completion", "created": 1, "model": "small", "choices": [choice]})

    server.failures = [answer]
    message = "does not echo the log-probabilities of a prompt.*tasks that generate text do not: arithmetic"
    with pytest.raises(GptkitError, match=message):
        evaluate(Recorded(*pairs(3)), answerer(server, TOKENIZER if sends_ids else None))


@pytest.mark.parametrize(
    ("status", "message", "problem"),
    [
        (401, "Incorrect API key", r"refuses the key \(401\); set the environment variable OPENAI_API_KEY"),
        (404, "The model does not exist", "has no model 'small', or no such endpoint"),
        (500, "out of memory", r"status 500 after 0 retries \(out of memory\)"),
        (400, "This model's maximum context length is 48 tokens", "does not fit the context of the model .*smaller fewshot.k"),
        (400, "temperature is not supported", r"status 400 \(temperature is not supported\)"),
    ],
)
def test_errors_are_one_line(server: OpenAIServer, status: int, message: str, problem: str) -> None:
    server.failures = [lambda handler, body: bool(body) and handler.refuse(status, message)]
    with pytest.raises(GptkitError, match=problem) as caught:
        evaluate(Recorded(*GENERATIONS), answerer(server))
    assert "\n" not in str(caught.value)


# a connection that is made at the moment of the time-out is lost in anyio, and closed only when garbage is collected
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_time_out_and_answers_in_another_format(server: OpenAIServer) -> None:
    released = threading.Event()
    server.failures = [lambda handler, body: bool(body) and released.wait(20) and hang_up(handler, body)]
    with pytest.raises(GptkitError, match=r"no answer within openai.timeout=0.2 seconds"):
        evaluate(Recorded(*GENERATIONS), answerer(server, timeout=0.2))
    released.set()
    server.failures = [lambda handler, body: bool(body) and handler.reply(200, {"choices": []})]
    with pytest.raises(GptkitError, match="not in the format of OpenAI's API"):
        evaluate(Recorded(*GENERATIONS), answerer(server))
    server.failures = [lambda handler, body: bool(body) and handler.reply(200, "<html>welcome</html>")]
    with pytest.raises(GptkitError, match="not in the format of OpenAI's API"):
        evaluate(Recorded(*GENERATIONS), answerer(server))


def test_requests_that_a_server_cannot_answer(server: OpenAIServer) -> None:
    with pytest.raises(ConfigError, match=r"no beam search; set task.beams=1"):
        evaluate(Recorded(Generation("a", 2, beams=4)), answerer(server))
    with pytest.raises(ConfigError, match=r"scores whole texts in windows .* set openai.tokenizer"):
        evaluate(Recorded(RollingLogLikelihood("abc")), answerer(server, None))
    with pytest.raises(GptkitError, match=r"no log-probability of the first token of a text; set openai.tokenizer"):
        evaluate(Recorded(LogLikelihood("", "abc")), answerer(server, None))
    with pytest.raises(DataError, match="the continuation of 'abc' is empty"):
        evaluate(Recorded(LogLikelihood("abc", "")), answerer(server, None))
    server.models[0].pop("max_model_len")
    with pytest.raises(ConfigError, match=r"set openai.context=<number of tokens>"):
        evaluate(Recorded(RollingLogLikelihood("abc")), answerer(server))


def test_wrong_tokenizer_is_noticed(server: OpenAIServer) -> None:
    def answer(handler: Handler, body: Mapping[str, Any]) -> bool:
        if not body:
            return False
        return handler.reply(200, server.completion({**body, "prompt": [id_ + 1 for id_ in body["prompt"]]}))

    server.failures = [answer]
    with pytest.raises(GptkitError, match=r"openai.tokenizer is not the tokenizer of its model"):
        evaluate(Recorded(LogLikelihood("ab", " cd")), answerer(server))


def test_protocol_names_the_model_and_no_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    answers = answerer(server)
    evaluate(Recorded(*GENERATIONS), answers)
    assert server.keys == {"Bearer secret-key"}
    protocol = answers.protocol(Recorded())
    assert (protocol["model"], protocol["prompts"], protocol["context"]) == ("small", "token ids", 48)
    assert protocol["tokenizer"] == TOKENIZER.fingerprint
    assert "secret" not in str(protocol)
    assert answerer(server, None).protocol(Recorded(boundary="separate", prefix="always"))["boundary"] == "joint"
