"""All hooks of the plugin API.

A plugin is a module (or object) named by an entry point of the group `gptkit`. It implements any of these hooks with
`@gptkit.hookimpl`. Each hook takes no argument and returns a list of part classes of its kind. The built-in parts use the same
hooks. The contract of a kind (the keys all its parts share, the exact signature of `build`) is the docstring of its base
class in `gptkit/<kind>/__init__.py`; this page imports no kind, and discovery checks that each class belongs to the hook's kind.
"""

from __future__ import annotations

import pluggy

from gptkit.parts import Part

hookspec = pluggy.HookspecMarker("gptkit")
hookimpl = pluggy.HookimplMarker("gptkit")


@hookspec
def gptkit_model() -> list[type[Part]]:  # type: ignore[empty-body]
    """Models: tokens in, hidden states and logits out."""


@hookspec
def gptkit_adapter() -> list[type[Part]]:  # type: ignore[empty-body]
    """Adapters: weights that are trained in place of those of a model."""


@hookspec
def gptkit_attention() -> list[type[Part]]:  # type: ignore[empty-body]
    """Attention types, one module per layer, chosen independently of the model."""


@hookspec
def gptkit_objective() -> list[type[Part]]:  # type: ignore[empty-body]
    """Training objectives: which records they read, what a batch is, and its loss."""


@hookspec
def gptkit_tokenizer() -> list[type[Part]]:  # type: ignore[empty-body]
    """Tokenizers: text to ids and back."""


@hookspec
def gptkit_chat_template() -> list[type[Part]]:  # type: ignore[empty-body]
    """Chat templates: the messages of a dialogue as one text."""


@hookspec
def gptkit_data() -> list[type[Part]]:  # type: ignore[empty-body]
    """Data sources: records by split, with a fingerprint of their content."""


@hookspec
def gptkit_optimizer() -> list[type[Part]]:  # type: ignore[empty-body]
    """Optimizers over named parameters."""


@hookspec
def gptkit_reward() -> list[type[Part]]:  # type: ignore[empty-body]
    """Rewards: scores for prompts and responses."""


@hookspec
def gptkit_task() -> list[type[Part]]:  # type: ignore[empty-body]
    """Evaluation tasks."""


@hookspec
def gptkit_callback() -> list[type[Part]]:  # type: ignore[empty-body]
    """Lightning callbacks, added with `+callback@callback.<any name>=<part>`."""


@hookspec
def gptkit_logger() -> list[type[Part]]:  # type: ignore[empty-body]
    """Lightning loggers, chosen with `logger=<part>`; `+logger@logger.<any name>=<part>` adds another."""


@hookspec
def gptkit_command() -> list[type[Part]]:  # type: ignore[empty-body]
    """Verbs of the command line."""


KINDS: tuple[str, ...] = (
    "model",
    "adapter",
    "attention",
    "objective",
    "tokenizer",
    "chat_template",
    "data",
    "optimizer",
    "reward",
    "task",
    "callback",
    "logger",
    "command",
)

NAMED_KINDS = ("callback", "logger")
"""Kinds of which a run has any number of parts, each under a name: `callback.<name>`, `logger.<name>`."""
