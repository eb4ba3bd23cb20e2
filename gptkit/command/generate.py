"""The command `generate`: reads prompts from the command line, a file or standard input, and prints continuations."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TypedDict

from gptkit.command.generate_prompts import read_conversations, read_prompts
from gptkit.errors import ConfigError
from gptkit.terminal import write_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gptkit.chat_template.base import ChatTemplate
    from gptkit.command import GenerateCommand
    from gptkit.generation import Continuation, TextChunk
    from gptkit.records import Turn
    from gptkit.tokenizer.base import Tokenizer

SEPARATOR = "-" * 40
"""The line between two texts."""


class ChatArguments(TypedDict, total=False):
    """The arguments of the engine for answers in a chat."""

    prompt_ids: list[list[int]]
    end: int


def generate(settings: GenerateCommand) -> list[list[Continuation]]:
    """Print all continuations and return them by prompt.

    Raises:
        ConfigError: settings contradict each other, or a file does not exist.
        DataError: a line of the file of prompts cannot be used, or a prompt is longer than the context.
        CheckpointError: the checkpoint cannot be read.
    """
    if not all(settings.stop):
        raise ConfigError("stop holds an empty text, which would end every continuation before it begins")
    if settings.best_of and settings.reward is None:
        raise ConfigError(
            f"best_of={settings.best_of} needs a reward: set reward=, "
            "such as reward=model reward.checkpoint=<run of objective=reward>, or reward=lexicon"
        )
    if settings.reward is not None and not settings.best_of:
        raise ConfigError(f"reward={settings.reward.name} is only used by best_of; add best_of=4, or remove reward")
    if settings.best_of > 1 and settings.temperature == 0:
        raise ConfigError(
            f"best_of={settings.best_of} chooses among texts that are all the same at temperature=0; set it above 0, or remove "
            "best_of"
        )
    if settings.best_of and settings.stream:
        raise ConfigError(
            "best_of and stream=true contradict each other: the best text is known only after all are generated; remove one"
        )
    conversations = read_conversations(settings) if settings.chat else None
    prompts = read_prompts(settings) if conversations is None else [""] * len(conversations)

    from gptkit.command.text_model import load_text_model
    from gptkit.generation.engine import stream

    loaded = load_text_model(settings.checkpoint)
    chat: ChatArguments = {}
    if conversations is not None:
        template = _chat_template(settings, loaded.run, loaded.tokenizer)
        chat = {"prompt_ids": [template.prompt_ids(turns) for turns in conversations], "end": template.end}
    model, tokenizer, device = loaded.prepare(settings.precision), loaded.tokenizer, loaded.device
    is_single = len(prompts) * settings.samples == 1
    prints_live = (
        not settings.best_of
        and settings.format == "text"
        and (is_single and sys.stdout.isatty() if settings.stream is None else settings.stream)
    )
    texts: Iterator[Continuation]
    if settings.reward is not None:
        from gptkit.command.best_of import best_of
        from gptkit.training.checkpoints.load import load_objective

        judge = settings.reward.build(load=load_objective)
        judge.to(device)
        texts = best_of(settings, model, tokenizer, prompts, judge, conversations, **chat)
    else:
        chunks = stream(
            model,
            tokenizer,
            prompts,
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            stop=settings.stop,
            overflow=settings.overflow,
            samples=settings.samples,
            batch=1 if prints_live else settings.batch,  # texts that are printed live are generated one at a time
            seed=settings.seed,
            **chat,
        )
        texts = _print_live(chunks, prompts) if prints_live else _reorder(chunks, settings.samples)
    continuations: list[list[Continuation]] = [[] for _ in prompts]
    for number, text in enumerate(texts):
        continuations[number // settings.samples].append(text)
        if settings.format == "json":
            conversation = None if conversations is None else conversations[number // settings.samples]
            write_result(answer_as_json(text, conversation) + "\n")
        elif not prints_live:
            write_result((f"{SEPARATOR}\n" if number else "") + text.prompt + text.text + "\n")
    cut_lengths = [len(text.tokens) for texts in continuations for text in texts if text.finish_reason == "context"]
    if cut_lengths and settings.format == "text":
        lengths = f"{cut_lengths[0]}" if len(cut_lengths) == 1 else f"{min(cut_lengths)} to {max(cut_lengths)}"
        print(
            f"gptkit: the model's context of {model.context} tokens ended {len(cut_lengths)} of {len(prompts) * settings.samples} "
            f"continuations after {lengths} of max_new_tokens={settings.max_new_tokens}; set overflow=slide to continue",
            file=sys.stderr,
        )
    return continuations


def _print_live(chunks: Iterator[TextChunk], prompts: list[str]) -> Iterator[Continuation]:
    """Print text as it is generated. The chunks of one continuation are consecutive."""
    is_first, starts_text = True, True
    for chunk in chunks:
        if starts_text:
            write_result(("" if is_first else f"{SEPARATOR}\n") + prompts[chunk.prompt])
        is_first, starts_text = False, chunk.finished is not None
        write_result(chunk.text)
        if chunk.finished is not None:
            write_result("\n")
            yield chunk.finished


def _reorder(chunks: Iterator[TextChunk], samples: int) -> Iterator[Continuation]:
    """Yield each continuation as soon as it and all previous ones are finished."""
    waiting: dict[int, Continuation] = {}
    next_number = 0
    for chunk in chunks:
        if chunk.finished is not None:
            waiting[chunk.prompt * samples + chunk.sample] = chunk.finished
        while next_number in waiting:
            yield waiting.pop(next_number)
            next_number += 1


def _chat_template(settings: GenerateCommand, run: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate:
    """Return the template of the settings, or else that of the model.

    Raises:
        ConfigError: there is none.
    """
    from gptkit.chat_template.choice import config_of, missing_template

    config = settings.chat_template or config_of(run, tokenizer)
    if config is None:
        raise missing_template(settings.checkpoint)
    return config.build(tokenizer=tokenizer)


def answer_as_json(text: Continuation, conversation: Sequence[Turn] | None) -> str:
    """Return the JSON line of a continuation, with the messages before it if there are any."""
    from gptkit.command.best_of import ScoredContinuation

    messages = [{"role": turn.role, "content": turn.text} for turn in conversation or ()]
    content: dict[str, Any] = {
        **({"prompt": text.prompt} if conversation is None else {"messages": messages}),
        "text": text.text,
        "finish_reason": text.finish_reason,
        "tokens": len(text.tokens),
    }
    if isinstance(text, ScoredContinuation):
        content |= {"score": text.score, "scores": text.scores}
    return json.dumps(content, ensure_ascii=False)
