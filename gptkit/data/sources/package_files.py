"""Data files in installed packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from gptkit.errors import DataError


def package_file(part: str, *, package: str, module: str, file: str) -> Path:
    """Return the path of a file or folder in a package. The package is not imported, which could take seconds.

    Args:
        part: the data source that needs it, for errors.
        package: the name of the package to install.
        module: the name of its module.
        file: the path within the folder of the module.

    Raises:
        DataError: the package is not installed.
    """
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, file)
        if path.exists():
            return path
    raise DataError(f"data={part} needs the package {package}, which contains the data: pip install gptkit[data]")
