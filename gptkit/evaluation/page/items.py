"""The items of an evaluation as the data of its page. The script items.js shows a few of them at a time."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from gptkit.evaluation.page.content import TEMPLATES, Evaluation, Section
from gptkit.page.html_page import fragment
from gptkit.task.choice import LENGTHS
from gptkit.task.example_task import first_highest
from gptkit.task.requests import LogLikelihoodAnswer

DIGITS = 3
"""Decimals of log-probabilities in the page; items.jsonl has all digits."""

_ITEM_KEYS = ("item", "requests", "target", "examples", "answers", "scores", "overlap")
_ANSWER_KEYS = ("log_prob", "log_probs", "tokens", "is_greedy", "is_greedy_filtered", "truncated", "text")


def items_section(evaluation: Evaluation) -> Section | None:
    """Return the list of the items; None if there are none."""
    if not evaluation.items:
        return None
    return Section("Items", fragment("items.html", templates=TEMPLATES, data=script_json(items_data(evaluation))))


def script_json(value: Any) -> Markup:
    """Return JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def items_data(evaluation: Evaluation) -> dict[str, Any]:
    """Return the items as compact plain JSON values. Every text is stored once, since items share examples and options contexts."""
    strings: dict[str, int] = {}

    def intern(text: str) -> int:
        return strings.setdefault(text, len(strings))

    separator = evaluation.protocol.get("fewshot", {}).get("separator") or "\n\n"

    def split(context: str, examples: str) -> list[int]:
        """Return the pieces of the examples and, last, the context without them."""
        if not examples or not context.startswith(examples):
            return [intern(context)]
        return [*map(intern, examples.removesuffix(separator).split(separator)), intern(context[len(examples) :])]

    items = evaluation.items
    names = list(items[0]["scores"])
    choose = _choice_rule(evaluation, names)
    rows = []
    for item in items:
        answers = item["answers"]
        first = item["requests"][0]
        examples = first.get("context", first.get("prompt", ""))[: item.get("examples", 0)]
        pieces = functools.partial(split, examples=examples)
        rows.append(
            {
                "id": item["item"],
                "target": item.get("target"),
                "scores": [_finite(item["scores"].get(name)) for name in names],
                "requests": [_request(*pair, intern, pieces) for pair in zip(item["requests"], answers, strict=False)],
                "logProb": _mean_log_prob(item.get("target"), answers),
                "chosen": None if choose is None else choose(item),
                **({"overlap": item["overlap"]} if "overlap" in item else {}),
                **({"more": more} if (more := {key: value for key, value in item.items() if key not in _ITEM_KEYS}) else {}),
            }
        )
    main = next((name for name in evaluation.results["metrics"] if name in names), names[0] if names else "")
    column = [row["scores"][names.index(main)] for row in rows] if main else []
    return {
        "scores": names,
        "main": names.index(main) if main else -1,
        "isBinary": bool(column) and all(value in (0.0, 1.0) for value in column),
        "separator": separator,
        "strings": list(strings),
        "items": rows,
    }


def _request(
    request: Mapping[str, Any], answer: Mapping[str, Any], intern: Callable[[str], int], pieces: Callable[[str], list[int]]
) -> dict[str, Any]:
    kind = request["type"]
    content: dict[str, Any] = {"type": kind}
    if kind == "loglikelihood":
        content |= {"context": pieces(request["context"]), "text": intern(request["continuation"])}
    elif kind == "rolling":
        content |= {"text": intern(request["text"])} if not answer.get("tokens") else {}
    else:
        content |= {"context": pieces(request["prompt"])}
    if "text" in answer:
        content["answer"] = intern(answer["text"])
    if "log_probs" in answer:
        content |= {
            "logProb": round(answer["log_prob"], DIGITS),
            "logProbs": [round(value, DIGITS) for value in answer["log_probs"]],
            "isGreedy": answer.get("is_greedy"),
        }
        if answer.get("tokens"):
            content["tokens"] = answer["tokens"]
    if answer.get("truncated"):
        content["truncated"] = answer["truncated"]
    more = {key: value for key, value in answer.items() if key not in _ANSWER_KEYS}
    return content | ({"more": more} if more else {})


def _mean_log_prob(target: Any, answers: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the log-probability per token of the right answer, or of everything that is scored if no request is the right one."""
    scored = [answer["log_probs"] for answer in answers if answer.get("log_probs")]
    if type(target) is int and 0 <= target < len(scored) == len(answers):
        scored = [scored[target]]
    count = sum(map(len, scored))
    return round(math.fsum(value for values in scored for value in values) / count, DIGITS) if count else None


def _choice_rule(evaluation: Evaluation, names: Sequence[str]) -> Callable[[Mapping[str, Any]], int] | None:
    """Return a function that returns the option that the model chose; None if the options cannot be told from the requests.

    The rule is known by its agreement with the accuracy of every item.
    """
    items = evaluation.items
    if "accuracy" not in names or not all(type(item.get("target")) is int and len(item["requests"]) > 1 for item in items):
        return None
    if any(request["type"] != "loglikelihood" for item in items for request in item["requests"]):
        return None
    if all("decision_value" in answer for item in items for answer in item["answers"]):
        return _highest_decision_value
    normaliser = evaluation.protocol.get("task", {}).get("normaliser")
    for rule in dict.fromkeys(name for name in (normaliser, "none", "tokens") if name in LENGTHS):

        def choose(item: Mapping[str, Any], rule: str = rule) -> int:
            return first_highest(_option_scores(item, rule))

        if all((choose(item) == item["target"]) == bool(item["scores"]["accuracy"]) for item in items):
            return choose
    return None


def _highest_decision_value(item: Mapping[str, Any]) -> int:
    """Return the option that a linear probe chose; it has no value for a class without an example."""
    values = [answer["decision_value"] for answer in item["answers"]]
    return first_highest([-math.inf if value is None else value for value in values])


def _option_scores(item: Mapping[str, Any], normaliser: str) -> list[float]:
    answers = [LogLikelihoodAnswer(tuple(answer["log_probs"]), False) for answer in item["answers"]]
    if normaliser == "answer_context":
        half = len(answers) // 2
        return [one.total - other.total for one, other in zip(answers[:half], answers[half:], strict=True)]
    options = [request["continuation"].lstrip(" ") for request in item["requests"]]
    return [answer.total / LENGTHS[normaliser](option, answer) for option, answer in zip(options, answers, strict=True)]


def _finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
