"""The base class of callbacks, the built-in callbacks, and the hook that registers them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from gptkit.constraints import SCORE, at_least, at_most
from gptkit.errors import ConfigError
from gptkit.evaluation.config import FewShotConfig
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part
from gptkit.task import resolve_tasks

if TYPE_CHECKING:
    import lightning


@dataclass
class CallbackConfig(Part):
    """A Lightning callback, added to a run with `+callback@callback.<any name>=<part>`.

    Subclass it, give `name` a default, add fields, and write `build`.
    """

    name: str = ""

    def build(self) -> lightning.Callback:
        """Build the callback."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class EarlyStoppingConfig(CallbackConfig):
    """Stops a run when the validation loss has not improved for `patience` validations."""

    name: str = "early_stopping"
    patience: Annotated[int, "validations without improvement before the run stops", at_least(1)] = 3
    improvement: Annotated[
        float, "smallest decrease of the validation loss that counts as an improvement, in nats", at_least(0), at_most(SCORE)
    ] = 0.0

    def build(self) -> lightning.Callback:
        from gptkit.callback.early_stopping import EarlyStopping

        return EarlyStopping(patience=self.patience, improvement=self.improvement)


@dataclass
class EvaluationConfig(CallbackConfig):
    """Evaluates tasks during training, zero-shot or with examples in context.

    The main metric of a task is logged as `eval/<key>`, the others as `eval/<key>_<metric>`. The callback has its own random
    numbers, and does not change the weights of the run. The default tasks are two of the zero-shot behaviours of "Improving
    Language Understanding by Generative Pre-Training", section 5 and figure 2, right.
    """

    name: str = "evaluation"
    tasks: Annotated[dict[str, Any], "task parts with their `name`, each under a key of your choice; null removes one"] = field(
        default_factory=lambda: {"sentiment": {"name": "next_word"}, "stories": {"name": "choice"}}
    )
    every: Annotated[int, "evaluate after every so many steps and after the last one; 0: at every validation", at_least(0)] = 0
    examples: Annotated[int, "maximum number of examples of a task that does not set it, evenly spaced; 0: all", at_least(0)] = 256
    fewshot: FewShotConfig = field(default_factory=FewShotConfig)

    def build(self) -> lightning.Callback:
        """Build the callback.

        Raises:
            ConfigError: there is no task, or a task cannot be built.
            DataError: the examples of a task cannot be read.
        """
        from gptkit.callback.evaluation import Evaluation
        from gptkit.evaluation.task_evaluation import TaskEvaluation, prepare_task

        try:
            configs = resolve_tasks(self.tasks, path="tasks", defaults={"examples": self.examples})
            tasks = {key: prepare_task(TaskEvaluation(config, fewshot=self.fewshot)) for key, config in configs.items()}
        except ConfigError as error:
            raise ConfigError(f"callback=evaluation: {error}") from error
        if not tasks:
            raise ConfigError("callback=evaluation needs tasks, such as tasks={sentiment:{name:next_word}}")
        return Evaluation(tasks, every=self.every)


@dataclass
class LearningRateMonitorConfig(CallbackConfig):
    """Log the learning rate of every parameter group, and on request its momentum and weight decay. It needs a logger."""

    name: str = "learning_rate_monitor"
    momentum: Annotated[bool, "also log the momentum (beta1 of Adam)"] = False
    weight_decay: Annotated[bool, "also log the weight decay"] = False

    def build(self) -> lightning.Callback:
        from gptkit.callback.monitors import LearningRateMonitor

        return LearningRateMonitor("step", log_momentum=self.momentum, log_weight_decay=self.weight_decay)


@dataclass
class DeviceStatsMonitorConfig(CallbackConfig):
    """Log the memory and load of the device at the start and the end of logged steps. It needs a logger."""

    name: str = "device_stats_monitor"
    cpu_stats: Annotated[bool | None, "log those of the CPU: true, false, or null: only if it is the device"] = None

    def build(self) -> lightning.Callback:
        """Raises: ConfigError: psutil is not installed."""
        import importlib.util

        from lightning.pytorch.callbacks import DeviceStatsMonitor

        if self.cpu_stats is not False and importlib.util.find_spec("psutil") is None:
            raise ConfigError("callback=device_stats_monitor needs the package psutil, which is not installed: pip install psutil")
        return DeviceStatsMonitor(self.cpu_stats)


@hookimpl
def gptkit_callback() -> list[type[CallbackConfig]]:
    return [EarlyStoppingConfig, EvaluationConfig, LearningRateMonitorConfig, DeviceStatsMonitorConfig]
