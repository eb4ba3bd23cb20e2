"""Completion for bash and zsh: verbs by ourselves, keys and options by Hydra.

Hydra's completion knows no verbs, so the verb is taken out of the line that the shell hands over and named as the primary
configuration.
"""

from __future__ import annotations

import os
import sys

from gptkit.plugins import registry


def shell_completion(argv: list[str]) -> None:
    """Answer `gptkit -sc install=bash`, `uninstall=bash` and the shell's own `query=bash`."""
    if any(word.startswith("query=") for word in argv):
        line = os.environ.get("COMP_LINE", "")
        point = int(os.environ.get("COMP_POINT", len(line)))
        program, _, typed = line[:point].partition(" ")
        verb, space, rest = typed.lstrip().partition(" ")
        if not space:
            print("\n".join(name for name in registry().parts["command"] if name.startswith(verb)))
            return
        if verb not in registry().parts["command"]:
            return
        os.environ["COMP_LINE"] = f"{program} {rest}"
        os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
        argv = ["--config-name", verb, *argv]
    elif "--config-name" not in argv:
        argv = ["--config-name", "train", *argv]

    import hydra

    from gptkit.config.hydra_run import execute
    from gptkit.config.store import register

    register()
    sys.argv = [sys.argv[0], *argv]
    hydra.main(config_path="pkg://gptkit.conf", config_name="train", version_base="1.3")(execute)()
