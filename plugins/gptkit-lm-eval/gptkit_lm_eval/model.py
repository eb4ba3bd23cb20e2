"""gptkit's models in lm-evaluation-harness: `--model gptkit --model_args checkpoint=runs/x`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from gptkit.command.eval_models import load_subject
from gptkit.data.progress import Progress
from gptkit.errors import ConfigError, did_you_mean
from gptkit.evaluation.runner import evaluate
from gptkit.generation.precision import prepare_device
from gptkit.task.base import Item, Task
from gptkit.task.requests import Answer, LogLikelihood
from gptkit_lm_eval.instances import to_request, to_response

if TYPE_CHECKING:
    from gptkit.task.comparison import Subject

ARGUMENTS = ("checkpoint", "precision", "seed")
PRECISIONS = ("auto", "fp32", "bf16")


@register_model("gptkit")
class GptkitLM(LM):  # type: ignore[misc]
    """A model that gptkit can load. Continuations of the same context share one forward pass over it."""

    def __init__(
        self,
        checkpoint: str = "",
        precision: str = "fp32",
        seed: int = 0,
        *,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
        **unknown: Any,
    ) -> None:
        """
        Args:
            checkpoint: a run, a checkpoint folder, or hf:<folder or hub name>.
            precision: fp32, bf16, or auto (bf16 where it is fast).
            seed: seed of sampled texts.
            batch_size: maximum number of contexts per forward pass; 1 (the harness's default) and auto: as many as fit a fixed
                number of tokens. It does not change scores.
            max_batch_size: not used.
            device: a device of PyTorch; None, and cuda without CUDA (the harness's default): the accelerator of this machine, or
                else the CPU.
            unknown: arguments that do not exist.

        Raises:
            ConfigError: an argument is missing or invalid.
            CheckpointError: the checkpoint cannot be read.
        """
        super().__init__()
        unknown.pop("trust_remote_code", None)  # gptkit never executes code of a checkpoint
        for name in unknown:
            raise ConfigError(f"--model_args: gptkit has no argument {name}.{did_you_mean(name, ARGUMENTS)}".removesuffix("."))
        if not checkpoint:
            raise ConfigError("--model gptkit needs --model_args checkpoint=<run, checkpoint folder or hf:name>")
        if precision not in PRECISIONS:
            raise ConfigError(f"--model_args: precision={precision} must be one of {', '.join(PRECISIONS)}")
        if device is None or (device.startswith("cuda") and not torch.cuda.is_available()):
            self._device = prepare_device()
        else:
            self._device = torch.device(device)
        self.subject: Subject = load_subject(str(checkpoint), self._device, precision=precision)
        self._seed = int(seed)
        self._rows = 0 if batch_size is None or str(batch_size).startswith("auto") or int(batch_size) <= 1 else int(batch_size)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return self._respond(requests)

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        return self._respond(requests)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        return self._respond(requests)

    def _respond(self, instances: Sequence[Instance]) -> list[Any]:
        responses: list[Any] = [None] * len(instances)

        def keep(place: int, response: Any) -> None:
            responses[place] = response
            self.cache_hook.add_partial(instances[place].request_type, instances[place].args, response)

        if instances:
            task = RequestsTask(instances, keep)
            with Progress(instances[0].request_type) as progress:
                evaluate(
                    task,
                    self.subject,
                    seed=self._seed,
                    batch=self._rows,
                    progress=lambda done, total: progress.show(done / total, f"{done:,} of {total:,} contexts"),
                )
        return responses


class RequestsTask(Task):
    """Passes the responses to given requests on as soon as they are computed. Requests with the same context are one item."""

    def __init__(self, instances: Sequence[Instance], keep: Any) -> None:
        """
        Args:
            instances: the requests.
            keep: receives the place of each request and its response.
        """
        self._keep = keep
        places: dict[Any, list[int]] = {}
        requests = [to_request(instance) for instance in instances]
        for place, request in enumerate(requests):
            places.setdefault(request.context if isinstance(request, LogLikelihood) else place, []).append(place)
        self._items = [Item(tuple(requests[place] for place in group), target=group) for group in places.values()]

    def items(self) -> Sequence[Item]:
        return self._items

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        for place, request, answer in zip(item.target, item.requests, answers, strict=True):
            self._keep(place, to_response(request, answer))
        return {}
