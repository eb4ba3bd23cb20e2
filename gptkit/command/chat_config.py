"""The settings of the command `chat`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit.chat_template import ChatTemplateConfig
from gptkit.command.base import Command
from gptkit.command.sampling_keys import MaxNewTokens, Precision, Seed, Stop, Temperature, TopK, TopP
from gptkit.constraints import not_empty, one_of


@dataclass
class ChatCommand(Command):
    """Hold a conversation with a trained model.

    In a terminal, answers are printed as they are generated, and /help lists the commands. Otherwise, every line of standard input
    is a message or a command.
    """

    verb: ClassVar[str] = "chat"

    checkpoint: Annotated[str, "a run, a checkpoint folder, or hf:<folder or hub name>", not_empty] = MISSING
    system: Annotated[str, "the system message"] = ""
    chat_template: Annotated[
        ChatTemplateConfig | None, "the chat template; null: the one with which the model was trained, or else plain"
    ] = None
    max_new_tokens: MaxNewTokens = 256
    temperature: Temperature = 1.0
    top_k: TopK = 0
    top_p: TopP = 1.0
    stop: Stop = field(default_factory=list)
    seed: Seed = 0
    history: Annotated[bool, "keep typed messages in $XDG_STATE_HOME/gptkit/chat_history, for the Up key and Ctrl-R"] = True
    precision: Precision = "auto"
    format: Annotated[str, "text or json (one line per answer)", one_of("text", "json")] = "text"

    def execute(self, folder: Path) -> Any:
        from gptkit.command.chat import chat

        return chat(self)
