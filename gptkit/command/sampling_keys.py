"""The keys of sampling, which are the same for every command that generates text."""

from __future__ import annotations

from typing import Annotated

from gptkit.constraints import CONTEXT, SCORE, above, at_least, at_most, one_of

MaxNewTokens = Annotated[int, "maximum number of new tokens", at_least(1), at_most(CONTEXT)]
Temperature = Annotated[float, "sampling temperature; 0 is greedy", at_least(0), at_most(SCORE)]
TopK = Annotated[int, "sample from the k most probable tokens; 0: from all", at_least(0)]
TopP = Annotated[float, "sample from the most probable tokens whose probabilities add up to this value", above(0), at_most(1)]
Stop = Annotated[list[str], "end a continuation before any of these texts"]
Seed = Annotated[int, "the same seed gives the same text on the same machine", at_least(0)]
Precision = Annotated[str, "auto, fp32 or bf16", one_of("auto", "fp32", "bf16")]
