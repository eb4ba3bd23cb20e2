"""Requests of lm-evaluation-harness as gptkit's requests, and gptkit's answers as the responses that the harness expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.utils import normalize_gen_kwargs

from gptkit.errors import ConfigError
from gptkit.task.requests import (
    Answer,
    Generation,
    GenerationAnswer,
    LogLikelihood,
    LogLikelihoodAnswer,
    Request,
    RollingLogLikelihood,
)

MAX_NEW_TOKENS = 256
"""The number of generated tokens of a task that does not say, as for the harness's own models."""
NEUTRAL: Mapping[str, Any] = {"top_p": 1.0, "num_beams": 1, "repetition_penalty": 1.0, "num_return_sequences": 1, "min_p": 0.0}
"""Settings of generation that gptkit does not have, with the value that has no effect."""
ONLY_SAMPLED = ("top_p", "min_p", "typical_p")
"""Settings that have no effect on greedy texts."""


def to_request(instance: Instance) -> Request:
    """Return the request of an instance.

    Raises:
        ConfigError: the instance needs more than text, or a setting of generation that gptkit does not have.
    """
    arguments = instance.args
    task = f"task {instance.task_name}"
    if instance.request_type == "loglikelihood":
        if len(arguments) > 2:
            raise ConfigError(f"{task} contains images or audio; gptkit evaluates text alone")
        return LogLikelihood(*arguments)
    if instance.request_type == "loglikelihood_rolling":
        return RollingLogLikelihood(arguments[0])
    if len(arguments) > 2:
        raise ConfigError(f"{task} contains images or audio; gptkit evaluates text alone")
    return _to_generation(arguments[0], arguments[1], task)


def _to_generation(prompt: str, settings: Mapping[str, Any], task: str) -> Generation:
    normalized: dict[str, Any] = dict(normalize_gen_kwargs(dict(settings), MAX_NEW_TOKENS))
    until = normalized.pop("until", None) or []
    is_sampled, tokens = normalized.pop("do_sample"), int(normalized.pop("max_gen_toks"))
    temperature, top_k = float(normalized.pop("temperature", 1.0)), int(normalized.pop("top_k", None) or 0)
    if not is_sampled:
        temperature, top_k = 0.0, 0
        normalized = {key: value for key, value in normalized.items() if key not in ONLY_SAMPLED}
    for key, value in normalized.items():
        if key not in NEUTRAL or value != NEUTRAL[key]:
            raise ConfigError(f"{task} sets {key}={value} for generation, which gptkit does not support; remove it from the task")
    stop = (until,) if isinstance(until, str) else tuple(until)
    return Generation(prompt, tokens, tuple(text for text in stop if text), temperature, top_k)


def to_response(request: Request, answer: Answer) -> Any:
    """Return an answer as `LM.loglikelihood`, `LM.loglikelihood_rolling` or `LM.generate_until` return it for one request."""
    if isinstance(answer, GenerationAnswer):
        return answer.text
    assert isinstance(answer, LogLikelihoodAnswer)
    return answer.total if isinstance(request, RollingLogLikelihood) else (answer.total, answer.is_greedy)
