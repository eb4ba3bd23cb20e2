"""The generation engine: batches prompts, and returns their continuations as whole texts or as a stream.

Prompts of different lengths share a batch, samples of the same prompt share its prefill, and texts join and leave the batch at any
step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gptkit.errors import ConfigError, DataError
from gptkit.generation.continuous_batch import ContinuousBatch, TokenSequence
from gptkit.generation.prefill import PrefixCache
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.text_sequence import Continuation, TextChunk, TextSequence, TokenLogProbs
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer


class Engine:
    """Continues texts, up to `batch` at a time. Texts can be added and cancelled between any two steps.

    On a CPU, a text does not depend on the others, if the cache of the model is batch-invariant.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        *,
        batch: int,
        length: int | None = None,
        chunked_prefill: bool = False,
        prefixes: PrefixCache | None = None,
    ) -> None:
        """
        Args:
            model: the model, on its device.
            tokenizer: only its ids are sampled. End-of-text ends a text.
            batch: maximum number of texts that are decoded together.
            length: maximum number of tokens of a prompt and its text; None: the context of the model.
            chunked_prefill, prefixes: see `ContinuousBatch`.
        """
        self._end_of_text = tokenizer.special["end_of_text"]
        self._batch = ContinuousBatch(
            model,
            vocabulary=tokenizer.size,
            rows=batch,
            length=model.context if length is None else length,
            chunked_prefill=chunked_prefill,
            prefixes=prefixes,
        )
        self._texts: dict[TokenSequence, TextSequence] = {}
        self._full: list[tuple[TextSequence, TextChunk]] = []

    def add(self, text: TextSequence, *, first: bool = False) -> None:
        """Add a text after those that wait, or before them."""
        chunk = text.full()
        if chunk is not None:
            self._full.append((text, chunk))
            return
        sequence = text.tokens()
        self._texts[sequence] = text
        self._batch.add([sequence], first=first)

    def cancel(self, text: TextSequence) -> None:
        """Remove a text. Returns no further chunks of it."""
        for sequence in [sequence for sequence, other in self._texts.items() if other is text]:
            self._batch.end(sequence)
            del self._texts[sequence]

    @property
    def is_idle(self) -> bool:
        """Whether all texts are complete."""
        return not (self._full or self._texts)

    @property
    def running(self) -> int:
        """The number of texts that are being decoded."""
        return sum(sequence in self._texts for sequence in self._batch.running)

    @property
    def waiting(self) -> int:
        """The number of texts whose prompts have not been read."""
        return len(self._texts) - self.running

    def step(self) -> list[tuple[TextSequence, TextChunk]]:
        """Sample one token of every running text, and return the chunks that are now final, each with its text."""
        chunks, self._full = self._full, []
        sequences = self._batch.step()
        self._record_log_probs(sequences)
        for sequence in sequences:
            text = self._texts[sequence]
            token = sequence.tokens[-1]
            has_ended = token in (self._end_of_text, text.end)
            chunk = text.finish("end_of_text") if has_ended else text.add(token)
            if chunk is not None:
                chunks.append((text, chunk))
            has_ended = chunk is not None and chunk.finished is not None
            if has_ended or len(sequence.tokens) == sequence.limit:
                self._batch.end(sequence)
                del self._texts[sequence]
                if not has_ended:  # the context is full, and the text continues after a part of it
                    self.add(text, first=True)
        return chunks

    def close(self) -> None:
        """Release the resources of decoding."""
        self._batch.close()

    def _record_log_probs(self, sequences: Sequence[TokenSequence]) -> None:
        recorded = [(row, self._texts[sequence]) for row, sequence in enumerate(sequences)]
        recorded = [(row, text) for row, text in recorded if text.top_log_probs is not None]
        if not recorded:
            return
        log_probs = self._batch.logits[[row for row, _ in recorded]].float().log_softmax(dim=-1)
        for (row, text), values in zip(recorded, log_probs, strict=True):
            token = sequences[row].tokens[-1]
            top, ids = values.topk(min(text.top_log_probs or 0, len(values)))
            text.log_probs.append(TokenLogProbs(token, float(values[token]), tuple(zip(ids.tolist(), top.tolist(), strict=True))))


def generate(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 100,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    stop: Sequence[str] = (),
    overflow: str = "stop",
    samples: int = 1,
    batch: int = 16,
    seed: int = 0,
    prompt_ids: Sequence[Sequence[int]] | None = None,
    end: int | None = None,
) -> list[list[Continuation]]:
    """Continue every prompt `samples` times, and return one list per prompt. Available as `gptkit.generate`.

    Args:
        model: as returned by `gptkit.load`, possibly moved to another device or dtype.
        tokenizer: the tokenizer of the model.
        prompts: texts to continue. An empty prompt starts a new text.
        max_new_tokens: maximum number of tokens of a continuation.
        temperature: 0 is greedy.
        top_k: sample from the k most probable tokens; 0: from all.
        top_p: sample from the most probable tokens that together have this probability.
        stop: end a continuation before any of these strings.
        overflow: when prompt and text fill the context, `stop` ends the continuation, and `slide` reads the last half of the
            context again as if the text began there (nanoGPT crops at every token instead, and reads the whole context each time).
        samples: number of continuations of each prompt.
        batch: number of sequences that are decoded together. On a CPU, the texts do not depend on it; on a GPU, rounding may.
        seed: the same seed gives the same texts with the same weights, machine and number of threads. The global random number
            generators are not used.
        prompt_ids: the token ids of the prompts, if they are not those of their texts.
        end: another token than end-of-text that ends a text.

    Raises:
        ConfigError: an argument is invalid.
        DataError: a prompt is longer than the model's context, and `overflow` is `stop`.
    """
    params = SamplingParams(
        max_new_tokens, temperature, top_k, top_p, stop if isinstance(stop, str) else tuple(stop), seed, _slides(overflow)
    )
    continuations: dict[tuple[int, int], Continuation] = {}  # in order of completion
    for chunk in _decode(
        model, tokenizer, prompts, params, samples=samples, batch=batch, live=False, prompt_ids=prompt_ids, end=end
    ):
        if chunk.finished is not None:
            continuations[chunk.prompt, chunk.sample] = chunk.finished
    return [[continuations[prompt, sample] for sample in range(samples)] for prompt in range(len(prompts))]


def stream(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 100,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    stop: Sequence[str] = (),
    overflow: str = "stop",
    samples: int = 1,
    batch: int = 16,
    seed: int = 0,
    prompt_ids: Sequence[Sequence[int]] | None = None,
    end: int | None = None,
) -> Iterator[TextChunk]:
    """Yield the texts of `generate` chunk by chunk. Chunks of sequences that share a batch are interleaved."""
    params = SamplingParams(
        max_new_tokens, temperature, top_k, top_p, stop if isinstance(stop, str) else tuple(stop), seed, _slides(overflow)
    )
    return _decode(model, tokenizer, prompts, params, samples=samples, batch=batch, live=True, prompt_ids=prompt_ids, end=end)


def _slides(overflow: str) -> bool:
    """Raises: ConfigError: `overflow` is neither stop nor slide."""
    if overflow not in ("stop", "slide"):
        raise ConfigError(f"overflow={overflow!r} must be stop or slide")
    return overflow == "slide"


def _decode(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    params: SamplingParams,
    *,
    samples: int,
    batch: int,
    live: bool,
    prompt_ids: Sequence[Sequence[int]] | None,
    end: int | None,
) -> Iterator[TextChunk]:
    if isinstance(prompts, str):
        raise ConfigError("prompts must be a list of texts; for a single text use [prompt]")
    if samples < 1 or batch < 1:
        raise ConfigError(f"samples={samples} and batch={batch} must be at least 1")
    context = None if params.slides else model.context
    encoded = [tokenizer.encode(prompt) for prompt in prompts] if prompt_ids is None else [list(ids) for ids in prompt_ids]
    encoded = [check_prompt(tokenizer, ids, context=context, index=index) for index, ids in enumerate(encoded)]
    texts = [
        TextSequence(
            tokenizer, encoded[index], params, context=model.context, key=(index, sample), prompt=prompt, live=live, end=end
        )
        for index, prompt in enumerate(prompts)
        for sample in range(samples)
    ]
    yield from _decode_texts(model, tokenizer, texts, batch=batch)


def continue_token_ids(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    params: SamplingParams,
    *,
    items: Sequence[int],
    batch: int = 16,
    end: int | None = None,
) -> list[Continuation]:
    """Continue prompts of token ids, once each. The `prompt` of a continuation is empty.

    Args:
        prompts: token ids, between one and the model's context.
        items: one distinct number per prompt, which determines its random numbers together with the seed.
        end: another token than end-of-text that ends a text.
    """
    texts = [
        TextSequence(tokenizer, prompt, params, context=model.context, key=(item, 0), end=end)
        for item, prompt in zip(items, prompts, strict=True)
    ]
    chunks = _decode_texts(model, tokenizer, texts, batch=batch)
    finished = {chunk.prompt: chunk.finished for chunk in chunks if chunk.finished is not None}
    return [finished[item] for item in items]


def _decode_texts(model: Model, tokenizer: Tokenizer, texts: Sequence[TextSequence], *, batch: int) -> Iterator[TextChunk]:
    if not texts:
        return
    slides = any(text.params.slides for text in texts)
    length = model.context if slides else max(text.length() for text in texts)
    engine = Engine(model, tokenizer, batch=batch, length=length)
    try:
        for text in texts:
            engine.add(text)
        while not engine.is_idle:
            yield from (chunk for _, chunk in engine.step())
    finally:
        engine.close()


def check_prompt(tokenizer: Tokenizer, ids: list[int], *, context: int | None, index: int = 0) -> list[int]:
    """Return the token ids of a prompt. An empty prompt becomes end-of-text, after which texts start.

    Raises:
        DataError: `context` is not None, and the prompt is longer.
    """
    ids = ids or [tokenizer.special["end_of_text"]]
    if context is not None and len(ids) > context:
        raise DataError(
            f"prompt {index + 1} has {len(ids)} tokens, more than the model's context of {context}; "
            "shorten it, or set overflow=slide to read only its end"
        )
    return ids
