"""The command `gptkit`: prints help pages, runs everything else through Hydra, and reports errors in one line.

Only verbs import torch and Lightning, so that help, completion and error messages are fast.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from gptkit.config.standard_streams import (
    escape_unencodable_text,
    flush,
    is_stream_error,
    prepare_process,
    print_to_stderr,
    silent_logging,
)
from gptkit.errors import GptkitError
from gptkit.terminal import OutputError, one_line, print_text, shorten_middle

_MAX_MESSAGE_LENGTH = 2000
"""Maximum length of a printed error message in characters."""


def main() -> None:
    """Run the command line of this process and exit with its status: 0, 1 (failure) or 2 (configuration error)."""
    prepare_process()
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(argv: list[str]) -> int:
    """Run `gptkit` with these arguments and return the exit status. Raises nothing: every error is printed in one line."""
    escape_unencodable_text()
    reported = False
    try:
        with silent_logging():
            status = _run(argv)
    except GptkitError as error:
        status, reported = print_error(error), isinstance(error, OutputError)
    except KeyboardInterrupt:
        print_to_stderr("gptkit: interrupted")
        status = 130
    except BaseException as error:
        status = _handle_unexpected_error(error)
    return flush(status, output_error_reported=reported)


def _run(argv: list[str]) -> int:
    if not argv or _asks_for_help(argv):
        from gptkit.config.help import help_page
        from gptkit.config.yaml_files import config_dir
        from gptkit.config_groups import user_config_folder

        with user_config_folder(config_dir(argv)):
            print_text(help_page(argv))
        return 0
    if "--version" in argv:
        from importlib.metadata import version

        print(f"gptkit {version('gptkit')}")
        return 0
    if "-sc" in argv or "--shell-completion" in argv:
        from gptkit.config.completion import shell_completion

        shell_completion(argv)
        return 0
    from gptkit.config.hydra_run import run_through_hydra

    return run_through_hydra(argv)


def _handle_unexpected_error(error: BaseException) -> int:
    """Report an exception other than a `GptkitError` and return the exit status."""
    if is_stream_error(error):
        return 1
    from gptkit.config.unexpected_errors import plugin_of, report_unexpected_error

    plugin = plugin_of(error)
    if isinstance(error, SystemExit) and plugin is None:  # raised by a library that has printed its message
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
        return 1
    if plugin is None and isinstance(error, OSError):
        return print_error(GptkitError(_describe_os_error(error)))
    if plugin is None and _is_out_of_memory(error):
        reason = " ".join(str(error).split())[:200] or "an object is too large"
        return print_error(GptkitError(f"out of memory ({reason}); lower batch.micro, batch, samples, or the model's sizes"))
    return report_unexpected_error(error)


def _describe_os_error(error: OSError) -> str:
    """Describe a full disk or a missing permission for which no better message exists."""
    path = error.filename if isinstance(error.filename, str) else None
    reason = error.strerror or str(error).partition("\n")[0] or type(error).__name__
    return f"{path}: {reason}" if path else f"{reason}, while reading or writing a file"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, PyTorch or a device ran out of memory. Does not import torch."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def _asks_for_help(argv: list[str]) -> bool:
    return "--help" in argv or "-h" in argv


def print_error(error: GptkitError) -> int:
    """Print an error and return its exit status. With HYDRA_FULL_ERROR=1, prints the traceback."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    else:
        print_to_stderr(f"gptkit: {one_line(shorten_middle(str(error), _MAX_MESSAGE_LENGTH))}")
    return error.exit_status


def exit_status_of(result: Any) -> int:
    """Return the exit status of a verb's result, which may set it by the attribute `exit_status`."""
    return int(getattr(result, "exit_status", 0))
