"""The settings of examples in context, and of servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from gptkit.constraints import CONTEXT, above, at_least, at_most, not_empty, one_of, texts

MAX_EXAMPLES = 10_000
SERVER = "openai:"
"""What precedes the address of a server in `checkpoint`."""


@dataclass
class FewShotConfig:
    """Solved examples before every item ("Language Models are Few-Shot Learners", section 2.4).

    They are drawn for each item by the seed and the content of the item, never the item itself. If not all of them fit the context
    of the model, the item gets as many as fit, and is counted.
    """

    k: Annotated[int, "number of solved examples before every item", at_least(0), at_most(MAX_EXAMPLES)] = 0
    path: Annotated[
        Any,
        "the files of the examples; null: the training split of the source, or if it has none, the evaluated examples",
        texts,
        not_empty,
    ] = None
    sampler: Annotated[
        str, "random: examples are drawn for each item; first: all items get the first ones of the pool", one_of("random", "first")
    ] = "random"
    separator: Annotated[str | None, "the text between two examples; null: that of the task"] = None


@dataclass
class OpenAIConfig:
    """An OpenAI-compatible server (`checkpoint=openai:http://localhost:8000/v1`). The key is read from OPENAI_API_KEY."""

    model: Annotated[str | None, "the name of the model; null: the only one that the server lists", not_empty] = None
    tokenizer: Annotated[
        str | None,
        "the tokenizer of the model, as a run, a checkpoint folder, or hf:<folder or hub name>: prompts are sent as token ids, "
        "which are encoded and truncated as for a local model; null: as texts",
        not_empty,
    ] = None
    context: Annotated[
        int | None, "tokens that the model reads at once; null: what the server says", at_least(4), at_most(CONTEXT)
    ] = None
    timeout: Annotated[float, "seconds after which a request is repeated or given up", above(0), at_most(86_400)] = 600.0
    retries: Annotated[int, "repetitions of a request that failed, with growing pauses", at_least(0), at_most(100)] = 5
