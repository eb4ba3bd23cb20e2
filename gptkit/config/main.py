"""The command `gptkit`: help pages of our own, everything else through Hydra, errors in one line.

What a verb imports (torch, Lightning) is imported by the verb, so that help, completion and wrong words answer at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from gptkit.errors import GptkitError


def main() -> None:
    """Run the command line of this process and exit with its status: 0, 1 (could not be done) or 2 (configuration)."""
    sys.exit(_flushed(status_of(sys.argv[1:])))


def status_of(argv: list[str]) -> int:
    """Run the words after `gptkit` and give the exit status."""
    try:
        if not argv or _asks_for_help(argv):
            from gptkit.config.help import page
            from gptkit.config.own_files import config_dir
            from gptkit.groups import own_folder

            with own_folder(config_dir(argv)):
                print(page(argv))
            return 0
        if "--version" in argv:
            from importlib.metadata import version

            print(f"gptkit {version('gptkit')}")
            return 0
        if "-sc" in argv or "--shell-completion" in argv:
            from gptkit.config.completion import shell_completion

            shell_completion(argv)
            return 0
        from gptkit.config.hydra_run import run_words

        return run_words(argv)
    except GptkitError as error:
        return report(error)
    except KeyboardInterrupt:
        print("gptkit: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `gptkit plugins | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full disk or a missing permission, at a place that nobody has a better word for
        return _flushed(report(GptkitError(_in_words(error))))
    except Exception as error:
        if not _is_out_of_memory(error) or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        reason = " ".join(str(error).split())[:200] or "too large a list"
        return _flushed(report(GptkitError(f"out of memory ({reason}); lower batch.micro, batch, samples, or the model's sizes")))


def _flushed(status: int) -> int:
    """The exit status, once all that was printed has been written; what cannot be (`> /dev/full`) is an error of its own."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = 1
    except OSError as error:
        status = report(GptkitError(f"standard output: cannot be written ({error.strerror})")) if status == 0 else status
    else:
        return status
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again as it ends, and say so
    return status


def _in_words(error: OSError) -> str:
    place = error.filename if isinstance(error.filename, str) else None
    reason = error.strerror or str(error).partition("\n")[0] or type(error).__name__
    return f"{place}: {reason}" if place else f"{reason}, where something was read or written"


def _asks_for_help(argv: list[str]) -> bool:
    return "--help" in argv or "-h" in argv


def report(error: GptkitError) -> int:
    """Print an error for people and give its exit status; with a traceback where the user set HYDRA_FULL_ERROR=1."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    else:
        print(f"gptkit: {error}", file=sys.stderr)
    return error.exit_status


def _is_out_of_memory(error: Exception) -> bool:
    """Whether Python, PyTorch or a device could not give memory that was asked for; told without importing torch."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)


def exit_status_of(result: Any) -> int:
    """A verb may give its own exit status by an attribute of its result."""
    return int(getattr(result, "exit_status", 0))
