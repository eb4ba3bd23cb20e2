"""The decoding loop: a batch of sequences that grow by one token per step until they end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.generation.decoder import Decoder
from gptkit.generation.sampling import sample
from gptkit.model.base import Model


class DecodingBatch:
    """B rows that are decoded together.

    `draw` samples a token for each row, `advance` feeds the tokens of the rows that continue, and `close` ends decoding. Rows that
    have ended leave the batch.
    """

    def __init__(
        self,
        model: Model,
        prompts: Sequence[Sequence[int]],
        copies: Sequence[int],
        uniforms: Tensor,
        *,
        vocabulary: int,
        length: int,
        temperature: float,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> None:
        """Read the prompts.

        Args:
            model: the model that generates.
            prompts: token ids, at least one each.
            copies: number of rows that continue each prompt; their sum is B.
            uniforms: (B, steps) float64 in [0, 1): the random number of each row at each step.
            vocabulary: only ids below it are sampled. Ids that an objective adds after those of the tokenizer have no text.
            length: maximum number of tokens of a row, including its prompt.
            temperature, top_k, top_p: see `gptkit.generation.sampling.sample`.
        """
        self._decoder = Decoder(model, prompts, copies, length=length)
        self._uniforms = uniforms.to(self._decoder.device)
        self._vocabulary = vocabulary
        self._params = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        self._step = 0
        self._tokens: Tensor

    def draw(self) -> Tensor:
        """Sample the next token of every remaining row: (B,) int64."""
        with torch.inference_mode():
            logits = self._decoder.logits[:, : self._vocabulary]
            self._tokens = sample(logits, self._uniforms[:, self._step], **self._params)  # type: ignore[arg-type]
        self._step += 1
        return self._tokens

    def advance(self, keep: Sequence[int]) -> None:
        """Feed the sampled tokens of these rows (ascending, at least one) to the model, and remove the other rows."""
        if len(keep) < len(self._tokens):
            index = torch.tensor(keep, device=self._decoder.device)
            self._decoder.select(keep)
            self._tokens, self._uniforms = self._tokens[index], self._uniforms[index]
        self._decoder.feed(self._tokens)

    def close(self) -> None:
        """Release the resources of decoding."""
        self._decoder.close()
