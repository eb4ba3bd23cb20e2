"""Tasks of an event loop share one engine, which decodes in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import torch

from gptkit.attention import DenseAttentionConfig
from gptkit.generation.async_engine import AsyncEngine, EngineStoppedError
from gptkit.generation.engine import Engine, generate
from gptkit.generation.prefill import PrefixCache
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.text_sequence import TextSequence
from gptkit.model import GPTConfig
from gptkit.tokenizer.bytes import BytesTokenizer

TOKENIZER = BytesTokenizer()
CONTEXT = 256
PROMPTS = [f"{'the same beginning of all prompts ' * 3}{number} {'x' * (number % 90)}" for number in range(40)]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    part = GPTConfig(layers=2, heads=2, width=32, context=CONTEXT, dropout=0.0)
    return part.build(attention=DenseAttentionConfig(), vocabulary=TOKENIZER.size).eval()


def run(task: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(task, 120))


def engine_of(model: Any) -> Engine:
    return Engine(model, TOKENIZER, batch=6, chunked_prefill=True, prefixes=PrefixCache())


def text(number: int, tokens: int = 20) -> TextSequence:
    params = SamplingParams(tokens, temperature=1.0, seed=number)
    return TextSequence(TOKENIZER, TOKENIZER.encode(PROMPTS[number]), params, context=CONTEXT, key=(0, 0), live=True)


async def ask(engine: AsyncEngine, request: TextSequence, delay: float = 0.0) -> str:
    await asyncio.sleep(delay)
    chunks = [chunk async for chunk in engine.generate(request)]
    assert chunks[-1].finished is not None
    assert "".join(chunk.text for chunk in chunks) == chunks[-1].finished.text
    return chunks[-1].finished.text


def test_every_client_gets_its_own_text(model: Any) -> None:
    async def clients() -> list[str]:
        engine = AsyncEngine(engine_of(model))
        answers = await asyncio.gather(*(ask(engine, text(number), delay=number % 7 / 100) for number in range(len(PROMPTS))))
        assert engine.texts == 0
        await engine.stop(grace=1)
        return answers

    expected = [generate(model, TOKENIZER, [prompt], max_new_tokens=20, seed=seed)[0][0] for seed, prompt in enumerate(PROMPTS)]
    assert run(clients()) == [continuation.text for continuation in expected]


def test_a_client_that_leaves_makes_room_for_others(model: Any) -> None:
    async def clients() -> str:
        engine = AsyncEngine(Engine(model, TOKENIZER, batch=1, chunked_prefill=True))
        leaving = engine.generate(text(0, tokens=100))
        await anext(leaving)
        await leaving.aclose()  # type: ignore[attr-defined]
        abandoned = asyncio.create_task(ask(engine, text(1, tokens=100)))
        await asyncio.sleep(0.05)
        abandoned.cancel()
        answer = await ask(engine, text(2))
        assert engine.texts == 0
        await engine.stop(grace=1)
        return answer

    assert run(clients()) == generate(model, TOKENIZER, [PROMPTS[2]], max_new_tokens=20, seed=2)[0][0].text


def test_a_stop_waits_for_running_texts_and_refuses_new_ones(model: Any) -> None:
    async def clients() -> str:
        engine = AsyncEngine(engine_of(model))
        answer = asyncio.create_task(ask(engine, text(3, tokens=60)))
        await asyncio.sleep(0.01)
        await engine.stop(grace=60)
        with pytest.raises(EngineStoppedError):
            await ask(engine, text(4))
        return await answer

    assert run(clients()) == generate(model, TOKENIZER, [PROMPTS[3]], max_new_tokens=60, seed=3)[0][0].text


def test_work_with_the_model_is_done_between_steps_and_its_errors_reach_the_caller(model: Any) -> None:
    async def clients() -> None:
        engine = AsyncEngine(engine_of(model))
        answer = asyncio.create_task(ask(engine, text(5)))
        assert await engine.call(lambda: model.context) == CONTEXT
        with pytest.raises(ZeroDivisionError):
            await engine.call(lambda: 1 // 0)
        await answer
        await engine.stop(grace=1)

    run(clients())


def test_an_error_of_the_engine_reaches_all_clients() -> None:
    torch.manual_seed(0)
    part = GPTConfig(layers=1, heads=2, width=16, context=CONTEXT, dropout=0.0)
    broken = part.build(attention=DenseAttentionConfig(), vocabulary=TOKENIZER.size).eval()
    broken.head = torch.nn.Linear(3, 3)  # its input has another width

    async def clients() -> None:
        engine = AsyncEngine(engine_of(broken))
        for _ in range(2):
            with pytest.raises(EngineStoppedError, match="the engine failed"):
                await ask(engine, text(0))
        assert engine.failure is not None

    run(clients())
