"""Packed rows: responses in the same row do not attend to one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def test_the_loss_of_a_response_does_not_depend_on_its_row(
    source: Any, sft: Callable[..., Any], dialogue: Callable[..., Any], model_of: Callable[..., Any]
) -> None:
    def losses(*neighbours: tuple[str, str]) -> torch.Tensor:
        built = sft(context=40)
        train = built.datasets(
            source([dialogue("Name?", " Ann")] + [dialogue(*text) for text in neighbours]), validation_fraction=0
        )
        batch = train["train"].batch([0])
        assert batch["tokens"].shape[0] == len(train["train"]) == 1
        mine = batch["segments"] == len(neighbours) if neighbours else batch["loss_mask"]
        learned = batch["loss_mask"] & mine
        model = model_of(built)
        logits = model.logits(model(batch["tokens"], segments=batch["segments"]))
        return torch.nn.functional.cross_entropy(logits[learned], batch["targets"][learned], reduction="none")

    one, other = losses(("Where?", " In a city")), losses(("Which?", " The other"))
    assert one.shape == (len(" Ann") + 1,)
    torch.testing.assert_close(one, other, rtol=0, atol=0)
