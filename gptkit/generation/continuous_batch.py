"""Continuous batching: sequences join and leave a batch at any step.

Generation, rollouts and servers all decode with `ContinuousBatch`. On a CPU, the tokens of a sequence depend on its prompt, its
random numbers and its sampling parameters, and not on the other sequences.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gptkit.generation.decoder import Decoder
from gptkit.generation.prefill import Prefill, PrefixCache
from gptkit.generation.sampling import sample
from gptkit.model.base import Model


@dataclass(eq=False)
class TokenSequence:
    """A prompt and the tokens that follow it."""

    prompt: Sequence[int]
    """Token ids, at least one."""
    uniforms: NDArray[np.float64]
    """(N,) random numbers in [0, 1), one for each token; N is the maximum number of tokens."""
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    tokens: list[int] = field(default_factory=list)
    """The tokens that were sampled so far."""
    shared: int = 0
    """The number of tokens of the prompt whose state was that of an earlier prompt, see `PrefixCache`."""

    @property
    def limit(self) -> int:
        """The maximum number of tokens."""
        return len(self.uniforms)

    @property
    def params(self) -> tuple[float, int, float]:
        """Temperature, top-k and top-p."""
        return self.temperature, self.top_k, self.top_p


class ContinuousBatch:
    """Decodes up to `rows` sequences at a time; others wait for their turn, in order.

    `add` appends sequences, and `step` samples the next token of each running one. A sequence leaves the batch at the start of the
    next step if it has reached its limit, or if `end` was called.
    """

    def __init__(
        self,
        model: Model,
        *,
        vocabulary: int,
        rows: int,
        length: int,
        chunked_prefill: bool = False,
        prefixes: PrefixCache | None = None,
    ) -> None:
        """
        Args:
            model: the model that generates.
            vocabulary: only ids below it are sampled. Ids that an objective adds after those of the tokenizer have no text.
            rows: maximum number of sequences that are decoded together.
            length: maximum number of tokens of a sequence, including its prompt.
            chunked_prefill: read prompts in parts between the tokens of running sequences, so that a long prompt delays them
                little; otherwise, and if the cache of the model does not support rows that join a batch, a step reads the prompts
                of all sequences for which there is room.
            prefixes: states of the beginnings of earlier prompts, for chunked_prefill; not used if the cache of the model cannot
                be divided.
        """
        self.running: list[TokenSequence] = []
        self.waiting: deque[TokenSequence] = deque()
        self._model, self._vocabulary, self._rows = model, vocabulary, rows
        self._decoder = Decoder(model, length=length)
        self._chunked_prefill = chunked_prefill and self._decoder.can_extend
        self._prefixes = prefixes if getattr(self._decoder.cache, "has_prefixes", False) else None
        self._ended: set[int] = set()
        self._reading: tuple[Prefill, list[TokenSequence]] | None = None
        self._sampled: Tensor | None = None

    @property
    def logits(self) -> Tensor:
        """(B, vocabulary) logits from which the last tokens of the running sequences were sampled."""
        return self._decoder.logits[:, : self._vocabulary]

    def add(self, sequences: Iterable[TokenSequence], *, first: bool = False) -> None:
        """Append sequences to those that wait, or put them before the others."""
        if first:
            self.waiting.extendleft(reversed(list(sequences)))
        else:
            self.waiting.extend(sequences)

    def end(self, sequence: TokenSequence) -> None:
        """Remove a sequence. If it is running, it leaves the batch at the next step."""
        self._ended.add(id(sequence))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to decode."""
        self._remove_ended()
        return not (self.running or self.waiting or self._reading)

    def step(self) -> list[TokenSequence]:
        """Sample one token of every running sequence, and append it to its `tokens`. Returns the running sequences.

        With `chunked_prefill`, sequences whose prompts are still being read are not among them.
        """
        self._remove_ended()
        begin = self._time()
        if self._sampled is not None:
            self._decoder.feed(self._sampled)
        if self._chunked_prefill:
            for prefill, sequences in self._read_parts(self._time() - begin):
                self._decoder.add(prefill, [len(sequences)])
                self.running += sequences
        else:
            self._admit_all()
        if not self.running:
            return []
        with torch.inference_mode():
            self._sampled = self._sample()
        for sequence, token in zip(self.running, self._sampled.tolist(), strict=True):
            sequence.tokens.append(token)
        return self.running

    def close(self) -> None:
        """Release the resources of decoding."""
        self._decoder.close()

    def _remove_ended(self) -> None:
        """Remove sequences that have ended. Those at the end of the batch take their places, which copies the fewest rows."""
        is_over = [id(sequence) in self._ended or len(sequence.tokens) >= sequence.limit for sequence in self.running]
        if any(is_over):
            remaining = len(is_over) - sum(is_over)
            last = [row for row in range(remaining, len(is_over)) if not is_over[row]]
            keep = [row if not is_over[row] else last.pop() for row in range(remaining)]
            self._decoder.select(keep)
            self.running = [self.running[row] for row in keep]
            if self._sampled is not None:
                self._sampled = self._sampled[torch.tensor(keep, device=self._sampled.device)] if keep else None
        if self._ended:
            self.waiting = deque(sequence for sequence in self.waiting if id(sequence) not in self._ended)
            if self._reading is not None:
                prefill, sequences = self._reading
                sequences = [sequence for sequence in sequences if id(sequence) not in self._ended]
                self._reading = (prefill, sequences) if sequences else None
            self._ended.clear()

    def _admit_all(self) -> None:
        """Read the prompts of all waiting sequences for which there is room."""
        groups: list[list[TokenSequence]] = []
        room = self._room(len(self.running))
        while self.waiting and room:
            groups.append(self._next_with_one_prompt(room))
            room -= len(groups[-1])
        if groups:
            self._decoder.read([group[0].prompt for group in groups], [len(group) for group in groups])
            self.running += [sequence for group in groups for sequence in group]

    def _read_parts(self, seconds: float) -> list[tuple[Prefill, list[TokenSequence]]]:
        """Read prompts for a time, but at least one part, and at least one prompt if no sequence is running.

        Args:
            seconds: as long as decoding took, so that running sequences keep at least half of their speed.

        Returns:
            The prompts that are now done, and their sequences.
        """
        done: list[tuple[Prefill, list[TokenSequence]]] = []
        begin, parts, taken = self._time(), 0, len(self.running)
        while self._reading or self.waiting:
            if taken and parts and (self._time() - begin) * (parts + 1) / parts > seconds:
                break
            if self._reading is None:
                room = self._room(taken)
                if not room:
                    break
                sequences = self._next_with_one_prompt(room)
                prefill = Prefill(self._model, [sequences[0].prompt], prefixes=self._prefixes)
                for sequence in sequences:
                    sequence.shared = prefill.read
                self._reading = prefill, sequences
            prefill, sequences = self._reading
            prefill.step_part()
            parts += 1
            if prefill.is_done:
                done.append(self._reading)
                taken += len(sequences)
                self._reading = None
        return done

    def _time(self) -> float:
        """Return the time after all operations that were started, if it is needed: while there are prompts to read."""
        if not self._chunked_prefill or not (self._reading or self.waiting):
            return 0.0
        if self._decoder.device.type != "cpu":
            torch.accelerator.synchronize()
        return perf_counter()

    def _room(self, taken: int) -> int:
        """Return the number of sequences that can join, given the number of taken rows."""
        return self._rows - taken if self._decoder.can_extend or not taken else 0

    def _next_with_one_prompt(self, room: int) -> list[TokenSequence]:
        """Take the first waiting sequence, and those after it with the same prompt if there is room."""
        same = [self.waiting.popleft()]
        while self.waiting and len(same) < room and self.waiting[0].prompt == same[0].prompt:
            same.append(self.waiting.popleft())
        return same

    def _sample(self) -> Tensor:
        """Sample a token for every running sequence: (B,) int64."""
        numbers = np.array([sequence.uniforms[len(sequence.tokens)] for sequence in self.running])
        uniforms = torch.from_numpy(numbers).to(self._decoder.device)
        rows_of: dict[tuple[float, int, float], list[int]] = {}
        for row, sequence in enumerate(self.running):
            rows_of.setdefault(sequence.params, []).append(row)
        if len(rows_of) == 1:
            ((temperature, top_k, top_p),) = rows_of
            return sample(self.logits, uniforms, temperature=temperature, top_k=top_k, top_p=top_p)
        tokens = torch.empty(len(self.running), dtype=torch.int64, device=self._decoder.device)
        for (temperature, top_k, top_p), rows in rows_of.items():
            index = torch.tensor(rows, device=self._decoder.device)
            tokens[index] = sample(self.logits[index], uniforms[index], temperature=temperature, top_k=top_k, top_p=top_p)
        return tokens
