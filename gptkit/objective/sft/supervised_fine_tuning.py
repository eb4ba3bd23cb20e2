"""Supervised fine-tuning: next-token prediction of the assistant's responses and their end-of-text.

Source: "Training language models to follow instructions with human feedback", section 3.5 and appendix C.1.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.chat_template.plain import PlainTemplate
from gptkit.data.dataset import Batch, Dataset
from gptkit.data.record_checks import records_of
from gptkit.data.splits import split_records
from gptkit.errors import DataError
from gptkit.generation.responses import generate_responses, response_limit, response_text
from gptkit.model.evaluation_mode import evaluation_mode
from gptkit.objective.base import Metrics, Terms
from gptkit.objective.losses import cross_entropy_sum
from gptkit.objective.monitor import LOWEST_LOSS, Monitor
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
    """Packs training dialogues. Held-out dialogues are not packed, as in generation."""

    def __init__(
        self, settings: SFTConfig, *, tokenizer: Tokenizer, context: int, pretraining_source: DataConfig | None = None
    ) -> None:
        super().__init__()
        self._pretraining_source = pretraining_source
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self.chat_template = PlainTemplate(tokenizer)
        self._reward: Reward | None = None
        self.new_tokens = response_limit(settings.max_new_tokens, context)
        self._held_out_prompts: list[tuple[Prompt, list[int]] | None] = []
        """The prompt of every held-out dialogue with its token ids, or None if the prompt leaves no room for a response."""

    # -- data ---------------------------------------------------------------------------------------------------------------------

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """Return the dialogues of the source, without those that are longer than the context.

        Raises:
            DataError: the source has no dialogues, a dialogue does not fit the template, or all dialogues are too long.
        """
        reader = f"objective={self.settings.name}"
        dialogues, held_out = split_records(
            data, validation_fraction, functools.partial(records_of, record_type=Dialogue, reader=reader)
        )
        train: Dataset = pack_dialogues(self._tokenize(dialogues, "training"), self.context)
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
            tokenized = self._tokenize(held_out, "validation")
            pairs = [(row, dialogue) for row, dialogue in zip(tokenized, held_out, strict=True) if row is not None]
            if self._reward is not None:
                self._held_out_prompts = self._filter_prompts([last_prompt(dialogue) for _, dialogue in pairs])
            datasets["validation"] = SFTDataset([[row] for row, _ in pairs], has_equal_lengths=False)
        return datasets

    def _filter_prompts(self, prompts: Sequence[Prompt]) -> list[tuple[Prompt, list[int]] | None]:
        """Encode prompts, and replace those that leave no room for a response, or that the reward does not accept, by None.

        Raises:
            DataError: no prompt is left.
        """
        assert self._reward is not None
        warn_if_responses_are_shortened(self.settings.max_new_tokens, self.context)
        encoded = [(prompt, self.chat_template.prompt_ids(prompt.turns)) for prompt in prompts]
        max_tokens = self.context - self.new_tokens - 1  # end-of-text takes one token
        kept = [each if len(each[1]) <= max_tokens and self._reward.accepts(each[0]) else None for each in encoded]
        skipped = sum(each is None for each in kept)
        if skipped == len(kept):
            raise DataError(
                f"none of {len(kept):,} held-out prompts leaves room for a response of {self.new_tokens} tokens in "
                f"model.context={self.context} that the reward can score; lower objective.max_new_tokens, or use shorter prompts"
            )
        if skipped:
            _log.warning(
                "%s of %s held-out prompts leave no room for a response of %s tokens, or are not accepted by the reward; they are "
                "not scored",
                f"{skipped:,}",
                f"{len(kept):,}",
                self.new_tokens,
            )
        return kept

    def _tokenize(self, dialogues: Sequence[Dialogue], split: str) -> list[TokenizedDialogue | None]:
        return tokenize_dialogues(
            dialogues,
            template=self.chat_template,
            context=self.context,
            train_on_prompts=self.settings.learn == "all",
            split=split,
        )

    # -- loss ---------------------------------------------------------------------------------------------------------------------

    def tokens(self, batch: Batch) -> int:
        """Return the number of tokens, where every row counts as a full context, since packed rows are almost full."""
        return len(batch["tokens"]) * self.context

    def counts(self, batch: Batch) -> dict[str, int]:
        """Return the number of tokens in the loss."""
        return {"sft": int(batch["loss_mask"].sum())}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Tensor]]:
        """Return the summed negative log-likelihood in nats of the tokens in the loss mask. Other tokens get no logits.

        All tokens have the same weight, whether they are from a response or from pre-training text.
        """
        hidden = model(batch["tokens"], segments=batch.get("segments"))
        mask = batch["loss_mask"]
        return {"sft": (1.0, cross_entropy_sum(model.logits(hidden[mask]), batch["targets"][mask]))}, {}

    # -- scores of held-out responses ---------------------------------------------------------------------------------------------

    def use_reward(self, reward: Reward) -> None:
        self._reward = reward
        self.sources["reward"] = reward.fingerprint

    def validate(self, model: Model, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], Metrics]:
        """Return the loss and, with a reward, the `scores` (B,) of one response to each prompt, NaN for prompts that are skipped.

        The random numbers of a response depend only on the index of its prompt, so all checkpoints of a run use the same ones.
        """
        terms, counts, metrics = super().validate(model, batch, seed=seed)
        if self._reward is None:
            return terms, counts, metrics
        return terms, counts, {**metrics, "scores": self._scores(self._reward, model, batch)}

    def _scores(self, reward: Reward, model: Model, batch: Batch) -> Tensor:
        scores = torch.full((len(batch["items"]),), torch.nan)
        indices = batch["items"].tolist()
        rows = [row for row, index in enumerate(indices) if self._held_out_prompts[index] is not None]
        prompts = [each for index in indices if (each := self._held_out_prompts[index]) is not None]
        if not prompts:
            return scores
        end = self.chat_template.end
        with evaluation_mode(model), torch.autocast(batch["items"].device.type, enabled=False):
            responses = generate_responses(
                model,
                self.tokenizer,
                [ids for _, ids in prompts],
                items=[indices[row] for row in rows],
                max_new_tokens=self.new_tokens,
                end=end,
            )
            texts = [
                response_text(self.tokenizer, ids, response, end=end) for (_, ids), response in zip(prompts, responses, strict=True)
            ]
            reward.to(batch["items"].device)
            scores[rows] = score_finished_responses(
                functools.partial(compute_scores, reward),
                [prompt for prompt, _ in prompts],
                texts,
                ended=[response[-1] == end for response in responses],
                missing=self.settings.missing_end_of_text,
            )
        return scores

    def compute_metrics(self, outputs: Mapping[str, Tensor]) -> dict[str, float]:
        """Return `reward`, the mean score of the responses, if there are scores."""
        return {"reward": float(outputs["scores"].double().nanmean())} if "scores" in outputs else {}

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """Return the mean score of the responses if there is a reward, as in the paper; otherwise the loss."""
        return Monitor("reward", "max") if "reward" in metrics else LOWEST_LOSS


def last_prompt(dialogue: Dialogue) -> Prompt:
    """Return the turns before the last response of a dialogue."""
    last = max(index for index, turn in enumerate(dialogue.turns) if turn.role == "assistant")
    return Prompt(dialogue.turns[:last])
