"""Imports GPT-1's weights as OpenAI published them: `params_shapes.json`, and `params_0.npy` to `params_9.npy`, parts of one array.

Source: the code released with "Improving Language Understanding by Generative Pre-Training", `train.py`: positions, tokens, then
block by block; matrices are (1, in, out). The released model has 116,534,784 parameters.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gptkit.errors import CheckpointError, DataError
from gptkit.interop.huggingface_formats import GPT1
from gptkit.interop.weight_names import block_weight_names, is_stored_transposed
from gptkit.model import GPTConfig
from gptkit.user_files import read_json_file

SHAPES = "params_shapes.json"
HEAD_WIDTH = 64
"""The width of a head, which the weights do not determine: twelve heads for a width of 768 (section 4.1 of the paper)."""


def has_openai_arrays(folder: Path) -> bool:
    """Return whether the folder holds such files."""
    return (folder / SHAPES).is_file()


def read_shapes(folder: Path) -> tuple[GPTConfig, int]:
    """Read the model settings and the vocabulary size from `params_shapes.json`.

    Raises:
        CheckpointError: the file cannot be read, or does not describe a GPT-1.
    """
    path = folder / SHAPES
    shapes = _read_shapes(path)
    layers = (len(shapes) - 2) // len(block_weight_names(1))
    (context, width), (vocabulary, _) = shapes[0], shapes[1]
    if width % HEAD_WIDTH:
        raise CheckpointError(f"{path}: width {width} is not a multiple of {HEAD_WIDTH}, the width of GPT-1's heads")
    settings = GPTConfig(layers=layers, heads=width // HEAD_WIDTH, width=width, context=context, dropout=0.1, **GPT1.settings)
    return settings, vocabulary


def read_arrays(folder: Path) -> dict[str, Tensor]:
    """Read all weights under gptkit's names and in its orientation, in float32.

    Raises:
        CheckpointError: a file is missing or damaged, or the count of numbers does not match the shapes.
    """
    shapes = _read_shapes(folder / SHAPES)
    sizes = [math.prod(shape) for shape in shapes]
    parts = sorted(folder.glob("params_*.npy"), key=lambda path: (len(path.name), path.name))
    try:
        row = np.concatenate([np.load(path, allow_pickle=False).reshape(-1) for path in parts] or [np.empty(0)])
    except (OSError, ValueError, EOFError, AttributeError) as error:  # AttributeError: an .npz file, which holds several arrays
        raise CheckpointError(f"{folder}: params_*.npy cannot be read: {error}".partition("\n")[0]) from None
    if len(row) != sum(sizes):
        raise CheckpointError(
            f"{folder}: the {len(parts)} files params_*.npy hold {len(row):,} numbers, but {SHAPES} describes {sum(sizes):,}"
        )
    arrays = np.split(row.astype(np.float32, copy=False), np.cumsum(sizes)[:-1])
    names = ["wpe.weight", "wte.weight", *block_weight_names((len(shapes) - 2) // len(block_weight_names(1)))]
    state = {}
    for name, shape, array in zip(names, shapes, arrays, strict=True):
        tensor = torch.from_numpy(array).reshape(shape if len(shape) < 3 else shape[1:])
        state[name] = (tensor.t() if is_stored_transposed(name) else tensor).contiguous()
    return state


def _read_shapes(path: Path) -> list[list[int]]:
    try:
        shapes: list[list[int]] = read_json_file(path)
        (_, width), (_, same) = shapes[0], shapes[1]
    except (OSError, DataError, ValueError, TypeError, IndexError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}".partition("\n")[0]) from None
    if not all(type(size) is int and size > 0 for shape in shapes[:2] for size in shape):
        raise CheckpointError(f"{path} cannot be read: the sizes of positions and tokens must be whole numbers above 0")
    block = [[1, width, 3 * width], [3 * width], [1, width, width], [width], [width], [width]]
    block += [[1, width, 4 * width], [4 * width], [1, 4 * width, width], [width], [width], [width]]
    if same != width or len(shapes) < 14 or shapes[2:] != block * ((len(shapes) - 2) // 12):
        raise CheckpointError(f"{path}: these are not the shapes of a GPT-1: positions, tokens, and twelve per block")
    return shapes
