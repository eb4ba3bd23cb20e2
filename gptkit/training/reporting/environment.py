"""environment.json: what a run ran on and how it was started, so that its numbers can be judged later and elsewhere."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gptkit.atomic_io import write_file
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.scaling.compute import flops_per_token
from gptkit.scaling.devices import local_device_name, local_peak
from gptkit.training.reporting.fault_tolerance import is_count, is_number, read_object, warn_damaged

FILE = "environment.json"


@dataclass(frozen=True)
class Environment:
    """The content of environment.json."""

    command: str
    device: str
    devices: int
    precision: str
    """Lightning's name of it, such as "bf16-mixed"."""

    parameters: int
    vocabulary: int
    flops_per_token: float | None
    """Operations of training on one token; None where the model cannot be counted."""

    peak_flops: float | None
    """Operations per second that one device could do at most; None where that is not known."""

    peak_source: str
    versions: dict[str, str]


def describe(
    settings: RunConfig, *, parameters: int, vocabulary: int, device: torch.device, devices: int, precision: str
) -> Environment:
    """The environment of this process. On a processor it measures a matrix product, which takes a fraction of a second."""
    peak = local_peak(device, precision)
    try:
        flops = flops_per_token(settings.model, settings.attention, vocabulary)
    except Exception:  # a third-party model that cannot be counted trains all the same, without utilisation
        flops = None
    return Environment(
        command=_command(sys.argv),
        device=local_device_name(device),
        devices=devices,
        precision=precision,
        parameters=parameters,
        vocabulary=vocabulary,
        flops_per_token=flops,
        peak_flops=peak.flops if peak else None,
        peak_source=peak.source if peak else "",
        versions={
            "gptkit": importlib.metadata.version("gptkit"),
            "torch": torch.__version__,
            "lightning": importlib.metadata.version("lightning"),
            "python": platform.python_version(),
        },
    )


def _command(argv: list[str]) -> str:
    """How the run was started, as typed; empty where it was not from the command line."""
    program, words = Path(argv[0]).name, argv[1:]
    if program not in ("gptkit", "__main__.py"):
        return ""
    is_verb = words[:1] == ["--config-name"] and words[1] in registry().parts["command"]  # else a configuration of the user's own
    return shlex.join(["gptkit", *(words[1:] if is_verb else words)])


def write_environment(folder: Path, environment: Environment) -> None:
    """Write environment.json into a run folder."""
    write_file(folder / FILE, json.dumps(dataclasses.asdict(environment), indent=1, ensure_ascii=False) + "\n")


def read_environment(folder: Path) -> Environment | None:
    """What `write_environment` wrote; None where there is none that can be read, with a warning where it is damaged."""
    body = read_object(folder / FILE)
    if not body:
        return None
    names = {field.name for field in dataclasses.fields(Environment)}
    if not names <= body.keys() or not all(_fits(name, body[name]) for name in names):
        warn_damaged(folder / FILE, "is not what a run writes")
        return None
    return Environment(**{name: body[name] for name in names})


def _fits(name: str, value: Any) -> bool:
    if name in ("devices", "vocabulary"):
        return is_count(value) and value > 0
    if name == "parameters":
        return is_count(value)
    if name in ("flops_per_token", "peak_flops"):
        return value is None or (is_number(value) and value > 0)
    if name == "versions":
        return isinstance(value, dict) and all(isinstance(version, str) for version in value.values())
    return isinstance(value, str)
