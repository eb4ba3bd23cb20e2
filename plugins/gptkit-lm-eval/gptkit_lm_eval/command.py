"""The script `gptkit-lm-eval`: the command line of lm-evaluation-harness, in which `--model gptkit` is registered."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the harness's command line. Errors of gptkit are printed in one line, with gptkit's exit status."""
    from lm_eval.__main__ import cli_evaluate

    import gptkit_lm_eval.model  # noqa: F401  (registers the model)
    from gptkit.config.main import print_error
    from gptkit.errors import GptkitError

    try:
        cli_evaluate()
    except GptkitError as error:
        sys.exit(print_error(error))
