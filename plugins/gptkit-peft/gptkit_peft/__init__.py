"""`adapter=lora`: low-rank adapters of the peft library, for `model=gpt`, `model=hf` and any model with linear layers in blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from gptkit import hookimpl
from gptkit.adapter import AdapterConfig
from gptkit.constraints import WIDTH, above, at_least, at_most, below

if TYPE_CHECKING:
    from torch import nn

    from gptkit.adapter.base import Adapter


@dataclass
class LoRAConfig(AdapterConfig):
    """LoRA: a product of two small matrices, which is added to the weight of each linear layer.

    Source: "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1, which adapts only query and value projections. By
    default, all linear layers of attention and MLP are adapted, as in "QLoRA: Efficient Finetuning of Quantized LLMs", section 4.
    """

    name: str = "lora"
    rank: Annotated[int, "rank r of the added matrices", at_least(1), at_most(WIDTH)] = 8
    alpha: Annotated[float, "the product of the two matrices is multiplied by alpha / rank", above(0), at_most(1e6)] = 16.0
    dropout: Annotated[float, "probability of dropping an input of the added matrices in training", at_least(0), below(1)] = 0.0
    targets: Annotated[
        list[str],
        "names of the adapted linear layers, such as [attention.qkv] or [q_proj,v_proj]; empty: all of attention and MLP",
    ] = field(default_factory=list)
    seed: Annotated[int | None, "random seed of the initial weights; null: that of the run", at_least(0)] = None

    def build(self, *, model: nn.Module, seed: int) -> Adapter:
        """Raise ConfigError if the model has no linear layer of these names."""
        from gptkit_peft.lora import add_lora

        return add_lora(self, model, seed=seed if self.seed is None else self.seed)


@hookimpl
def gptkit_adapter() -> list[type[AdapterConfig]]:
    return [LoRAConfig]
