"""The loop of decoding: some sequences that grow by a token at a time, until each has ended."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.generation.decoder import Decoder
from gptkit.generation.sampling import sample
from gptkit.model.base import Model


class Sequences:
    """B rows that are continued together. Draw a token for each, say which rows want another, and so on; then close.

    Rows that want no more leave the batch.
    """

    def __init__(
        self,
        model: Model,
        prompts: Sequence[Sequence[int]],
        copies: Sequence[int],
        numbers: Tensor,
        *,
        vocabulary: int,
        length: int,
        temperature: float,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> None:
        """Read the prompts.

        Args:
            model: that draws.
            prompts: token ids, at least one each.
            copies: how many rows continue each prompt; together B.
            numbers: (B, steps) float64 in [0, 1): what decides the token that each row draws at each step.
            vocabulary: ids that may be drawn, from 0 on: those of the tokenizer. An objective's own, behind them, have no text.
            length: tokens of the longest row at its end.
            temperature, top_k, top_p: of `gptkit.generation.sampling.sample`.
        """
        self._decoder = Decoder(model, prompts, copies, length=length)
        self._numbers = numbers.to(self._decoder.device)
        self._vocabulary = vocabulary
        self._how = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        self._step = 0
        self._drawn: Tensor

    def draw(self) -> Tensor:
        """(B,) int64: the next token of every row that is left."""
        with torch.inference_mode():
            logits = self._decoder.logits[:, : self._vocabulary]
            self._drawn = sample(logits, self._numbers[:, self._step], **self._how)  # type: ignore[arg-type]
        self._step += 1
        return self._drawn

    def go_on(self, keep: Sequence[int]) -> None:
        """Read the tokens that were drawn, in these rows (rising, at least one); the others leave."""
        if len(keep) < len(self._drawn):
            index = torch.tensor(keep, device=self._decoder.device)
            self._decoder.select(keep)
            self._drawn, self._numbers = self._drawn[index], self._numbers[index]
        self._decoder.feed(self._drawn)

    def close(self) -> None:
        """Give back what decoding keeps."""
        self._decoder.close()
