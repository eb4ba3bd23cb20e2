"""The imports of the server of `tests.processes`, which its processes share. They start no thread and compute nothing."""

import gc

import lightning
import torch
import torch.utils.tensorboard

import gptkit.command.eval
import gptkit.command.push
import gptkit.command.train
import gptkit.config.hydra_run
import gptkit.logger.tensorboard_logger
import gptkit.training.fit

__all__ = ["gptkit", "lightning", "torch"]

gc.freeze()  # a collection in a forked process would copy the memory of all these objects
