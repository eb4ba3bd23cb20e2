"""Rewards: the contract. The kit brings none yet; plugins may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.objective.built import Trained
    from gptkit.reward.built import BuiltReward


@dataclass
class Reward(Part):
    """A judge of responses: prompts and responses in, one score each out.

    Subclass it, give `name` a default, add fields, and write `build`, which returns a `gptkit.reward.built.BuiltReward`.
    """

    name: str = ""

    def build(self, *, load: Callable[[str], Trained]) -> BuiltReward:
        """Make the judge.

        Args:
            load: reads a trained model with its objective from a run or a checkpoint folder.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@hookimpl
def gptkit_reward() -> list[type[Reward]]:
    return []
