"""Measure the startup cost of installed plugins: milliseconds for `gptkit --help`, and for completing the options of a group.

    python benchmarks/plugins_startup.py [--plugins 50] [--repeats 15]

Creates this number of temporary distributions (metadata, entry point, a module with one attention type), and measures processes
with and without them on PYTHONPATH, alternately. Plugins that are installed on the machine are not loaded. Targets: 50 plugins
add at most 50 ms to `gptkit --help`; completing a group's options takes at most 0.5 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULE = '''"""A plugin of one attention type."""

from dataclasses import dataclass
from typing import Annotated

from gptkit import hookimpl
from gptkit.attention import AttentionConfig, BandedAttentionConfig


@dataclass
class Mine(AttentionConfig):
    """Banded attention under another name."""

    name: str = "mine{number}"
    window: Annotated[int, "keys that a query sees, itself included"] = 256

    def build(self, *, width, heads, context, dropout, layer, layers):
        band = BandedAttentionConfig(window=self.window)
        return band.build(width=width, heads=heads, context=context, dropout=dropout, layer=layer, layers=layers)


@hookimpl
def gptkit_attention():
    return [Mine]
'''


def install(folder: Path, count: int) -> list[str]:
    """Write distributions as pip would. Returns their names."""
    names = []
    for number in range(count):
        module, name = f"throwaway_{number}", f"throwaway-{number}"
        (folder / module).mkdir()
        (folder / module / "__init__.py").write_text(MODULE.format(number=number))
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nRequires-Dist: gptkit\n")
        (info / "entry_points.txt").write_text(f"[gptkit]\n{name} = {module}\n")
        names.append(name)
    return names


def milliseconds(words: list[str], variables: dict[str, str]) -> float:
    """Return the wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gptkit", *words], env=variables, stdout=subprocess.PIPE, check=True)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=15)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = install(Path(folder), settings.plugins)
        line = "gptkit train attention="
        shared = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))}
        shared.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        without = {**shared, "GPTKIT_PLUGINS": ""}
        with_plugins = {**shared, "PYTHONPATH": path, "GPTKIT_PLUGINS": ",".join(names)}
        for what, words in (("gptkit --help", ["--help"]), (f"completing {line!r}", ["-sc", "query=bash"])):
            times: dict[str, list[float]] = {"without": [], "with": []}
            for repeat in range(settings.repeats + 1):
                for label, variables in (("without", without), ("with", with_plugins)):
                    taken = milliseconds(words, variables)
                    if repeat:  # the first process compiles bytecode
                        times[label].append(taken)
            bare, loaded = (statistics.median(times[label]) for label in ("without", "with"))
            print(f"{what}: {bare:.0f} ms, with {settings.plugins} plugins {loaded:.0f} ms, {loaded - bare:+.0f} ms (medians)")


if __name__ == "__main__":
    main()
