"""The published wheels work in an empty environment outside the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "plugins" / "gptkit-template"


class Environment:
    """A virtual environment into which wheels are installed, and a working folder."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "environment" / "bin"
        self.workdir = folder / "elsewhere"
        self.workdir.mkdir()
        venv.create(folder / "environment", with_pip=False)
        # dependencies come from the environment of the tests by PYTHONPATH, where .pth files are not read: the kit is the wheel's
        self.variables = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "GPTKIT_CACHE": str(folder / "cache")}

    def pip(self, *words: str) -> None:
        """pip, for this environment, without network and dependencies."""
        command = [sys.executable, "-m", "pip", "-q", "--no-input", "--python", str(self.bin / "python"), *words]
        subprocess.run(command, check=True, capture_output=True, text=True)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment in a folder outside the repository."""
        command = [str(self.bin / program), *words]
        return subprocess.run(command, cwd=self.workdir, env=self.variables, capture_output=True, text=True, check=False)


def build_wheel(source: Path, to: Path) -> Path:
    """Build the wheel of a source folder."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(to), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(to.glob(f"{source.name.replace('-', '_')}-*.whl"))


@pytest.fixture(scope="module")
def kit_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "gptkit"  # a copy, so that building leaves nothing in the checkout
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "gptkit", "conf", "hydra_plugins"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    return build_wheel(source, folder)


@pytest.fixture(scope="module")
def environment(kit_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    installed = Environment(tmp_path_factory.mktemp("installed"))
    installed.pip("install", "--no-deps", "--no-index", str(kit_wheel))
    (installed.workdir / "x.txt").write_text("To be, or not to be, that is the question.\n" * 200)
    return installed


TRAIN = ["data=text", "data.path=x.txt", "tokenizer=char", "+shrink=tiny", "trainer.max_steps=2"]


def test_every_package_is_listed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    result = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "gptkit").rglob("__init__.py")}
    assert listed == result | {"gptkit.conf", "hydra_plugins.gptkit_process_launcher"}


@pytest.mark.process
def test_the_wheel_trains_in_an_empty_environment(kit_wheel: Path, environment: Environment) -> None:
    names = zipfile.ZipFile(kit_wheel).namelist()
    for file in (ROOT / "conf").rglob("*.yaml"):
        assert f"gptkit/conf/{file.relative_to(ROOT / 'conf').as_posix()}" in names
    for file in (ROOT / "gptkit" / "training" / "reporting" / "templates").rglob("*.*"):
        assert file.relative_to(ROOT).as_posix() in names
    done = environment.run("gptkit", "train", *TRAIN, "hydra.run.dir=runs/x")
    assert done.returncode == 0, done.stderr
    assert json.loads((environment.workdir / "runs/x/summary.json").read_text())["steps"] == 2
    where = environment.run("python", "-c", "import gptkit; print(gptkit.__file__)")
    assert where.stdout.startswith(str(environment.bin.parent))


def test_an_attention_type_with_its_pyproject_fits_on_one_screen() -> None:
    files = [TEMPLATE / "pyproject.toml", TEMPLATE / "gptkit_template" / "__init__.py"]
    count = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    assert count <= 60
    assert f"are {count} lines together" in (TEMPLATE / "README.md").read_text(encoding="utf-8")


# Several command lines in one process of the environment: [status, standard output, standard error] of each, as JSON
SEVERAL = """
import contextlib, io, json, os, sys
from gptkit.config.main import run_command_line

outcomes = []
for words in json.loads(sys.argv[1]):
    if words[0] == "-sc":
        os.environ["COMP_LINE"], os.environ["COMP_POINT"] = words[2], str(len(words[2]))
        words = words[:2]
    sys.argv = ["gptkit", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = run_command_line(words)
    outcomes.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(outcomes))
"""


@pytest.fixture
def several(environment: Environment) -> Callable[..., list[list[Any]]]:
    def several(*lines: list[str]) -> list[list[Any]]:
        done = environment.run("python", "-c", SEVERAL, json.dumps(lines))
        assert done.returncode == 0, done.stderr
        outcomes: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
        return outcomes

    return several


@pytest.fixture
def third_party(environment: Environment, tmp_path: Path) -> Path:
    """Build the wheel of a copy of the template under another name, as its README describes."""
    source = tmp_path / "gptkit-thirdparty"
    shutil.copytree(TEMPLATE, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__", ".*"))
    (source / "gptkit_template").rename(source / "gptkit_thirdparty")
    for file in [path for path in source.rglob("*") if path.is_file()]:
        text = file.read_text(encoding="utf-8").replace("gptkit_template", "gptkit_thirdparty")
        file.write_text(text.replace("gptkit-template", "gptkit-thirdparty").replace('"0.1.0"', '"1.2.3"'), encoding="utf-8")
    return build_wheel(source, tmp_path)


@pytest.mark.process
def test_a_third_party_package_is_installed_used_and_uninstalled(
    environment: Environment, several: Callable[..., list[list[Any]]], third_party: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.pip("install", "--no-deps", "--no-index", str(third_party))
    monkeypatch.setitem(environment.variables, "GPTKIT_PLUGINS", "gptkit-thirdparty")  # and no other plugin of this machine

    generate = ["generate", "checkpoint=runs/life", "prompt=To be", "max_new_tokens=5", "temperature=0"]
    trained, overview, page, listed, shown, verb, wrong, unknown, options, keys, result = several(
        ["train", "+tapered=small", *TRAIN, "attention.window=16", "hydra.run.dir=runs/life"],
        ["--help"],
        ["train", "--help"],
        ["plugins", "kind=attention", "format=json"],
        ["plugins", "kind=attention", "name=tapering"],
        ["bands", "layers=2", "context=64", "attention.window=32"],
        ["train", "attention=tapering", "attention.window=wide"],
        ["train", "attention=tapering", "++attention.windw=3"],
        ["-sc", "query=bash", "gptkit train attention=ta"],
        ["-sc", "query=bash", "gptkit train attention=tapering attention.na"],
        generate,
    )
    assert trained[0] == 0, trained[2]
    manifest = json.loads(next((environment.workdir / "runs/life/checkpoints").glob("*/manifest.json")).read_text())
    assert manifest["parts"]["attention"] == {"name": "tapering", "distribution": "gptkit-thirdparty==1.2.3"}
    assert overview[0] == 0
    assert "  bands " in overview[1]
    assert "+tapered=" in overview[1]
    assert "|tapering" in page[1]
    row = next(row for row in json.loads(listed[1]) if row["name"] == "tapering")
    assert (row["distribution"], row["version"]) == ("gptkit-thirdparty", "1.2.3")
    assert "attention.narrowest" in shown[1]
    assert verb == [0, "layer 0: 24.2\nlayer 1: 14.1\n", ""]
    assert wrong == [2, "", "gptkit: attention.window=wide must be a whole number\n"]
    assert unknown == [2, "", "gptkit: there is no key attention.windw. Did you mean attention.window?\n"]
    assert options[1].splitlines() == ["attention=tapering"]
    assert "attention.narrowest=" in keys[1]
    assert result[0] == 0, result[2]

    environment.pip("uninstall", "--yes", "gptkit-thirdparty")
    lost = environment.run("gptkit", *generate)
    assert (lost.returncode, lost.stdout) == (1, "")
    (line,) = lost.stderr.splitlines()
    assert line.startswith("gptkit: runs/life/checkpoints/")
    assert "was written with attention=tapering of gptkit-thirdparty==1.2.3, which is not installed here" in line
    assert line.endswith(": pip install gptkit-thirdparty==1.2.3")
