"""The reward `classifier`: the log-odds of one label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.errors import CheckpointError, ConfigError, did_you_mean
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.objective.classify.labels import class_name
from gptkit.objective.classify.prediction import compute_outputs
from gptkit.records import Example, Prompt
from gptkit.reward import ClassifierRewardConfig
from gptkit.reward.base import Reward

if TYPE_CHECKING:
    from gptkit.objective.base import TrainedModel

BATCH_SIZE = 32
"""Texts per forward pass."""


class ClassifierReward(Reward):
    """Returns ln(p / (1 - p)) of the label. Strips surrounding spaces, and truncates texts that are too long as in training."""

    def __init__(self, settings: ClassifierRewardConfig, trained: TrainedModel) -> None:
        """Raises: CheckpointError: the run is not a text classifier; ConfigError: the classifier does not have the label."""
        objective = trained.objective
        if not isinstance(objective, AuxLM) or objective.task != "classification":
            raise CheckpointError(
                f"{trained.source} is not a text classifier; reward=classifier needs a run with objective=aux_lm or probe and "
                "objective.task=classification"
            )
        label = class_name(settings.label)
        if label not in objective.labels:
            near = did_you_mean(settings.label, objective.labels)
            raise ConfigError(
                f"reward.label={settings.label}: the labels of {trained.source} are {', '.join(map(str, objective.labels))}.{near}"
            )
        self._model, self._objective = trained.model, objective
        self.fingerprint = trained.fingerprint
        self._label = list(objective.labels).index(label)
        self._with_prompt = settings.with_prompt

    def to(self, device: torch.device) -> None:
        self._model.to(device)
        self._objective.to(device)

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        texts = [self._text(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
        items = self._objective.tokenize([Example(text, "") for text in texts], "reward=classifier", labelled=False)
        outputs = compute_outputs(self._model, self._objective, items, batch=BATCH_SIZE)  # (B, K) logits
        others = torch.cat([outputs[:, : self._label], outputs[:, self._label + 1 :]], dim=1)
        return outputs[:, self._label] - others.logsumexp(dim=1)

    def _text(self, prompt: Prompt, response: str) -> str:
        prefix = prompt.turns[-1].text if self._with_prompt and prompt.turns else ""
        return (prefix + response).strip()
