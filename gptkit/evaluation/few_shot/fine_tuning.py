"""Fine-tunes a copy of a model on a few solved examples.

The settings are those of GPT-1 ("Improving Language Understanding by Generative Pre-Training", section 3.2 and section 4.1), scaled
to a few examples: smaller batches and more epochs. The loss is that of the right option, plus half the loss of the whole text.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences
from gptkit.evaluation.config import FewShotConfig
from gptkit.evaluation.few_shot.task import permutation
from gptkit.generation.scoring import TokenSequence
from gptkit.model.base import Model
from gptkit.optimizer import AdamWConfig

BETAS, WEIGHT_DECAY, CLIP = (0.9, 0.999), 0.01, 1.0
LM_WEIGHT = 0.5
"""The weight of the loss of the whole text, lambda in GPT-1's paper."""
TOKENS_PER_PASS = 2048
"""Maximum number of tokens of a forward pass, including padding, unless one text is longer. Does not change the updates."""
IGNORED = -100


def updates_of(examples: int, settings: FewShotConfig) -> int:
    """Return the number of updates for a number of examples."""
    return settings.epochs * -(-examples // settings.batch)


def fine_tune(model: Model, sequences: Sequence[TokenSequence], settings: FewShotConfig, *, seed: int) -> Model:
    """Return a copy of the model, all of whose weights have been fine-tuned. The model itself is not changed.

    The order of the examples and dropout have their own random numbers, and those of torch are restored. The copy is trained in
    float32 and then has the number format of the model.

    Args:
        model: the model.
        sequences: the right option of each example, with its context.
        settings: the number of epochs, the learning rate and the size of batches.
        seed: seed of the order and of dropout.
    """
    parameter = next(model.parameters())
    tuned = copy.deepcopy(model).float().train()
    tuned.requires_grad_(True)
    config = AdamWConfig(lr=settings.lr, betas=list(BETAS), weight_decay=WEIGHT_DECAY)
    optimizer = config.build(parameters=tuned.named_parameters())
    fitted = [sequence.fit(model.context) for sequence in sequences]
    steps = updates_of(len(fitted), settings)
    devices = [parameter.device] if parameter.is_cuda else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.manual_seed(seed % 2**63)
        for step, batch in enumerate(_batches(fitted, settings, seed)):
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * (1 - step / steps)
            for part in _parts(batch):
                (_loss(tuned, part, parameter.device) * (len(part) / len(batch))).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(tuned.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
    return tuned.to(parameter.dtype).requires_grad_(False).eval()


def _batches(sequences: Sequence[TokenSequence], settings: FewShotConfig, seed: int) -> Iterator[list[TokenSequence]]:
    """Yield the batches of all epochs, each epoch in another order."""
    for epoch in range(settings.epochs):
        order = list(permutation(len(sequences), (seed << 32) + epoch))
        for first in range(0, len(order), settings.batch):
            yield [sequences[index] for index in order[first : first + settings.batch]]


def _parts(batch: Sequence[TokenSequence]) -> Iterator[list[TokenSequence]]:
    """Split a batch into parts of at most TOKENS_PER_PASS tokens."""
    part: list[TokenSequence] = []
    for sequence in batch:
        longest = max(map(len, [*part, sequence]))
        if part and longest * (len(part) + 1) > TOKENS_PER_PASS:
            yield part
            part = []
        part.append(sequence)
    yield part


def _loss(model: Model, sequences: Sequence[TokenSequence], device: torch.device) -> Tensor:
    """Return the mean loss of sequences: the mean loss of the tokens of the option plus LM_WEIGHT times that of all tokens."""
    rows = [sequence.context + sequence.continuation for sequence in sequences]
    tokens = pad_sequences(row[:-1] for row in rows).to(device)  # (B, T)
    targets = pad_sequences((row[1:] for row in rows), value=IGNORED).to(device)  # (B, T)
    logits = model.logits(model(tokens)).float()  # (B, T, V)
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")  # (B, T)
    starts = torch.tensor([len(sequence.context) - 1 for sequence in sequences], device=device)
    in_text = targets != IGNORED
    in_option = in_text & (torch.arange(targets.shape[1], device=device) >= starts[:, None])
    option, text = ((losses * mask).sum(1) / mask.sum(1) for mask in (in_option, in_text))
    return (option + LM_WEIGHT * text).mean()
