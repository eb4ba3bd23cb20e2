"""Texts that join and leave a batch at any step are those that they are alone."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch

from gptkit.attention import BandedAttentionConfig, DenseAttentionConfig
from gptkit.attention.base import AttentionCache
from gptkit.attention.key_value_cache import KeyValueCache
from gptkit.generation.engine import Engine
from gptkit.generation.prefill import CHUNK, Prefill, PrefixCache
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.text_sequence import TextSequence
from gptkit.model import GPTConfig, LSTMConfig
from gptkit.tokenizer.bytes import BytesTokenizer

TOKENIZER = BytesTokenizer()
CONTEXT = 320
MODELS = {
    "dense": (GPTConfig(layers=2, heads=4, width=64, context=CONTEXT, dropout=0.0), DenseAttentionConfig()),
    "banded": (GPTConfig(layers=2, heads=4, width=64, context=CONTEXT, dropout=0.0), BandedAttentionConfig(window=24)),
    "lstm": (LSTMConfig(layers=2, width=64, units=64, context=CONTEXT, dropout=0.0), DenseAttentionConfig()),
}
PARAMS = (
    SamplingParams(24, temperature=1.0, seed=3),
    SamplingParams(9, temperature=0.0),
    SamplingParams(30, temperature=0.7, top_k=5, seed=1),
    SamplingParams(17, temperature=1.3, top_p=0.8, seed=2),
    SamplingParams(40, temperature=1.0, seed=9, slides=True),
    SamplingParams(25, temperature=1.0, stop=("e",), seed=4),
)


@pytest.fixture(scope="module", params=[(name, dtype) for name in MODELS for dtype in (torch.float32, torch.bfloat16)], ids=str)
def model(request: pytest.FixtureRequest) -> Any:
    name, dtype = request.param
    settings, attention = MODELS[name]
    torch.manual_seed(3)
    model = settings.build(attention=attention, vocabulary=TOKENIZER.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)  # nearly equal logits are then as frequent as in a trained model
    return model.to(dtype).eval()


def requests() -> list[TextSequence]:
    """Prompts of up to five chunks, many of which begin alike."""
    draw = random.Random(0)
    system = "".join(draw.choices("abcdefg hijk", k=150))
    texts = []
    for number in range(30):
        beginning = system[: draw.choice([0, 64, 128, 129, 150])]
        prompt = (beginning + "".join(draw.choices("abcdefg hijk", k=draw.choice([1, 2, 3, 40, 65, 130]))))[: CONTEXT - 20]
        texts.append(
            TextSequence(
                TOKENIZER, TOKENIZER.encode(prompt), PARAMS[number % len(PARAMS)], context=CONTEXT, key=(number, 0), log_probs=2
            )
        )
    return texts


def run(engine: Engine, texts: list[TextSequence], *, arrive: random.Random | None = None) -> dict[int, Any]:
    """Return what became of each text. With `arrive`, texts are added between steps at random."""
    waiting, finished = list(texts), {}
    while waiting or not engine.is_idle:
        while waiting and (arrive is None or arrive.random() < 0.3 or engine.is_idle):
            engine.add(waiting.pop(0))
        for _, chunk in engine.step():
            if chunk.finished is not None:
                finished[chunk.prompt] = chunk.finished
    return {text.key[0]: (finished[text.key[0]], text.log_probs) for text in texts}


def alone(model: Any) -> dict[int, Any]:
    return {key: value for text in requests() for key, value in run(Engine(model, TOKENIZER, batch=1), [text]).items()}


@pytest.fixture(scope="module")
def expected(model: Any) -> dict[int, Any]:
    """The texts that `model` writes alone."""
    return alone(model)


def test_a_text_does_not_depend_on_when_others_join_and_leave(model: Any, expected: dict[int, Any]) -> None:
    assert run(Engine(model, TOKENIZER, batch=8), requests()) == expected
    chunked = Engine(model, TOKENIZER, batch=5, chunked_prefill=True)
    assert run(chunked, requests(), arrive=random.Random(1)) == expected


def test_texts_whose_prompts_begin_alike_share_the_state_of_the_beginning(model: Any, expected: dict[int, Any]) -> None:
    if not model.cache(1, 1).has_prefixes:
        pytest.skip("the state of an LSTM cannot be divided")
    prefixes = PrefixCache(tokens=8 * CHUNK)
    engine = Engine(model, TOKENIZER, batch=6, chunked_prefill=True, prefixes=prefixes)
    assert run(engine, requests(), arrive=random.Random(2)) == expected


def test_prompts_are_read_whole_if_rows_cannot_join_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    settings, attention = MODELS["dense"]
    small = settings.build(attention=attention, vocabulary=TOKENIZER.size).eval()
    expected = run(Engine(small, TOKENIZER, batch=4), requests()[:4])
    monkeypatch.setattr(KeyValueCache, "extend", AttentionCache.extend)
    engine = Engine(small, TOKENIZER, batch=2, chunked_prefill=True, prefixes=PrefixCache())
    texts = {key: finished.text for key, (finished, _) in run(engine, requests()[:4]).items()}
    assert texts == {key: finished.text for key, (finished, _) in expected.items()}


def test_only_the_rest_of_a_prompt_is_read_after_a_known_beginning() -> None:
    torch.manual_seed(0)
    settings, attention = MODELS["dense"]
    small = settings.build(attention=attention, vocabulary=TOKENIZER.size).eval()
    prefixes = PrefixCache(tokens=3 * CHUNK)
    beginning = list(range(CHUNK))

    def read(prompt: list[int]) -> int:
        prefill = Prefill(small, [prompt], prefixes=prefixes)
        known = prefill.read
        while not prefill.is_done:
            prefill.step()
        return known

    assert read([*beginning, *[1] * (CHUNK + 5)]) == 0
    assert read([*beginning, *[1] * (CHUNK + 9)]) == 2 * CHUNK
    assert read([*beginning, 2]) == CHUNK
    assert read(beginning) == 0, "the last token is always read"
    assert read([*[9] * (2 * CHUNK), 1]) == 0
    assert read([*beginning, *[1] * (CHUNK + 5)]) == 0, "the oldest states are forgotten"


def test_a_long_prompt_is_read_a_part_at_a_time_between_the_tokens_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step reads for as long as it decodes. With a clock that advances by one second per call, that is one layer of a chunk."""
    torch.manual_seed(0)
    settings, attention = MODELS["dense"]
    small = settings.build(attention=attention, vocabulary=TOKENIZER.size).eval()
    monkeypatch.setattr("gptkit.generation.continuous_batch.perf_counter", itertools.count().__next__)
    engine = Engine(small, TOKENIZER, batch=4, chunked_prefill=True)
    short = TextSequence(TOKENIZER, [1], SamplingParams(50, seed=0), context=CONTEXT, key=(0, 0), live=True)
    engine.add(short)
    engine.step()
    long = TextSequence(TOKENIZER, [2] * 4 * CHUNK, SamplingParams(5, seed=0), context=CONTEXT, key=(1, 0))
    engine.add(long)
    for step in range(4 * settings.layers):
        assert len(long.ids) == 0
        engine.step()
        assert len(short.ids) == step + 2
    assert len(long.ids) == 1


def test_parts_of_a_forward_pass_compute_the_same_numbers(model: Any) -> None:
    prompt = TOKENIZER.encode("a prompt of more than one chunk " * 5)
    at_once, in_parts = Prefill(model, [prompt]), Prefill(model, [prompt])
    while not at_once.is_done:
        at_once.step()
    while not in_parts.is_done:
        in_parts.step_part()
    assert torch.equal(at_once.hidden, in_parts.hidden)


def test_a_cancelled_text_leaves_and_the_others_are_as_before() -> None:
    torch.manual_seed(0)
    settings, attention = MODELS["dense"]
    small = settings.build(attention=attention, vocabulary=TOKENIZER.size).eval()
    expected = alone(small)
    texts = requests()
    engine = Engine(small, TOKENIZER, batch=6, chunked_prefill=True)
    for text in texts:
        engine.add(text)
    finished: dict[int, Any] = {}
    cancelled = {3, 4, 12, 29}
    for step in range(10_000):
        if engine.is_idle:
            break
        for _, chunk in engine.step():
            if chunk.finished is not None:
                finished[chunk.prompt] = chunk.finished
        if step == 2:
            for number in cancelled:
                engine.cancel(texts[number])
    assert finished == {number: continuation for number, (continuation, _) in expected.items() if number not in cancelled}
    assert engine.running == engine.waiting == 0


def test_log_probabilities_are_those_of_the_model() -> None:
    torch.manual_seed(0)
    settings, attention = MODELS["dense"]
    small = settings.build(attention=attention, vocabulary=TOKENIZER.size).double().eval()
    text = TextSequence(TOKENIZER, [5, 6, 7], SamplingParams(6, seed=0), context=CONTEXT, key=(0, 0), log_probs=3)
    run(Engine(small, TOKENIZER, batch=1), [text])
    ids = [5, 6, 7, *text.ids]
    with torch.no_grad():
        expected = small.logits(small(torch.tensor([ids]))).log_softmax(-1)[0]
    assert [entry.token for entry in text.log_probs] == text.ids
    for place, entry in enumerate(text.log_probs):
        top, best = expected[2 + place].topk(3)
        assert entry.log_prob == pytest.approx(float(expected[2 + place, entry.token]), abs=1e-5)
        assert [token for token, _ in entry.top] == best.tolist()
        assert [value for _, value in entry.top] == pytest.approx(top.tolist(), abs=1e-5)
