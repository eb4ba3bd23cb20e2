"""The settings of examples in context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from gptkit.constraints import at_least, at_most, not_empty, texts

MAX_EXAMPLES = 10_000


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
    separator: Annotated[str | None, "the text between two examples; null: that of the task"] = None
