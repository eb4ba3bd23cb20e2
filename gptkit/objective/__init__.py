"""Training objectives: the configs of the built-in ones, and the hook that registers them."""

from __future__ import annotations

from gptkit.hookspecs import hookimpl
from gptkit.objective.classify import AuxLMConfig, ProbeConfig
from gptkit.objective.config import ObjectiveConfig
from gptkit.objective.lm import LMConfig
from gptkit.objective.preference import DPOConfig, RewardModelConfig
from gptkit.objective.rl import GRPOConfig, PPOConfig
from gptkit.objective.sft import SFTConfig

__all__ = [
    "AuxLMConfig",
    "DPOConfig",
    "GRPOConfig",
    "LMConfig",
    "ObjectiveConfig",
    "PPOConfig",
    "ProbeConfig",
    "RewardModelConfig",
    "SFTConfig",
]


@hookimpl
def gptkit_objective() -> list[type[ObjectiveConfig]]:
    return [LMConfig, AuxLMConfig, ProbeConfig, SFTConfig, RewardModelConfig, DPOConfig, PPOConfig, GRPOConfig]
