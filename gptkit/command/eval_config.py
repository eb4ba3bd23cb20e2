"""The settings of the command `eval`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit.chat_template import ChatTemplateConfig
from gptkit.command.base import Command
from gptkit.constraints import SEQUENCES, at_least, at_most, not_empty, one_of
from gptkit.data import DataConfig
from gptkit.evaluation.config import FewShotConfig, OpenAIConfig
from gptkit.reward import RewardConfig
from gptkit.task import TaskConfig


@dataclass
class EvalCommand(Command):
    """Evaluate trained models on tasks, or one model against another.

    With `to`, every request and answer is written to items.jsonl, and the metrics with the whole protocol to results.json. The same
    command continues an evaluation that was stopped. Several tasks or models have sub-folders, `<to>/<model>/<task>/`, and the
    metrics of all of them are in table.json.
    """

    verb: ClassVar[str] = "eval"

    task: TaskConfig | None = None
    tasks: Annotated[
        dict[str, Any],
        "several tasks by any name, such as {piqa:{name:choice,data:{path:piqa.jsonl}}}; +eval=gpt2 adds those of a paper",
    ] = field(default_factory=dict)
    groups: Annotated[dict[str, Any], "groups of tasks whose main metrics are averaged, such as {superglue:[boolq,copa]}"] = field(
        default_factory=dict
    )
    checkpoint: Annotated[
        str,
        "a run, a checkpoint folder, hf:<folder or hub name>, or openai:<address>; several, separated by commas, are compared",
        not_empty,
    ] = MISSING
    against: Annotated[str | None, "the checkpoint of the model to compare with", not_empty] = None
    data: Annotated[DataConfig | None, "a source instead of the default source of the task or the run; null: the default"] = None
    chat: Annotated[bool, "contexts and prompts are messages of a user, and continuations answers, by the chat template"] = False
    chat_template: Annotated[
        ChatTemplateConfig | None, "with chat=true: the chat template; null: the one with which the model was trained"
    ] = None
    fewshot: FewShotConfig = field(default_factory=FewShotConfig)
    openai: OpenAIConfig = field(default_factory=OpenAIConfig)
    samples: Annotated[
        int, "sampled answers per item: mean scores, pass@k and the majority vote; 1: one answer", at_least(1), at_most(100_000)
    ] = 1
    pass_at: Annotated[list[int] | None, "the k of pass@k; null: 1, 10, 100 ... and samples", at_least(1), not_empty] = None
    require: Annotated[
        dict[str, Any],
        "values that metrics must reach, or the exit status is 1: {accuracy:0.6}, or by task, {piqa:{accuracy:0.6}}",
    ] = field(default_factory=dict)
    to: Annotated[str | None, "the folder for items.jsonl and results.json; null: only print the metrics", not_empty] = None
    index: Annotated[
        str | None,
        "an index of the training text (gptkit index): clean and dirty items get metrics of their own; null: none",
        not_empty,
    ] = None
    index_n: Annotated[int | None, "words of an N-gram of the index; null: as GPT-3 chooses it for the items", at_least(2)] = None
    reward: Annotated[RewardConfig | None, "the judge of tasks that need one; null: the reward of the checkpoint's run"] = None
    stop: Annotated[
        str | None,
        "decided: evaluate two models (checkpoint=a,b) on items in a random order, until one is better at a level of 5%; null: all "
        "items",
        one_of("decided"),
    ] = None
    seed: Annotated[int, "the same seed gives the same scores", at_least(0)] = 0
    batch: Annotated[
        int,
        "maximum number of sequences per forward pass, which does not change the scores; 0: as many as fit 4,096 tokens. For "
        "openai:..., of requests at a time; 0: 16",
        at_least(0),
        at_most(SEQUENCES),
    ] = 0
    precision: Annotated[str, "fp32, bf16, or auto (bf16 where it is fast)", one_of("auto", "fp32", "bf16")] = "fp32"
    format: Annotated[str, "table or json", one_of("table", "json")] = "table"

    def execute(self, folder: Path) -> Any:
        from gptkit.command.eval import evaluate

        return evaluate(self)
