"""The command `replay`: generates the answers of a receipt again, alone, and compares the tokens."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.errors import CheckpointError, DataError, GptkitError
from gptkit.mkl_mode import restore_mode
from gptkit.terminal import print_text, write_result
from gptkit_serve.receipts import CANCELLED, Receipt, read_receipts

if TYPE_CHECKING:
    from gptkit.generation.text_sequence import Continuation
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer
    from gptkit_serve.loading import LoadedModel
    from gptkit_serve.replay_command import ReplayCommand


@dataclass(frozen=True)
class Comparison:
    """The tokens of a receipt, and those that were generated again."""

    receipt: Receipt
    tokens: list[int]
    text: str
    finish_reason: str

    @property
    def first_difference(self) -> int | None:
        """The position of the first token that differs; the length of the shorter answer if the other one only continues."""
        before, now = list(self.receipt.tokens), self.tokens
        if before == now:
            return None
        pairs = zip(before, now, strict=False)
        return next((place for place, (old, new) in enumerate(pairs) if old != new), min(len(before), len(now)))

    @property
    def is_same(self) -> bool:
        """Whether the tokens and the reason for which they end are the same."""
        return self.first_difference is None and self.finish_reason == self.receipt.finish_reason


def replay(settings: ReplayCommand) -> list[Comparison]:
    """Generate the answers with an id again, and print and return the comparisons.

    Raises:
        DataError: there is no such receipt, or it is damaged.
        CheckpointError: the checkpoint cannot be read, or holds other weights.
        GptkitError: an answer differs.
    """
    receipts = read_receipts(Path(settings.receipts), settings.id)
    restore_mode(receipts[0].origin.environment.mkl_mode)  # before the first matrix product
    loaded = _load(receipts[0], settings.checkpoint)
    for receipt in receipts:
        _check_tokens(receipt, loaded)
    comparisons = [compare(loaded.model, loaded.tokenizer, receipt) for receipt in receipts]
    for comparison in comparisons:
        if settings.format == "json":
            write_result(json.dumps(_as_json(comparison), ensure_ascii=False) + "\n")
        else:
            print_text(_name(comparison, len(comparisons)) + _describe(comparison, loaded.tokenizer))
    different = sum(not comparison.is_same for comparison in comparisons)
    if different:
        raise GptkitError(f"{different} of {len(comparisons)} answers with the id {settings.id} differ from their receipts")
    return comparisons


def _load(receipt: Receipt, checkpoint: str | None) -> LoadedModel:
    """Load the model of a receipt as it was served, and warn of what differs.

    Raises:
        CheckpointError: the checkpoint cannot be read, or holds other weights.
    """
    import torch

    from gptkit_serve.environment import differences
    from gptkit_serve.loading import load_for_decoding

    before = receipt.origin
    torch.set_num_threads(before.environment.threads)
    source = checkpoint or before.checkpoint
    loaded = load_for_decoding(
        source,
        device=torch.device("cpu") if before.environment.device == "cpu" else None,
        dtype=getattr(torch, before.environment.dtype),
        packed=before.environment.packed_weights,
    )
    for name in ("weights", "tokenizer"):
        old, new = getattr(before, name), getattr(loaded.origin, name)
        if old != new:
            raise CheckpointError(
                f"{source}: its {name} are not those of the receipt (SHA-256 {new[:12]}... instead of {old[:12]}...); "
                "set checkpoint= to the model that gave the answer"
                if name == "weights"
                else f"{source}: its tokenizer is not that of the receipt; set checkpoint= to the model that gave the answer"
            )
    for sentence in differences(before.environment, loaded.origin.environment):
        print_text(f"gptkit: warning: the environment differs, and so may the tokens: {sentence}", sys.stderr)
    return loaded


def _check_tokens(receipt: Receipt, loaded: LoadedModel) -> None:
    """Raises: DataError: the receipt has tokens that the model does not, or more than its context."""
    if max((*receipt.prompt, *receipt.tokens)) >= loaded.tokenizer.size:
        raise DataError(f"the receipt of {receipt.id} is damaged: it has token ids that the tokenizer does not have")
    if len(receipt.prompt) > loaded.model.context:
        raise DataError(f"the receipt of {receipt.id} is damaged: its prompt is longer than the context of the model")


def compare(model: Model, tokenizer: Tokenizer, receipt: Receipt) -> Comparison:
    """Generate an answer again, with no other text in the batch."""
    continuation = _generate(model, tokenizer, receipt)
    tokens, reason = continuation.tokens, continuation.finish_reason
    if receipt.finish_reason == CANCELLED:
        tokens, reason = tokens[: len(receipt.tokens)], CANCELLED
    return Comparison(receipt, tokens, tokenizer.decode(tokens), reason)


def _generate(model: Model, tokenizer: Tokenizer, receipt: Receipt) -> Continuation:
    from gptkit.generation.engine import Engine
    from gptkit.generation.sampling import SamplingParams
    from gptkit.generation.text_sequence import TextSequence

    text = TextSequence(
        tokenizer,
        receipt.prompt,
        SamplingParams(**receipt.sampling.model_dump()),
        context=model.context,
        key=(receipt.prompt_number, receipt.sample),
        end=receipt.end,
    )
    engine = Engine(model, tokenizer, batch=1)
    try:
        engine.add(text)
        while True:
            for _, chunk in engine.step():
                if chunk.finished is not None:
                    return chunk.finished
    finally:
        engine.close()


def _name(comparison: Comparison, count: int) -> str:
    """Return how the line of an answer begins if there are several."""
    receipt = comparison.receipt
    return f"prompt {receipt.prompt_number}, sample {receipt.sample}: " if count > 1 else ""


def _describe(comparison: Comparison, tokenizer: Tokenizer) -> str:
    before, now, place = comparison.receipt.tokens, comparison.tokens, comparison.first_difference
    if place is None:
        if comparison.is_same:
            return f"the same {len(now)} tokens: {comparison.text!r}"
        return f"the same {len(now)} tokens, but they end for another reason: {comparison.receipt.finish_reason} then, " + (
            f"{comparison.finish_reason} now"
        )

    def shown(tokens: list[int]) -> str:
        return f"{tokens[place]} {tokenizer.decode([tokens[place]])!r}" if place < len(tokens) else "none"

    return (
        f"token {place + 1} differs: {shown(list(before))} then, {shown(now)} now, after {tokenizer.decode(now[:place])!r} "
        f"({len(before)} tokens then, {len(now)} now)"
    )


def _as_json(comparison: Comparison) -> dict[str, Any]:
    receipt = comparison.receipt
    return {
        "id": receipt.id,
        "prompt_number": receipt.prompt_number,
        "sample": receipt.sample,
        "same": comparison.is_same,
        "first_difference": comparison.first_difference,
        "tokens": comparison.tokens,
        "receipt_tokens": list(receipt.tokens),
        "finish_reason": comparison.finish_reason,
        "receipt_finish_reason": receipt.finish_reason,
        "text": comparison.text,
    }
