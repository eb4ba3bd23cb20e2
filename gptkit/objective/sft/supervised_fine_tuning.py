"""Supervised fine-tuning: next-token prediction of what the assistant says, and of its end.

Source: "Training language models to follow instructions with human feedback", section 3.5 and appendix C.1.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.record_checks import records_of
from gptkit.data.splits import split_records
from gptkit.errors import DataError
from gptkit.generation.responses import generate_responses, response_limit, response_text
from gptkit.model.evaluation_mode import evaluation_mode
from gptkit.objective.base import LOWEST_LOSS, Metrics, Monitor, Terms
from gptkit.objective.chat_template import prompt_ids
from gptkit.objective.losses import cross_entropy_sum
from gptkit.objective.rollout_objective import RolloutObjective, warn_if_responses_are_shortened
from gptkit.objective.sft import SFTConfig
from gptkit.objective.sft.sft_dataset import SFTDataset, TokenizedDialogue, pack_dialogues, tokenize_dialogues
from gptkit.records import Dialogue, Prompt
from gptkit.reward.base import compute_scores, score_finished_responses

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.reward.base import Reward
    from gptkit.tokenizer.base import Tokenizer

_log = logging.getLogger("gptkit")


class SFT(RolloutObjective):
    """Training sequences are packed; held-out dialogues stand alone, as they do where the model is used."""

    def __init__(
        self, settings: SFTConfig, *, tokenizer: Tokenizer, context: int, pretraining_source: DataConfig | None = None
    ) -> None:
        super().__init__()
        self._pretraining_source = pretraining_source
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self._reward: Reward | None = None
        self.new_tokens = response_limit(settings.max_new_tokens, context)
        self._asked: list[tuple[Prompt, list[int]] | None] = []
        """What is asked in every held-out dialogue, and its ids; None where that leaves no room for a response."""

    # -- data ---------------------------------------------------------------------------------------------------------------------

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """The dialogues of the source, those longer than the context left out.

        Raises:
            DataError: the source has no dialogues, one does not fit the template, or all are too long.
        """
        reader = f"objective={self.settings.name}"
        dialogues, held_out = split_records(
            data, validation_fraction, functools.partial(records_of, record_type=Dialogue, reader=reader)
        )
        train: Dataset = pack_dialogues(self._read(dialogues, "training"), self.context)
        if self._pretraining_source is not None:
            from gptkit.objective.pretraining_mix import PretrainingMixDataset, text_windows

            text, self.sources["objective.pretraining_data"] = text_windows(
                self._pretraining_source,
                self.tokenizer,
                self.context,
                key="objective.pretraining_data",
                validation_fraction=validation_fraction,
            )
            train = PretrainingMixDataset(train, text["train"], self.settings.pretraining)
        datasets = {"train": train}
        if held_out:
            result = self._read(held_out, "validation")
            pairs = [(one, dialogue) for one, dialogue in zip(result, held_out, strict=True) if one is not None]
            if self._reward is not None:
                self._asked = self._with_room([asked(dialogue) for _, dialogue in pairs])
            datasets["validation"] = SFTDataset([[one] for one, _ in pairs], alike=False)
        return datasets

    def _with_room(self, prompts: Sequence[Prompt]) -> list[tuple[Prompt, list[int]] | None]:
        """Raises: DataError: no prompt leaves room for a response, or for the reward to score one."""
        assert self._reward is not None
        warn_if_responses_are_shortened(self.settings.max_new_tokens, self.context)
        result = [(prompt, prompt_ids(self.tokenizer, prompt.turns, self.settings.template)) for prompt in prompts]
        longest = self.context - self.new_tokens - 1  # the 1 is end-of-text
        kept = [each if len(each[1]) <= longest and self._reward.accepts(each[0]) else None for each in result]
        without = sum(each is None for each in kept)
        if without == len(kept):
            raise DataError(
                f"none of {len(kept):,} held-out prompts leaves room for a response of {self.new_tokens} tokens in "
                f"model.context={self.context} that the reward can score; lower objective.max_new_tokens, or give other prompts"
            )
        if without:
            _log.warning(
                "%s of %s held-out prompts leave no room for a response of %s tokens, or are none that the reward takes: none to "
                "them is scored",
                f"{without:,}",
                f"{len(kept):,}",
                self.new_tokens,
            )
        return kept

    def _read(self, dialogues: Sequence[Dialogue], what: str) -> list[TokenizedDialogue | None]:
        return tokenize_dialogues(
            dialogues,
            tokenizer=self.tokenizer,
            template=self.settings.template,
            context=self.context,
            train_on_prompts=self.settings.learn == "all",
            what=what,
        )

    # -- loss ---------------------------------------------------------------------------------------------------------------------

    def tokens(self, batch: Batch) -> int:
        """Every row counts as a full context: packed rows nearly are."""
        return len(batch["tokens"]) * self.context

    def counts(self, batch: Batch) -> dict[str, int]:
        """Tokens that are learned."""
        return {"sft": int(batch["loss_mask"].sum())}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Tensor]]:
        """Negative log-likelihoods in nats, summed over what is learned; nothing else gets logits.

        Every token counts alike, whether an assistant said it or it is pre-training text.
        """
        hidden = model(batch["tokens"], segments=batch.get("segments"))
        learned = batch["loss_mask"]
        return {"sft": (1.0, cross_entropy_sum(model.logits(hidden[learned]), batch["targets"][learned]))}, {}

    # -- selection by a reward ----------------------------------------------------------------------------------------------------

    def use_reward(self, reward: Reward) -> None:
        self._reward = reward
        self.sources["reward"] = reward.fingerprint

    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], Metrics]:
        """The loss, and with a reward the `scores` (B,) of one response to each prompt, NaN where there was no room for any.

        The random numbers of a response depend on its prompt's place alone: all checkpoints of a run draw the same.
        """
        terms, counts, measured = super().validate(model, batch, seed=seed)
        if self._reward is None:
            return terms, counts, measured
        return terms, counts, {**measured, "scores": self._scores(self._reward, model, batch)}

    def _scores(self, reward: Reward, model: Model, batch: Batch) -> Tensor:
        scores = torch.full((len(batch["items"]),), torch.nan)
        indices = batch["items"].tolist()
        rows = [row for row, index in enumerate(indices) if self._asked[index] is not None]
        result = [each for index in indices if (each := self._asked[index]) is not None]
        if not result:
            return scores
        with evaluation_mode(model), torch.autocast(batch["items"].device.type, enabled=False):
            drawn = generate_responses(
                model,
                self.tokenizer,
                [ids for _, ids in result],
                items=[indices[row] for row in rows],
                max_new_tokens=self.new_tokens,
            )
            texts = [response_text(self.tokenizer, ids, response) for (_, ids), response in zip(result, drawn, strict=True)]
            reward.to(batch["items"].device)
            scores[rows] = score_finished_responses(
                functools.partial(compute_scores, reward),
                [prompt for prompt, _ in result],
                texts,
                ended=[response[-1] == self.tokenizer.special["end_of_text"] for response in drawn],
                missing=self.settings.missing_end_of_text,
            )
        return scores

    def compute_metrics(self, kept: Mapping[str, Tensor]) -> dict[str, float]:
        """`reward`: the mean score of the responses."""
        return {"reward": float(kept["scores"].double().nanmean())} if "scores" in kept else {}

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """The mean score of the responses if there is a reward, as in the paper."""
        return Monitor("reward", "max") if "reward" in metrics else LOWEST_LOSS


def asked(dialogue: Dialogue) -> Prompt:
    """What stands before the last answer of a dialogue."""
    last = max(index for index, turn in enumerate(dialogue.turns) if turn.role == "assistant")
    return Prompt(dialogue.turns[:last])
