"""The protocol of an evaluation on its page: in words, and every key in a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gptkit.evaluation.page.content import TEMPLATES, Evaluation, Section
from gptkit.page.html_page import fragment

BOUNDARIES = {
    "joint": "Context and continuation are encoded as one text, which is cut after as many tokens as the context alone has; spaces "
    "at the end of the context belong to the continuation.",
    "separate": "Context and continuation are encoded each by itself.",
}
PREFIXES = {
    "always": "An end-of-text token precedes every context.",
    "empty": "An end-of-text token precedes a context only if it is empty.",
}
NORMALISERS = {
    "tokens": "The score of an option is its log-probability per token.",
    "characters": "The score of an option is its log-probability per character, without the delimiter.",
    "bytes": "The score of an option is its log-probability per UTF-8 byte, without the delimiter.",
    "none": "The score of an option is its log-probability.",
    "answer_context": "The score of an option is its log-probability after the question, minus that after the answer context.",
}


def protocol_section(evaluation: Evaluation) -> Section:
    """Return the protocol in words and as a table."""
    protocol = evaluation.protocol
    html = fragment("protocol.html", templates=TEMPLATES, sentences=protocol_in_words(protocol), rows=list(protocol_rows(protocol)))
    return Section("Protocol", html)


def protocol_in_words(protocol: Mapping[str, Any]) -> list[str]:
    """Return sentences about the choices that most often make two results differ."""
    task, few_shot = protocol.get("task", {}), protocol.get("fewshot", {})
    is_probe = few_shot.get("mode") == "linear_probe"
    sentences = [
        BOUNDARIES.get(protocol.get("boundary", ""), ""),
        PREFIXES.get(protocol.get("prefix", ""), ""),
        "" if is_probe else NORMALISERS.get(task.get("normaliser", ""), ""),
        _examples(few_shot, protocol.get("seed")),
    ]
    if protocol.get("precision"):
        context = f", with a context of {protocol['context']:,} tokens" if protocol.get("context") else ""
        sentences.append(f"The model computes in {protocol['precision']} on {protocol.get('device')}{context}.")
    if protocol.get("index"):
        sentences.append(f"Items are compared with the training text by sequences of {protocol['index'].get('n')} words.")
    return [sentence for sentence in sentences if sentence]


def _examples(few_shot: Mapping[str, Any], seed: Any) -> str:
    """Return what the model learns from solved examples."""
    k = few_shot.get("k", 0)
    if not k:
        return "There are no solved examples before the items (zero-shot)."
    examples, draws = f"{k:,} solved example{'s' * (k != 1)}", few_shot.get("draws")
    of_draws = "" if draws is None else f" in each of {draws:,} draw{'s' * (draws != 1)} by seed {seed}"
    if few_shot.get("mode") == "linear_probe":
        return f"A logistic regression on the last hidden states of the model is fitted to {examples}{of_draws}."
    if few_shot.get("mode") == "fine_tune":
        return f"All weights of the model are fine-tuned on {examples}{of_draws}, and items are evaluated without examples."
    drawn = "the first ones of its group" if few_shot.get("sampler") == "first" else f"drawn for each item by seed {seed}"
    drawn = f"the same for all items{of_draws}" if draws is not None else drawn
    separator = json.dumps(few_shot.get("separator"), ensure_ascii=False)
    return f"{examples} precede{'s' * (k == 1)} every item, {drawn} and joined by {separator}."


def protocol_rows(protocol: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys of the protocol, nested ones with dots, with their values as texts."""
    for name, value in protocol.items():
        if isinstance(value, Mapping) and value:
            yield from protocol_rows(value, f"{prefix}{name}.")
        else:
            is_plain = isinstance(value, str) and value.isprintable()
            yield f"{prefix}{name}", value if is_plain else json.dumps(value, ensure_ascii=False)
