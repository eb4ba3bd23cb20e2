"""Supervised fine-tuning: next-token prediction of what the assistant says, and of its end.

Source: "Training language models to follow instructions with human feedback", section 3.5 and appendix C.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.data.split import split_items
from gptkit.errors import GptkitError
from gptkit.generation.responses import respond, text_of
from gptkit.model.use import as_for_use
from gptkit.objective.alignment import SFT
from gptkit.objective.built import Batch, BuiltObjective, Dataset, Terms
from gptkit.objective.cross_entropy import cross_entropy_sum
from gptkit.objective.demonstrations import Demonstration, Rows, demonstrations, dialogues_of, packed
from gptkit.objective.token_form import prompt_ids
from gptkit.records import Dialogue, Prompt

if TYPE_CHECKING:
    from gptkit.data.built import BuiltData
    from gptkit.model.built import BuiltModel
    from gptkit.reward.built import BuiltReward
    from gptkit.tokenizer.built import BuiltTokenizer


class BuiltSFT(BuiltObjective):
    """Training sequences are packed; held-out dialogues stand alone, as they do where the model is used."""

    def __init__(self, settings: SFT, *, tokenizer: BuiltTokenizer, context: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self._reward: BuiltReward | None = None
        self._held_out: list[Prompt] = []
        self._longest_answer = settings.max_new_tokens

    # -- data ---------------------------------------------------------------------------------------------------------------------

    def datasets(self, data: BuiltData, *, validation_fraction: float) -> dict[str, Dataset]:
        """The dialogues of the source, those longer than the context left out.

        Raises:
            DataError: the source has no dialogues, one does not fit the template, or all are too long.
        """
        reader = f"objective={self.settings.name}"
        dialogues = dialogues_of(data, "train", reader=reader)
        if "validation" in data.splits:
            held_out = dialogues_of(data, "validation", reader=reader)
        else:
            kept, ranges = split_items(len(dialogues), validation_fraction)
            held_out = [dialogue for begin, end in ranges for dialogue in dialogues[begin:end]]
            dialogues = [dialogue for begin, end in kept for dialogue in dialogues[begin:end]]
        train: Dataset = packed(self._read(dialogues, "training"), self.context)
        if self.settings.pretraining:
            from gptkit.objective.pretraining import WithPretraining, windows_of

            windows = windows_of(self.settings.pretraining_data, self.tokenizer, self.context)
            train = WithPretraining(train, windows, self.settings.pretraining)
        datasets = {"train": train}
        if held_out:
            found = self._read(held_out, "validation")
            pairs = [(one, asked(dialogue)) for one, dialogue in zip(found, held_out, strict=True) if one is not None]
            self._held_out = [prompt for _, prompt in pairs]
            if self._reward is not None:
                longest = max(len(prompt_ids(self.tokenizer, prompt.turns, self.settings.template)) for prompt in self._held_out)
                self._longest_answer = min(self.settings.max_new_tokens, self.context - longest)  # of all: company decides nothing
            datasets["validation"] = Rows([[one] for one, _ in pairs], alike=False)
        return datasets

    def _read(self, dialogues: Sequence[Dialogue], what: str) -> list[Demonstration | None]:
        return demonstrations(
            dialogues,
            tokenizer=self.tokenizer,
            template=self.settings.template,
            context=self.context,
            learn_all=self.settings.learn == "all",
            what=what,
        )

    # -- loss ---------------------------------------------------------------------------------------------------------------------

    def tokens(self, batch: Batch) -> int:
        """Every row counts as a full context: packed rows nearly are."""
        return len(batch["tokens"]) * self.context

    def counts(self, batch: Batch) -> dict[str, int]:
        """Tokens that are learned, of dialogues and of pre-training text."""
        return {name: int(wanted.sum()) for name, wanted in _wanted(batch).items()}

    def loss(self, model: BuiltModel, batch: Batch) -> tuple[Terms, dict[str, Tensor]]:
        """Negative log-likelihoods in nats, summed over what is learned; nothing else gets logits.

        The terms weigh as much as their shares of the sequences.
        """
        hidden = model(batch["tokens"], segments=batch.get("segments"))
        share = self.settings.pretraining if "pretraining" in batch else 0.0
        weights = {"sft": 1.0 - share, "pretraining": share}
        sums = {
            name: (weights[name], cross_entropy_sum(model.logits(hidden[wanted]), batch["targets"][wanted]))
            for name, wanted in _wanted(batch).items()
        }
        return sums, {}

    # -- selection by a reward ----------------------------------------------------------------------------------------------------

    def rewarded(self, reward: BuiltReward) -> None:
        self._reward = reward

    def validate(self, model: BuiltModel, batch: Batch, *, seed: int) -> tuple[Terms, Mapping[str, int], dict[str, Tensor]]:
        """The loss, and with a reward the `scores` (B,) of one response to each prompt.

        The random numbers of a response depend on its prompt's place alone: all checkpoints of a run draw the same.
        """
        terms, counts, measured = super().validate(model, batch, seed=seed)
        if self._reward is None:
            return terms, counts, measured
        places = batch["items"].tolist()
        prompts = [self._held_out[place] for place in places]
        with as_for_use(model), torch.autocast(batch["items"].device.type, enabled=False):
            asked_ids = [prompt_ids(self.tokenizer, prompt.turns, self.settings.template) for prompt in prompts]
            drawn = respond(
                model,
                asked_ids,
                items=places,
                end_of_text=self.tokenizer.special["end_of_text"],
                max_new_tokens=self._longest_answer,
            )
            texts = [text_of(self.tokenizer, ids, response) for ids, response in zip(asked_ids, drawn, strict=True)]
            self._reward.to(batch["items"].device)
            scores = self._reward(prompts, texts)
        for score, place in zip(scores.tolist(), places, strict=True):
            if score - score != 0.0:  # NaN or infinite
                raise GptkitError(f"the reward gave {score} to a response to held-out prompt {place + 1}; scores must be finite")
        return terms, counts, {**measured, "scores": scores}

    def judge(self, kept: Mapping[str, Tensor]) -> dict[str, float]:
        """`reward`: the mean score of the responses."""
        return {"reward": float(kept["scores"].double().mean())} if "scores" in kept else {}

    def merit(self, loss: float, metrics: Mapping[str, float]) -> float:
        """With a reward, as in the paper: what its mean score lacks."""
        return -metrics["reward"] if "reward" in metrics else loss


def asked(dialogue: Dialogue) -> Prompt:
    """What stands before the last answer of a dialogue."""
    last = max(place for place, turn in enumerate(dialogue.turns) if turn.role == "assistant")
    return Prompt(dialogue.turns[:last])


def _wanted(batch: Batch) -> dict[str, Tensor]:
    """(B, T) bool by term: which targets it learns."""
    if "pretraining" not in batch:
        return {"sft": batch["learned"]}
    text = batch["pretraining"][:, None]
    return {"sft": batch["learned"] & ~text, "pretraining": batch["learned"] & text}
