"""Reads and writes tensors without executable code: weights as safetensors, other state in torch's format with weights_only."""

from __future__ import annotations

import json
import os
import pickle
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gptkit.errors import CheckpointError
from gptkit.kit_files import DamagedFile, parse_json

_PICKLE = b"\x80"
_ZIP = b"PK\x03\x04"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors as safetensors. A tensor with two names (tied weights) is stored once."""
    stored: dict[str, Tensor] = {}
    names: dict[tuple[Any, ...], str] = {}
    same: dict[str, str] = {}
    for name, tensor in tensors.items():
        key = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and key in names:
            same[name] = names[key]
            continue
        names[key] = name
        tensor = tensor.detach().contiguous()
        overlaps = tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size()
        stored[name] = tensor.clone() if overlaps else tensor  # of a view, safetensors would store the whole storage or reject it
    with path.open("wb") as file:
        mode = os.fstat(file.fileno()).st_mode
    # one entry only: safetensors writes several entries in random order, and equal weights must give equal files
    save_file(stored, path, metadata={"same": json.dumps(same)} if same else {"format": "pt"})
    path.chmod(stat.S_IMODE(mode))  # safetensors ignores the umask and creates a file that only its owner can read


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors that `write_tensors` wrote, on the CPU.

    Raises:
        CheckpointError: the file is a pickle, or not a safetensors file.
    """
    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (the file is not a dict)
            same = parse_json((file.metadata() or {}).get("same", "{}"))
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is not a safetensors file: {str(error).partition(chr(10))[0]}") from error
    except DamagedFile as error:
        raise CheckpointError(f"{path}: the list of shared tensors {error}") from error
    if not isinstance(same, dict) or not all(isinstance(other, str) and other in tensors for other in same.values()):
        raise CheckpointError(f"{path}: the list of shared tensors names tensors that the file does not hold")
    return {**tensors, **{name: tensors[other] for name, other in same.items()}}


def refuse_pickle(path: Path) -> None:
    """Reject pickles, which can run any code when they are read.

    Raises:
        CheckpointError: the file begins like a pickle or like the zip archive that torch.save writes.
    """
    with path.open("rb") as file:
        head = file.read(9)
    # a safetensors file begins with the length of its header (8 bytes of any value) and "{"
    if head.startswith(_ZIP) or (head.startswith(_PICKLE) and head[8:9] != b"{"):
        raise CheckpointError(
            f"{path}: is a pickle, which can run any code when it is read; gptkit reads weights only from safetensors files: "
            "name a run, one of its checkpoint folders, or hf:<folder or hub name>"
        )


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values, nested in dicts, lists and tuples, with torch.save.

    Raises:
        CheckpointError: there is a value of another type, which a safe reader would reject.
    """
    _check_plain(state, "state")
    with path.open("wb") as file:
        torch.save(dict(state), file)


def read_state(path: Path) -> dict[str, Any]:
    """Return the state that `write_state` wrote, with tensors on the CPU. The file can only create tensors and plain values.

    Raises:
        CheckpointError: the file holds anything else.
    """
    message = f"{path}: is not a state that gptkit wrote, and was not read: a pickle can run any code"
    with path.open("rb") as file:
        if not file.read(len(_ZIP)) == _ZIP:
            raise CheckpointError(message)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(message) from error
    if not isinstance(state, dict):
        raise CheckpointError(message)
    return state


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(key, f"{where}, a key")
            _check_plain(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif not (value is None or type(value) in (bool, int, float, str, bytes, torch.dtype) or isinstance(value, Tensor)):
        raise CheckpointError(f"{where} is a {type(value).__name__}; a checkpoint holds tensors and plain values only")
