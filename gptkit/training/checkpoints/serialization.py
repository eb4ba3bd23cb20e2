"""Tensors on disk without code: safetensors for weights, and torch's format read with weights_only for the rest of the state."""

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
    """Write named tensors as safetensors. A tensor that has two names (tied weights) is stored once."""
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
        stored[name] = tensor.clone() if overlaps else tensor  # a view would drag along, or be refused for, its whole storage
    with path.open("wb") as file:
        mode = os.fstat(file.fileno()).st_mode
    # one entry only: safetensors writes several in an order that changes, and equal weights must give equal files
    save_file(stored, path, metadata={"same": json.dumps(same)} if same else {"format": "pt"})
    path.chmod(stat.S_IMODE(mode))  # safetensors makes a file that its owner alone can read, whatever the umask says


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors on the CPU, as `write_tensors` was given them.

    Raises:
        CheckpointError: the file is a pickle, or no safetensors.
    """
    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (the file is no dict)
            same = parse_json((file.metadata() or {}).get("same", "{}"))
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is no safetensors file: {str(error).partition(chr(10))[0]}") from error
    except DamagedFile as error:
        raise CheckpointError(f"{path}: which tensors are shared {error}") from error
    if not isinstance(same, dict) or not all(isinstance(other, str) and other in tensors for other in same.values()):
        raise CheckpointError(f"{path}: says that tensors are shared with some that it does not hold")
    return {**tensors, **{name: tensors[other] for name, other in same.items()}}


def refuse_pickle(path: Path) -> None:
    """Stop at a pickle, which can run any code when it is read.

    Raises:
        CheckpointError: the file begins like a pickle or like torch's zip of one.
    """
    with path.open("rb") as file:
        head = file.read(9)
    # a safetensors file is the length of its header (8 bytes, which may look like anything) and then "{"
    if head.startswith(_ZIP) or (head.startswith(_PICKLE) and head[8:9] != b"{"):
        raise CheckpointError(
            f"{path}: is a pickle, which can run any code when it is read; gptkit reads weights from safetensors only: "
            "name a run, one of its checkpoint folders, or hf:<folder or hub name>"
        )


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values, nested in dicts, lists and tuples, with torch.save.

    Raises:
        CheckpointError: something else is among them, which a safe reader would refuse.
    """
    _check_plain(state, "state")
    with path.open("wb") as file:
        torch.save(dict(state), file)


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` wrote, tensors on the CPU. Nothing but tensors and plain values is ever made from the file.

    Raises:
        CheckpointError: the file holds anything else.
    """
    refused = f"{path}: is not the state that gptkit wrote, and was not read: a pickle can run any code"
    with path.open("rb") as file:
        if not file.read(len(_ZIP)) == _ZIP:
            raise CheckpointError(refused)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(refused) from error
    if not isinstance(state, dict):
        raise CheckpointError(refused)
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
