"""The settings of few-shot evaluation, and of servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from gptkit.constraints import CONTEXT, LEARNING_RATE, above, at_least, at_most, not_empty, one_of, texts

MAX_EXAMPLES, MAX_DRAWS, DEFAULT_DRAWS = 10_000, 1_000, 5
SERVER = "openai:"
"""What precedes the address of a server in `checkpoint`."""


@dataclass
class FewShotConfig:
    """K solved examples of a task: before every item, for a linear probe on a frozen model, or to fine-tune a copy of the model.

    Without `draws`, examples in context ("Language Models are Few-Shot Learners", section 2.4) are drawn for each item by the seed
    and the content of the item, never the item itself. If not all of them fit the context of the model, the item gets as many as
    fit, and is counted. With `draws`, the examples are sets that depend on the seed, the number of the draw and the pool alone, so
    they are the same for all items and modes. Items that are in any draw are not evaluated.
    """

    k: Annotated[int, "number of solved examples; 0: none", at_least(0), at_most(MAX_EXAMPLES)] = 0
    mode: Annotated[
        str,
        "in_context: the examples precede every item; linear_probe: logistic regression on the last hidden states of the frozen "
        "model; fine_tune: all weights of a copy of the model learn from them",
        one_of("in_context", "linear_probe", "fine_tune"),
    ] = "in_context"
    draws: Annotated[
        int,
        "the number of fixed sets of examples, each evaluated with all items; 0: 5, but in_context draws examples for each item",
        at_least(0),
        at_most(MAX_DRAWS),
    ] = 0
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
    epochs: Annotated[int, "fine_tune: how often the examples are read", at_least(1), at_most(MAX_EXAMPLES)] = 10
    lr: Annotated[float, "fine_tune: peak learning rate, which decays linearly to 0", at_least(0), at_most(LEARNING_RATE)] = 6.25e-5
    batch: Annotated[int, "fine_tune: examples per update", at_least(1), at_most(MAX_EXAMPLES)] = 8

    @property
    def fixed_draws(self) -> int:
        """The number of fixed sets of examples; 0: there are no examples, or every item has its own."""
        if not self.k:
            return 0
        return self.draws or (0 if self.mode == "in_context" else DEFAULT_DRAWS)


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
