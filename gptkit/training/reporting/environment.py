"""Writes environment.json: the hardware, versions and command line of a run, which the report needs to judge its speed."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.atomic_io import write_file
from gptkit.plugins import registry
from gptkit.training.reporting.fault_tolerance import is_count, is_number, read_object, warn_damaged

if TYPE_CHECKING:
    import torch

    from gptkit.run_config import RunConfig

FILE = "environment.json"


@dataclass(frozen=True)
class Environment:
    """The content of environment.json."""

    command: str
    device: str
    devices: int
    precision: str
    """Lightning's name of the precision, such as "bf16-mixed"."""

    parameters: int
    vocabulary: int
    flops_per_token: float | None
    """Operations to train on one token; None if they cannot be counted."""

    peak_flops: float | None
    """Peak operations per second of one device; None if unknown."""

    peak_source: str
    versions: dict[str, str]


def describe(
    settings: RunConfig, *, parameters: int, vocabulary: int, device: torch.device, devices: int, precision: str
) -> Environment:
    """Return the environment of this process. On a CPU it times matrix products, which takes a fraction of a second."""
    import torch

    from gptkit.scaling.compute import flops_per_token
    from gptkit.scaling.devices import local_device_name, local_peak

    peak = local_peak(device, precision)
    try:
        flops = flops_per_token(settings.model, settings.attention, vocabulary)
    except Exception:  # a third-party model whose operations cannot be counted still trains, without utilisation
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
    """Return the command line of the run as typed; empty if the run was started from Python."""
    program, words = Path(argv[0]).name, argv[1:]
    if program not in ("gptkit", "__main__.py"):
        return ""
    is_command = words[:1] == ["--config-name"] and words[1] in registry().parts["command"]  # otherwise the user's configuration
    return shlex.join(["gptkit", *(words[1:] if is_command else words)])


def write_environment(folder: Path, environment: Environment) -> None:
    """Write environment.json into a run folder."""
    write_file(folder / FILE, json.dumps(dataclasses.asdict(environment), indent=1, ensure_ascii=False) + "\n")


def read_environment(folder: Path) -> Environment | None:
    """Return the environment that `write_environment` wrote; None if there is no file or, with a warning, if it is damaged."""
    body = read_object(folder / FILE)
    if not body:
        return None
    names = {field.name for field in dataclasses.fields(Environment)}
    if not names <= body.keys() or not all(_is_valid(name, body[name]) for name in names):
        warn_damaged(folder / FILE, "is not the environment of a run")
        return None
    return Environment(**{name: body[name] for name in names})


def _is_valid(name: str, value: Any) -> bool:
    if name in ("devices", "vocabulary"):
        return is_count(value) and value > 0
    if name == "parameters":
        return is_count(value)
    if name in ("flops_per_token", "peak_flops"):
        return value is None or (is_number(value) and value > 0)
    if name == "versions":
        return isinstance(value, dict) and all(isinstance(version, str) for version in value.values())
    return isinstance(value, str)
