"""Run a command line through Hydra: one job, or a sweep of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from gptkit.errors import ConfigError, GptkitError
from gptkit.terminal import print_text

# the last job of this process: the run that it continues, a note to print at its start, the key and path of the output folder that
# Hydra creates, whether the job has started, its result, its error, and the folder that it writes
_NO_JOB = {"run": None, "note": None, "output": None, "result": None, "error": None, "has_started": False, "folder": None}
_last_job: dict[str, Any] = dict(_NO_JOB)

exit_callbacks = contextlib.ExitStack()
"""Callbacks that run at the end of the command line, also after an error, such as the report of a sweep."""


def run_through_hydra(argv: list[str]) -> int:
    """Run a command line without the program name, and return the exit status.

    Raises:
        GptkitError: any error that the user can fix.
    """
    from gptkit.config.config_store import register_configs
    from gptkit.config.yaml_files import config_dir
    from gptkit.config_groups import user_config_folder

    register_configs()
    _last_job["folder"] = None
    with user_config_folder(config_dir(argv)):
        return _run(argv)


def _run(argv: list[str]) -> int:
    import hydra

    from gptkit.config.command_line import parse_command_line
    from gptkit.config.defaults_list import check_config_files
    from gptkit.config.hydra_errors import translate_hydra_errors
    from gptkit.config.main import exit_status_of
    from gptkit.config.resume_run import describe_missing_run, find_continued_run
    from gptkit.training.reporting.fault_tolerance import forget_warnings

    forget_warnings()
    typed = words = parse_command_line(argv)
    check_config_files(words.verb, words.primary, words.overrides)
    may_choose_parts = words.multirun or words.primary != words.verb  # a primary config of the user chooses parts, as a paper does
    run = None if may_choose_parts else find_continued_run(words.verb, words.overrides)
    note = None if may_choose_parts or run is not None else describe_missing_run(words.verb, words.overrides)
    if run is not None:
        words = dataclasses.replace(words, overrides=tuple(run.overrides()))
    sys.argv = [sys.argv[0], *words.to_argv()]
    _last_job.update(_NO_JOB, run=run and (run, typed.to_argv()), note=note)
    with exit_callbacks, translate_hydra_errors(words.verb, words.overrides), _full_error("1"):
        try:
            hydra.main(config_path="pkg://gptkit.conf", config_name=words.primary, version_base="1.3")(run_job)()
        except OSError as error:
            if (key := _failed_output_key(error)) is None:
                raise
            raise ConfigError(f"{key}: cannot create {error.filename} ({error.strerror}); choose another folder") from error
        except Exception as error:
            if error is not _last_job["error"]:
                raise  # an error of the verb is raised below instead, without Hydra's wrapper
    if _last_job["error"] is not None:
        raise _last_job["error"]
    return exit_status_of(_last_job["result"])


def run_folder() -> Path | None:
    """Return the folder that the run of this process writes; None if there is none, or if the run has not started."""
    folder: Path | None = _last_job["folder"]
    return folder


def record_output_folder(key: str, folder: Path) -> None:
    """Record the folder that Hydra is about to create, and its key, for the error message if that fails."""
    _last_job["output"] = key, folder.absolute()


def _failed_output_key(error: OSError) -> str | None:
    """Return the key of the folder that could not be created; None if the error has another cause."""
    if _last_job["has_started"] or _last_job["output"] is None or not isinstance(error.filename, str):
        return None
    key, folder = _last_job["output"]
    failed_path = Path(error.filename).absolute()
    return key if failed_path in (folder, *folder.parents) or folder in failed_path.parents else None


def run_job(config: DictConfig) -> Any:
    """Run one job: check the composed config, build the settings and run the verb. Returns the value that a sweep minimizes."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from gptkit.config.compose import run, run_from_config
    from gptkit.config.hydra_errors import translate_hydra_errors
    from gptkit.config.yaml_files import verb_of_config
    from gptkit.plugins import registry

    _last_job["has_started"] = True
    hydra_config = HydraConfig.get()
    folder = Path(os.path.relpath(hydra_config.runtime.output_dir))
    verb = verb_of_config(str(hydra_config.job.config_name))
    if registry().parts["command"][verb].part.writes_folder:
        _last_job["folder"] = folder
    overrides = cast("list[str]", OmegaConf.to_container(hydra_config.overrides.task, resolve=False))
    continued = None
    if _last_job["run"] is not None:
        continued, argv = _last_job["run"]
        overrides, sys.argv = list(continued.typed), [sys.argv[0], *argv]  # Lightning starts its workers with these arguments
    try:
        with translate_hydra_errors(verb, overrides):
            job = run_from_config(verb, config, folder, overrides, continued)
        if hydra_config.mode == RunMode.MULTIRUN and _last_job["folder"] is None and config.get("format") != "json":
            print_text(f"#{hydra_config.job.num}: {' '.join(overrides)}")
        if _last_job["note"] is not None:
            print_text(_last_job["note"], sys.stderr)
        with restore_user_full_error():
            _last_job["result"] = run(job)
    except Exception as error:
        if isinstance(error, GptkitError):
            with contextlib.suppress(OSError):
                os.removedirs(folder)  # Hydra created it; a folder with content is kept
        _last_job["error"] = error  # raised after Hydra has returned, because an error inside a verb is not one of the command line
        if hydra_config.mode != RunMode.MULTIRUN:
            return None
        raise
    return getattr(_last_job["result"], "optimized_metric", None)


_FULL_ERROR = "HYDRA_FULL_ERROR"
_USER_FULL_ERROR = os.environ.get(_FULL_ERROR)


def restore_user_full_error() -> contextlib.AbstractContextManager[None]:
    """Restore the user's HYDRA_FULL_ERROR inside the block, for processes that are started there."""
    return _full_error(_USER_FULL_ERROR)


@contextlib.contextmanager
def _full_error(value: str | None) -> Iterator[None]:
    """Set or unset HYDRA_FULL_ERROR inside the block. If it is set, Hydra raises errors instead of printing them and exiting."""
    before = os.environ.get(_FULL_ERROR)
    _set_full_error(value)
    try:
        yield
    finally:
        _set_full_error(before)


def _set_full_error(value: str | None) -> None:
    if value is None:
        os.environ.pop(_FULL_ERROR, None)
    else:
        os.environ[_FULL_ERROR] = value
