"""Source code of plugins that tests install."""

from __future__ import annotations

ATTENTION = """
    from dataclasses import dataclass
    from gptkit import hookimpl
    from gptkit.attention import AttentionConfig, DenseAttentionConfig

    @dataclass
    class Mine(AttentionConfig):
        "Third-party attention."
        name: str = "{name}"
        reach: int = 3

        def build(self, **sizes):
            return DenseAttentionConfig().build(**sizes)

    @hookimpl
    def gptkit_attention():
        return [Mine]
"""


VERB = """
    from dataclasses import dataclass
    from typing import ClassVar
    from gptkit import hookimpl
    from gptkit.command import Command

    @dataclass
    class Wave(Command):
        "Print a greeting."
        verb: ClassVar[str] = "wave"

        def execute(self, folder):
            print("hello")

    @hookimpl
    def gptkit_command():
        return [Wave]
"""


WAVE = {"wave.yaml": "defaults:\n  - command/wave\n  - base/reads_only\n  - _self_\n"}
