"""Text drawn while training, on a random stream of its own: a run with samples and one without end with the same weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from gptkit.command import Samples
from gptkit.errors import ConfigError
from gptkit.generation import generate
from gptkit.model.built import BuiltModel
from gptkit.model.use import as_for_use
from gptkit.objective.built import BuiltObjective, Sample
from gptkit.tokenizer.built import BuiltTokenizer
from gptkit.training.checkpoints.durable import named_errors
from gptkit.training.record.metrics import Metrics
from gptkit.training.record.sample_lines import FILE
from gptkit.training.record.speed import SpeedMeter


class SampleTexts(Callback):
    """Continues the prompts every `samples.every` steps and at the end: a line of samples.jsonl each, and a text in TensorBoard.

    An objective that answers held-out prompts of its own shows these answers instead, with their scores.
    """

    def __init__(
        self,
        folder: Path,
        settings: Samples,
        *,
        model: BuiltModel,
        tokenizer: BuiltTokenizer,
        seed: int,
        meter: SpeedMeter,
        metrics: Metrics,
    ) -> None:
        self.path = folder / FILE
        self.settings = settings
        self.model = model
        self.tokenizer = tokenizer
        self.seed = seed
        self.meter = meter
        self.metrics = metrics
        for prompt in settings.prompts:
            length = len(tokenizer.encode(prompt))
            if length >= model.context:
                raise ConfigError(
                    f"samples.prompts: {prompt[:40]!r} is {length} tokens, and the model's context is {model.context}; shorten it"
                )

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        state, every = pl_module.state, self.settings.every
        if state.step == state.last_step or (every and state.step % every == 0):
            with self.meter.paused(), pl_module.averaged():
                # every process draws, because the weights may be spread over them; the first one writes
                drawn = self._draw(pl_module.objective)
                if drawn and trainer.is_global_zero:
                    self._write(drawn, state.step, state.tokens)

    def _draw(self, objective: BuiltObjective) -> Sequence[Sample]:
        own = objective.samples(self.model)
        if own or not self.settings.prompts:
            return own
        with as_for_use(self.model):
            drawn = generate(
                self.model,
                self.tokenizer,
                self.settings.prompts,
                max_new_tokens=self.settings.max_new_tokens,
                temperature=self.settings.temperature,
                top_k=self.settings.top_k,
                seed=self.seed,
            )
        return [Sample(prompt, texts[0].text, {}) for prompt, texts in zip(self.settings.prompts, drawn, strict=True)]

    def _write(self, drawn: Sequence[Sample], step: int, tokens: int) -> None:
        with named_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            for number, sample in enumerate(drawn):
                row = {"step": step, "tokens": tokens, "prompt": sample.prompt, "text": sample.text, **sample.scores}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                if self.metrics.board is not None:
                    scores = "".join(f"\n\n{name} {score:.3f}" for name, score in sample.scores.items())
                    self.metrics.board.add_text(f"sample {number + 1}", f"**{sample.prompt}**{sample.text}{scores}", step)
