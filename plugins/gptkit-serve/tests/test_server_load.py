"""Many clients at random times: every client gets the answer that `gptkit generate` gives alone, and a replay gives it again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import server_load
from gptkit_serve.environment import current_environment
from gptkit_serve.receipt_writer import ReceiptWriter
from gptkit_serve.receipts import CANCELLED, Origin, read_receipts
from gptkit_serve.replay import compare
from serve_fixtures import serving, small_model, wait_for

from gptkit.evaluation.model_answerer import weights_fingerprint

SERVED = small_model()


def writer(path: Path) -> ReceiptWriter:
    weights, environment = weights_fingerprint(SERVED.model), current_environment(SERVED.model)
    origin = Origin(checkpoint=SERVED.source, weights=weights, tokenizer=SERVED.tokenizer.fingerprint, environment=environment)
    return ReceiptWriter(path, origin)


def test_no_answer_is_lost_crossed_or_different(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    requests = server_load.make_requests(60)
    with serving(SERVED, receipts=writer(path), batch=5) as server:
        answers = asyncio.run(server_load.send(server.url, "small", requests, clients=8, mean_pause=0.01))
    assert len(answers) == len({answer.id for answer in answers}) == 60
    assert server_load.count_differences(SERVED.model, SERVED.tokenizer, requests, answers) == (0, 0)
    for answer, request in list(zip(answers, requests, strict=True))[::10]:
        (receipt,) = read_receipts(path, answer.id)
        assert receipt.sampling.seed == request.seed
        assert compare(SERVED.model, SERVED.tokenizer, receipt).is_same


def test_an_answer_without_a_seed_can_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    messages = [{"role": "user", "content": "Who are you?"}]
    with serving(SERVED, receipts=writer(path)) as server:
        body = {"model": "small", "messages": messages, "max_tokens": 20, "n": 2, "stop": ["e"]}
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()
    receipts = read_receipts(path, answer["id"])
    assert [receipt.sample for receipt in receipts] == [0, 1]
    for receipt, choice in zip(receipts, answer["choices"], strict=True):
        comparison = compare(SERVED.model, SERVED.tokenizer, receipt)
        assert comparison.is_same
        assert choice["message"]["content"] == comparison.text.partition("e")[0]


def test_an_answer_whose_client_left_has_a_receipt(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "temperature": 0}
    with serving(SERVED, receipts=writer(path)) as server:
        with httpx2.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as response:
            first = next(response.iter_text())
        server.wait_until_idle()
        wait_for(lambda: path.stat().st_size)
    id = first.partition('"id":"')[2].partition('"')[0]
    (receipt,) = read_receipts(path, id)
    assert receipt.finish_reason == CANCELLED
    assert compare(SERVED.model, SERVED.tokenizer, receipt).is_same
