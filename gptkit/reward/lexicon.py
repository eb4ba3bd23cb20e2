"""The reward `lexicon`: sentiment by the lexicon of the package vaderSentiment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.errors import GptkitError
from gptkit.records import Prompt
from gptkit.reward.base import Reward


class LexiconReward(Reward):
    """Returns the compound score of each response, and ignores the prompt."""

    def __init__(self) -> None:
        """Raises: GptkitError: the package is not installed."""
        try:
            from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
        except ImportError as error:
            raise GptkitError("reward=lexicon needs the package vaderSentiment; install it: pip install 'gptkit[data]'") from error
        self._score = SentimentIntensityAnalyzer().polarity_scores

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return torch.tensor([self._score(response)["compound"] for response in responses])
