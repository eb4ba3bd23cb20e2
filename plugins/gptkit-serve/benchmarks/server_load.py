"""Requests from many clients at random times, and the check that every client got its own answer: that of `gptkit generate`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openai

from gptkit.chat_template import ChatMLConfig
from gptkit.generation import generate
from gptkit.model.base import Model
from gptkit.records import Turn
from gptkit.tokenizer.base import Tokenizer

BEGINNINGS = (
    "",
    "You are a cat. Answer every question of the dog as a cat would, in one sentence, and never mention the mat. ",
    "Once upon a time there was a mat, and on this mat there sat a cat, which told stories. ",
)
"""Prompts with the same beginning share the state of its whole chunks of 64 tokens."""


CHATS = 0.5
"""The share of requests that are chats."""


@dataclass(frozen=True)
class LoadRequest:
    """A request that no other one equals."""

    prompt: str
    seed: int
    max_tokens: int
    temperature: float
    top_p: float
    stream: bool
    is_chat: bool
    """Whether the prompt is a message of a user."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of sampling that `gptkit generate` and the API have in common."""
        return {"seed": self.seed, "temperature": self.temperature, "top_p": self.top_p}


@dataclass(frozen=True)
class LoadAnswer:
    """The answer to a request."""

    id: str
    text: str
    finish_reason: str


def make_requests(count: int, *, max_tokens: int = 24, seed: int = 0) -> list[LoadRequest]:
    """Return requests of different lengths, with and without a stream, of which many begin alike."""
    draw = random.Random(seed)
    return [
        LoadRequest(
            prompt=f"{draw.choice(BEGINNINGS)}Question {number}: {'why ' * draw.randrange(12)}",
            seed=draw.randrange(2**31),
            max_tokens=draw.randrange(1, max_tokens + 1),
            temperature=draw.choice((0.0, 0.7, 1.0)),
            top_p=draw.choice((0.9, 1.0)),
            stream=draw.random() < 0.5,
            is_chat=draw.random() < CHATS,
        )
        for number in range(count)
    ]


async def send(
    url: str, model: str, requests: Sequence[LoadRequest], *, clients: int, mean_pause: float, seed: int = 0
) -> list[LoadAnswer]:
    """Send requests from clients that pause for random times, without retries, and return the answers in the order of requests."""
    answers: dict[int, LoadAnswer] = {}

    async def run_client(number: int) -> None:
        draw = random.Random(f"{seed} {number}")
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=600) as client:
            for index in range(number, len(requests), clients):
                await asyncio.sleep(draw.expovariate(1 / mean_pause))
                answers[index] = await _ask(client, model, requests[index])

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(run_client(number))
    return [answers[index] for index in range(len(requests))]


async def _ask(client: openai.AsyncOpenAI, model: str, request: LoadRequest) -> LoadAnswer:
    settings: dict[str, Any] = {"model": model, "max_tokens": request.max_tokens, **request.settings}
    create: Any = client.chat.completions.create if request.is_chat else client.completions.create
    if request.is_chat:
        settings["messages"] = [{"role": "user", "content": request.prompt}]
    else:
        settings["prompt"] = request.prompt
    if not request.stream:
        response = await create(**settings)
        choice = response.choices[0]
        return LoadAnswer(response.id, choice.message.content if request.is_chat else choice.text, choice.finish_reason)
    text, ids, reason = "", set(), ""
    async for chunk in await create(**settings, stream=True):
        ids.add(chunk.id)
        for choice in chunk.choices:
            text += (choice.delta.content or "") if request.is_chat else choice.text
            reason = choice.finish_reason or reason
    (id,) = ids  # all chunks of a stream have the same id
    return LoadAnswer(id, text, reason)


def count_differences(
    model: Model, tokenizer: Tokenizer, requests: Sequence[LoadRequest], answers: Sequence[LoadAnswer]
) -> tuple[int, int]:
    """Compare answers with the texts of `gptkit.generate`, each generated alone. Chats use ChatML.

    Returns:
        The number of answers that differ, and the number of those that are the answers to other requests.
    """
    template = ChatMLConfig().build(tokenizer=tokenizer)
    expected = []
    for request in requests:
        chat = {"prompt_ids": [template.prompt_ids([Turn("user", request.prompt)])], "end": template.end} if request.is_chat else {}
        settings: dict[str, Any] = {"max_new_tokens": request.max_tokens, **request.settings, **chat}
        expected.append(generate(model, tokenizer, [request.prompt], **settings)[0][0].text)
    different = [index for index, answer in enumerate(answers) if answer.text != expected[index]]
    return len(different), sum(answers[index].text in expected for index in different)
