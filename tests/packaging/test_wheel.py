"""What is published works: the wheel alone, in an empty environment outside the repository, trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_is_listed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "gptkit").rglob("__init__.py")}
    assert listed == found | {"gptkit.conf", "hydra_plugins.gptkit_process_launcher"}


@pytest.mark.process
def test_the_wheel_trains_in_an_empty_environment(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a copy, so that building leaves nothing in the checkout
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "gptkit", "conf", "hydra_plugins"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
        text=True,
    )
    wheel = next(tmp_path.glob("gptkit-*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    for file in (ROOT / "conf").rglob("*.yaml"):
        assert f"gptkit/conf/{file.relative_to(ROOT / 'conf').as_posix()}" in names

    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    # the dependencies come from this environment by PYTHONPATH, where .pth files are not read: the kit comes from the wheel alone
    variables = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "GPTKIT_CACHE": str(tmp_path / "cache")}
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True, env=variables)
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "x.txt").write_text("To be, or not to be, that is the question.\n" * 200)
    words = ["data=text", "data.path=x.txt", "tokenizer=char", "+shrink=tiny", "trainer.max_steps=2", "hydra.run.dir=runs/x"]
    done = subprocess.run(
        [environment / "bin" / "gptkit", "train", *words], cwd=place, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((place / "runs/x/summary.json").read_text())["steps"] == 2
    where = subprocess.run(
        [python, "-c", "import gptkit; print(gptkit.__file__)"],
        cwd=place,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(environment))
