"""Generates samples during training and writes them to samples.jsonl.

Sampling uses a separate random stream, so it does not change the weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from gptkit.atomic_io import wrap_os_errors
from gptkit.errors import ConfigError
from gptkit.generation import generate
from gptkit.model.base import Model
from gptkit.model.evaluation_mode import evaluation_mode
from gptkit.objective.base import Objective
from gptkit.objective.rollout_objective import RolloutObjective, ScoredSample
from gptkit.run_config import SamplesConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.reporting.fault_tolerance import best_effort
from gptkit.training.reporting.loggers import RunLogger
from gptkit.training.reporting.samples import FILE, read_samples
from gptkit.training.reporting.speed_and_mfu import SpeedMeter


class SampleLogger(Callback):
    """Continues the prompts every `samples.every` steps and at the end, and writes the samples to samples.jsonl and the loggers.

    An objective that generates responses to held-out prompts provides these with their scores instead. `after_step` is called after
    the checkpoint of the step is written. If a run is killed in between, the missing samples are generated when it resumes.
    """

    def __init__(
        self,
        folder: Path,
        settings: SamplesConfig,
        *,
        model: Model,
        tokenizer: Tokenizer,
        seed: int,
        meter: SpeedMeter,
        loggers: Sequence[RunLogger] = (),
    ) -> None:
        self.folder = folder
        self.path = folder / FILE
        self.settings = settings
        self.model = model
        self.tokenizer = tokenizer
        self.seed = seed
        self.meter = meter
        self.loggers = loggers
        for prompt in settings.prompts:
            length = len(tokenizer.encode(prompt))
            if length >= model.context:
                raise ConfigError(
                    f"samples.prompts: {prompt[:40]!r} is {length} tokens, and the model's context is {model.context}; shorten it"
                )

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if pl_module.state.step and self.is_missing(pl_module):
            self.write_samples(pl_module, first=trainer.is_global_zero)

    def after_step(self, trainer: Any, pl_module: Any) -> None:
        """Generate samples if they are due. Called after a step and its validation and checkpoint."""
        if self.is_scheduled(pl_module):
            self.write_samples(pl_module, first=trainer.is_global_zero)

    def is_scheduled(self, pl_module: Any) -> bool:
        """Return whether samples are due at the current step."""
        state, every = pl_module.state, self.settings.every
        return state.step == state.last_step or pl_module.finished_early or bool(every and state.step % every == 0)

    def is_missing(self, pl_module: Any) -> bool:
        """Return whether samples are due at the current step and samples.jsonl does not hold them."""
        has_samples = self.settings.prompts or _has_own_samples(pl_module.objective)
        return (
            bool(has_samples)
            and self.is_scheduled(pl_module)
            and all(row["step"] != pl_module.state.step for row in read_samples(self.folder))
        )

    def write_samples(self, pl_module: Any, *, first: bool) -> None:
        """Generate the samples of this step, and write them on the first process.

        All processes must call it, because the weights may be sharded.
        """
        with best_effort("samples"), self.meter.pause(), pl_module.ema_weights():
            samples = self._generate(pl_module.objective)
            if samples and first:
                self._write(samples, pl_module.state.step, pl_module.state.tokens)

    def _generate(self, objective: Objective) -> Sequence[ScoredSample]:
        objective_samples = objective.samples(self.model) if isinstance(objective, RolloutObjective) else []
        if objective_samples or not self.settings.prompts:
            return objective_samples
        with evaluation_mode(self.model):
            samples = generate(
                self.model,
                self.tokenizer,
                self.settings.prompts,
                max_new_tokens=self.settings.max_new_tokens,
                temperature=self.settings.temperature,
                top_k=self.settings.top_k,
                seed=self.seed,
            )
        return [ScoredSample(prompt, texts[0].text, {}) for prompt, texts in zip(self.settings.prompts, samples, strict=True)]

    def _write(self, samples: Sequence[ScoredSample], step: int, tokens: int) -> None:
        rows = [
            {"step": step, "tokens": tokens, "prompt": sample.prompt, "text": sample.text, **sample.scores} for sample in samples
        ]
        with wrap_os_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            # one call, so that the file holds either all samples of a step or none
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        for number, sample in enumerate(samples):
            scores = "".join(f"\n\n{name} {score:.3f}" for name, score in sample.scores.items())
            for logger in self.loggers:
                logger.log_text(f"sample {number + 1}", f"**{sample.prompt}**{sample.text}{scores}", step)


def _has_own_samples(objective: Objective) -> bool:
    return isinstance(objective, RolloutObjective) and type(objective).samples is not RolloutObjective.samples
