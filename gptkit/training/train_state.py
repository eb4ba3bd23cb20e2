"""The state of a run, which each step updates. Loggers, progress bars and checkpoints read it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class TrainState:
    """The `state` of `TrainModule`. Tensors stay on the device; reading their values waits for the step."""

    step: int = 0
    """The number of completed steps. It differs from Lightning's `global_step`, which counts calls of the optimizer."""

    tokens: int = 0
    """The number of tokens read so far, over all devices; the learning rate schedule depends on it."""

    loss: Tensor | None = None
    """Training loss of the last step over all devices: a detached scalar, nats per token for `lm`."""

    metrics: dict[str, Tensor] = field(default_factory=dict)
    """Means of the objective's metrics over the last step's sequences, on all devices: detached scalars."""

    grad_norm: Tensor | None = None
    """Global norm of the last step's gradient before clipping: a detached scalar."""

    lr: float = 0.0
    """Learning rate of the last step (of the parameter group with the highest peak)."""

    val_loss: float | None = None
    """The latest validation loss, in nats per token for `lm`."""

    val_metrics: dict[str, float] = field(default_factory=dict)
    """Means of the objective's metrics over the validation set, at the latest validation."""

    callback_metrics: dict[str, float] = field(default_factory=dict)
    """Metrics that callbacks add in `on_validation_start`, by the names under which they are logged with `val_loss`."""

    logged: dict[str, Tensor] = field(default_factory=dict)
    """Metrics that callbacks passed to `log` since the last row of metrics.csv."""

    row_step: int = -1
    """The step at which a callback asked for a row of metrics.csv; -1: none."""

    val_step: int = -1
    """The step at which `val_loss` was measured; -1: not yet."""

    monitor: str | None = None
    """The metric in `val_metrics` by which runs are compared; None: `val_loss`."""

    monitor_mode: str = "min"
    """Whether a lower ("min") or a higher ("max") value of the monitored metric is better."""

    value_to_minimize: float | None = None
    """The value of the latest validation by which checkpoints are sorted. The best checkpoint has the lowest value."""

    best_val_loss: float | None = None
    """The lowest validation loss so far."""

    last_step: int = 0
    """The last step of the run."""
