"""A run folder into which tests write checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gptkit.attention import BandedAttentionConfig
from gptkit.callback import EarlyStoppingConfig
from gptkit.data import TextConfig
from gptkit.model import GPTConfig
from gptkit.objective import LMConfig
from gptkit.optimizer import AdamWConfig
from gptkit.run_config import RunConfig
from gptkit.tokenizer import BytesTokenizerConfig
from gptkit.training.checkpoints.save import write_checkpoint

SETTINGS = RunConfig(
    model=GPTConfig(layers=1, heads=2, width=8, context=16),
    attention=BandedAttentionConfig(window=4),
    objective=LMConfig(),
    tokenizer=BytesTokenizerConfig(),
    data=TextConfig(path=["books/${not_a_key}", "a \\${b", "1e-5", "no"]),
    optimizer=AdamWConfig(betas=[0.8, 0.9]),
    callback={"stop": EarlyStoppingConfig(patience=7)},
    trainer={"max_steps": 5, "precision": "32-true"},
)


class Run:
    """A run folder with a model that was trained for one step, so that its optimizer has a state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        torch.manual_seed(0)
        self.tokenizer = BytesTokenizerConfig().build(texts=[])
        self.model = SETTINGS.model.build(attention=SETTINGS.attention, vocabulary=self.tokenizer.size)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.model.logits(self.model(torch.arange(8)[None])).square().mean().backward()
        self.optimizer.step()

    def state(self) -> dict[str, object]:
        return {"optimizer": self.optimizer.state_dict(), "tokens": 1 << 40, "rng": {"cpu": torch.get_rng_state()}, "note": None}

    def save(self, step: int, *, keep: int = 0, val_loss: float | None = None, **changes: Any) -> Path:
        arguments: dict[str, Any] = {
            "model_state": self.model.state_dict(),
            "objective_state": None,
            "state": self.state(),
            **changes,
        }
        return write_checkpoint(
            self.folder,
            step=step,
            tokenizer=self.tokenizer,
            settings=SETTINGS,
            keep=keep,
            val_loss=val_loss,
            value_to_minimize=val_loss,
            **arguments,
        )
