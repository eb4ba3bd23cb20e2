"""The command `serve`: an OpenAI-compatible server for the models that gptkit can load. Imports neither torch nor FastAPI."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit import hookimpl
from gptkit.chat_template import ChatTemplateConfig
from gptkit.command import Command
from gptkit.constraints import SEQUENCES, above, at_least, at_most, not_empty, one_of
from gptkit_serve.replay_command import ReplayCommand

KEY_VARIABLE = "GPTKIT_API_KEY"
"""The environment variable with the key that clients must send."""


@dataclass
class ServeCommand(Command):
    """Serve a model over HTTP to clients of the OpenAI API."""

    verb: ClassVar[str] = "serve"

    checkpoint: Annotated[str, "a run, a checkpoint folder, or hf:<folder or hub name>", not_empty] = MISSING
    model_name: Annotated[str | None, "the name by which clients ask for the model; null: the name of its folder", not_empty] = None
    host: Annotated[
        str, f"the address to listen on; others than this machine's own need a key ({KEY_VARIABLE} or keys)", not_empty
    ] = "127.0.0.1"
    port: Annotated[int, "the port to listen on; 0: any free port", at_least(0), at_most(65535)] = 8000
    keys: Annotated[
        str | None, f"a file of API keys, one per line; null: the environment variable {KEY_VARIABLE}, or no key", not_empty
    ] = None
    chat_template: Annotated[ChatTemplateConfig | None, "the chat template; null: the one with which the model was trained"] = None
    precision: Annotated[str, "auto, fp32 or bf16", one_of("auto", "fp32", "bf16")] = "auto"
    batch: Annotated[int, "maximum number of texts that are decoded together", at_least(1), at_most(SEQUENCES)] = 16
    queue: Annotated[int, "maximum number of texts that wait for their turn; further requests get status 503", at_least(0)] = 256
    requests_per_minute: Annotated[int, "maximum number of requests per minute and key; 0: no limit", at_least(0)] = 0
    concurrent_requests: Annotated[int, "maximum number of simultaneous requests per key; 0: no limit", at_least(0)] = 0
    body_size: Annotated[int, "maximum number of bytes of a request", at_least(1024)] = 4 * 1024 * 1024
    timeout: Annotated[float, "maximum number of seconds of a request, its answer included", above(0), at_most(86400)] = 600.0
    grace: Annotated[
        float, "seconds that running answers have to finish when the server is stopped", at_least(0), at_most(86400)
    ] = 30.0
    cors: Annotated[list[str], "origins of web pages that may call the server from a browser; *: all"] = field(default_factory=list)
    receipts: Annotated[
        str | None,
        "the file to which receipts for gptkit replay are appended: what determines each answer, including the prompt; auto: "
        "receipts.jsonl in the folder of the run; null: none",
        not_empty,
    ] = "auto"
    access_log: Annotated[bool, "print a line for every request"] = False

    def execute(self, folder: Path) -> Any:
        from gptkit_serve.command import serve

        return serve(self)


@hookimpl
def gptkit_command() -> list[type[Command]]:
    return [ServeCommand, ReplayCommand]
