"""Requests of items as requests to an OpenAI-compatible server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import openai

from gptkit.errors import GptkitError
from gptkit.evaluation.openai.echo import Echo, read_echo
from gptkit.evaluation.openai.server import Server, server_message
from gptkit.records import Turn
from gptkit.task.requests import ChatGeneration, Generation

Prompt = str | list[int]


@dataclass(frozen=True)
class Window:
    """A prompt of which the end is scored."""

    prompt: Prompt
    scored: int
    """Tokens of token ids, characters of a text."""


class Requests:
    """Sends requests, and learns what the server refuses."""

    def __init__(self, server: Server, client: openai.AsyncOpenAI, needs_echo: str) -> None:
        """
        Args:
            server: the server and its model.
            client: the client, which retries and gives up requests.
            needs_echo: the message if the server does not echo log-probabilities.
        """
        self._server, self._client, self._needs_echo = server, client, needs_echo
        self._echo_tokens = 0
        """The tokens to generate after an echo: some servers refuse 0."""
        self._chat_limit = "max_tokens"
        """The key of the length of a chat answer: new models of OpenAI refuse the old one."""

    async def echo(self, prompt: Prompt, top: int, where: str) -> Echo:
        """Return the tokens of a prompt with their log-probabilities, and those of the `top` most probable tokens.

        Raises:
            GptkitError: the server does not echo prompts, or does not answer.
        """
        with self._server.explain_errors(where):
            generated = self._echo_tokens
            try:
                response = await self._send_echo(prompt, top, generated)
            except openai.BadRequestError as error:
                message = server_message(error)
                if "echo" in message or "logprobs" in message:
                    raise GptkitError(f"{self._needs_echo} ({message})") from error
                if generated or "max_tokens" not in message:
                    raise
                self._echo_tokens = 1
                response = await self._send_echo(prompt, top, 1)
        echo = read_echo(first_choice(response, self._server.source), top, 0 if isinstance(prompt, str) else len(prompt))
        if echo is None or (isinstance(prompt, str) and not is_prompt(echo, prompt)):
            raise GptkitError(self._needs_echo)
        return echo

    async def _send_echo(self, prompt: Prompt, top: int, generated: int) -> Any:
        create: Any = self._client.completions.create
        return await create(model=self._server.model, prompt=prompt, echo=True, logprobs=top, max_tokens=generated, temperature=0)

    async def complete(self, prompt: Prompt, request: Generation, seed: int | None, where: str) -> str:
        """Return the text that follows a prompt.

        Args:
            prompt: the prompt.
            request: the length and the sampling.
            seed: seed of a sampled text; None: greedy.
            where: the item, for messages.
        """
        create: Any = self._client.completions.create
        with self._server.explain_errors(where):
            response = await create(
                model=self._server.model, prompt=prompt, max_tokens=request.max_new_tokens, **sampling(request, seed)
            )
        return first_choice(response, self._server.source).text or ""

    async def chat(self, prompt: Sequence[Turn], request: Generation, seed: int | None, where: str) -> str:
        """Return the reply to messages, the last one a user's; see `complete`."""
        create: Any = self._client.chat.completions.create
        system = request.system if isinstance(request, ChatGeneration) else ""
        messages = [{"role": "system", "content": system}] if system else []
        messages += [{"role": turn.role, "content": turn.text} for turn in prompt]
        settings = {"model": self._server.model, "messages": messages, **sampling(request, seed)}
        with self._server.explain_errors(where):
            limit = self._chat_limit
            try:
                response = await create(**settings, **{limit: request.max_new_tokens})
            except openai.BadRequestError as error:
                if limit != "max_tokens" or "max_completion_tokens" not in server_message(error):
                    raise
                self._chat_limit = "max_completion_tokens"
                response = await create(**settings, **{self._chat_limit: request.max_new_tokens})
        return first_choice(response, self._server.source).message.content or ""


def first_choice(response: Any, source: str) -> Any:
    """Return the only choice of a response.

    Raises:
        GptkitError: the response has none.
    """
    choices = getattr(response, "choices", None)
    if not choices:
        raise GptkitError(f"{source}: an answer of the server is not in the format of OpenAI's API")
    return choices[0]


def is_prompt(echo: Echo, text: str) -> bool:
    """Return whether an echo begins with a text, after a token that the server may put before it."""
    shown = text.encode().decode("ascii", "ignore")[:40]
    joined = "".join(echo.tokens).encode().decode("ascii", "ignore")
    return "".join(shown.split()) in "".join(joined.replace("Ġ", "").replace("▁", "").split())


def sampling(request: Generation, seed: int | None) -> Mapping[str, Any]:
    """Return the settings of sampling. OpenAI's API has no `top_k`, but many servers do."""
    settings: dict[str, Any] = {"temperature": request.temperature}
    if request.stop:
        settings["stop"] = list(request.stop)
    if seed is not None:
        settings["seed"] = seed
    if request.top_k:
        settings["extra_body"] = {"top_k": request.top_k}
    return settings


def request_seed(seed: int, position: int, number: int) -> int:
    """Return the seed of a sampled text: a function of the seed, the item and the number of the request."""
    digest = hashlib.sha256(f"{seed} {position} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def cut_at_stop(text: str, request: Generation) -> str:
    """Return the text before the first stop string; most servers have cut it already."""
    ends = [text.find(stop) for stop in request.stop if stop in text]
    return text[: min(ends)] if ends else text
