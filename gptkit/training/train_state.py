"""The state of a run: what each step updates, and what logs, progress bars and checkpoints read."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class TrainState:
    """The LightningModule's `state`. Tensors stay on the device; reading their values waits for the step."""

    step: int = 0
    """Optimizer steps done. Counted by gptkit; it is not Lightning's `global_step`, which counts optimizer calls."""

    tokens: int = 0
    """Tokens read by those steps, over all devices; the learning rate follows it."""

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
    """Metrics of callbacks, which add them in `on_validation_start` by the names under which they are logged with `val_loss`."""

    val_step: int = -1
    """The step at which `val_loss` was measured; -1: not yet."""

    monitor: str | None = None
    """The metric among `val_metrics` by which runs are compared; None: `val_loss`."""

    monitor_mode: str = "min"
    """Whether a lower ("min") or a higher ("max") value of it is better."""

    rank: float | None = None
    """The value of the latest validation by which checkpoints are sorted: the best checkpoint has the lowest."""

    best_val_loss: float | None = None
    """The lowest validation loss so far."""

    last_step: int = 0
    """The step with which the run ends."""
