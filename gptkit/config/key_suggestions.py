"""Suggest a key for an unknown word: by the last component of a dotted key, or by its name in nanoGPT or Hugging Face.

For `lr=1e-3` the suggestion is `optimizer.lr`, and for `n_layer=12` it is `model.layers`. The key is not replaced automatically;
the error message says what to write.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from typing import Any

from gptkit.parts import fields_of
from gptkit.plugins import registry

KEYS_BY_FOREIGN_NAME: dict[str, tuple[str, ...]] = {
    # the model: nanoGPT, then transformers
    "n_layer": ("model.layers",),
    "n_layers": ("model.layers",),
    "num_layers": ("model.layers",),
    "num_hidden_layers": ("model.layers",),
    "depth": ("model.layers",),
    "n_head": ("model.heads",),
    "n_heads": ("model.heads",),
    "num_heads": ("model.heads",),
    "num_attention_heads": ("model.heads",),
    "n_embd": ("model.width",),
    "d_model": ("model.width",),
    "dim": ("model.width",),
    "embed_dim": ("model.width",),
    "hidden_size": ("model.width",),
    "block_size": ("model.context",),
    "n_ctx": ("model.context",),
    "n_positions": ("model.context",),
    "seq_len": ("model.context",),
    "sequence_length": ("model.context",),
    "context_length": ("model.context",),
    "max_seq_length": ("model.context",),
    "max_length": ("max_new_tokens", "model.context"),
    "max_position_embeddings": ("model.context",),
    "attention_dropout": ("model.dropout",),
    "resid_pdrop": ("model.dropout",),
    "embd_pdrop": ("model.dropout",),
    "attn_pdrop": ("model.dropout",),
    "attn_implementation": ("attention",),
    "attention_window": ("attention.window",),
    "sliding_window": ("attention.window",),
    "tie_word_embeddings": ("model.tied",),
    "vocab_size": ("tokenizer.size",),
    # the optimizer
    "learning_rate": ("optimizer.lr",),
    "base_lr": ("optimizer.lr",),
    "max_lr": ("optimizer.lr",),
    "min_lr": ("optimizer.schedule.floor",),
    "grad_clip": ("optimizer.clip",),
    "max_grad_norm": ("optimizer.clip",),
    "gradient_clip_val": ("optimizer.clip",),
    "wd": ("optimizer.weight_decay",),
    "beta1": ("optimizer.betas",),
    "beta2": ("optimizer.betas",),
    "adam_beta1": ("optimizer.betas",),
    "adam_beta2": ("optimizer.betas",),
    "adam_epsilon": ("optimizer.eps",),
    "optim": ("optimizer",),
    "decay_lr": ("optimizer.schedule.shape",),
    "scheduler": ("optimizer.schedule.shape",),
    "lr_scheduler": ("optimizer.schedule.shape",),
    "lr_scheduler_type": ("optimizer.schedule.shape",),
    "lr_decay_iters": ("optimizer.schedule.decay",),
    "warmup_iters": ("optimizer.schedule.warmup",),
    "warmup_steps": ("optimizer.schedule.warmup",),
    "warmup_ratio": ("optimizer.schedule.warmup",),
    # the length of a run, and its batches
    "max_iters": ("trainer.max_steps",),
    "max_steps": ("trainer.max_steps",),
    "num_steps": ("trainer.max_steps",),
    "total_steps": ("trainer.max_steps",),
    "iters": ("trainer.max_steps",),
    "steps": ("trainer.max_steps",),
    "num_train_epochs": ("epochs",),
    "num_epochs": ("epochs",),
    "max_epochs": ("epochs",),
    "max_tokens": ("max_new_tokens", "tokens"),
    "batch_size": ("batch.size", "batch"),
    "bs": ("batch.size", "batch"),
    "train_batch_size": ("batch.size",),
    "global_batch_size": ("batch.size",),
    "total_batch_size": ("batch.size",),
    "per_device_train_batch_size": ("batch.micro",),
    "per_device_eval_batch_size": ("batch.micro",),
    "micro_batch_size": ("batch.micro",),
    "device_batch_size": ("batch.micro",),
    "gradient_accumulation_steps": ("batch.micro",),
    "accumulate_grad_batches": ("batch.micro",),
    "auto_find_batch_size": ("batch.micro",),
    # validation, saving, samples
    "eval_interval": ("val.every",),
    "eval_steps": ("val.every",),
    "val_check_interval": ("val.every",),
    "eval_iters": ("val.sequences",),
    "limit_val_batches": ("val.sequences",),
    "val_split": ("val.fraction",),
    "validation_split": ("val.fraction",),
    "test_size": ("val.fraction",),
    "always_save_checkpoint": ("save.every",),
    "save_interval": ("save.every",),
    "save_steps": ("save.every",),
    "checkpoint_every": ("save.every",),
    "save_total_limit": ("save.keep",),
    "sample_interval": ("samples.every",),
    # the initial weights and the output folder
    "out_dir": ("hydra.run.dir", "to", "output"),
    "output_dir": ("hydra.run.dir", "to", "output"),
    "output_path": ("hydra.run.dir", "to", "output"),
    "run_dir": ("hydra.run.dir",),
    "save_dir": ("hydra.run.dir", "to"),
    "logging_dir": ("hydra.run.dir",),
    "report_to": ("logger",),
    "wandb_log": ("logger",),
    "wandb_project": ("logger.wandb.project",),
    "wandb_entity": ("logger.wandb.entity",),
    "wandb_run_name": ("logger.wandb.run_name",),
    "wandb_group": ("logger.wandb.group",),
    "mlflow_tracking_uri": ("logger.mlflow.tracking_uri",),
    "default_root_dir": ("hydra.run.dir",),
    "resume": ("hydra.run.dir",),
    "resume_from": ("hydra.run.dir",),
    "resume_from_checkpoint": ("hydra.run.dir",),
    "ckpt": ("init_from", "checkpoint"),
    "ckpt_path": ("init_from", "checkpoint"),
    "checkpoint_path": ("init_from", "checkpoint"),
    "model_path": ("init_from", "checkpoint"),
    "model_name": ("init_from", "checkpoint"),
    "model_name_or_path": ("init_from", "checkpoint"),
    "pretrained_model_name_or_path": ("init_from", "checkpoint"),
    "from_pretrained": ("init_from", "checkpoint"),
    # the data
    "dataset": ("data",),
    "dataset_name": ("data",),
    "data_dir": ("data.path",),
    "data_path": ("data.path",),
    "data_file": ("data.path",),
    "train_file": ("data.path",),
    "input_file": ("input", "prompts", "data.path"),
    "text_column": ("text", "data.field"),
    "tokenizer_name": ("tokenizer",),
    # generation
    "start": ("prompt",),
    "input_text": ("prompt",),
    "num_samples": ("samples",),
    "num_return_sequences": ("samples",),
    "temp": ("temperature",),
    "stop_strings": ("stop",),
    "stop_sequences": ("stop",),
    "n_best": ("best_of",),
    # the machine, and Lightning's Trainer
    "torch_compile": ("compile",),
    "random_seed": ("seed",),
    "data_seed": ("seed",),
    "dtype": ("trainer.precision", "precision"),
    "torch_dtype": ("trainer.precision", "precision"),
    "bf16": ("trainer.precision", "precision"),
    "fp16": ("trainer.precision", "precision"),
    "mixed_precision": ("trainer.precision", "precision"),
    "precision": ("trainer.precision",),
    "device": ("trainer.accelerator",),
    "accelerator": ("trainer.accelerator",),
    "use_cpu": ("trainer.accelerator",),
    "no_cuda": ("trainer.accelerator",),
    "gpus": ("trainer.devices",),
    "num_gpus": ("trainer.devices",),
    "n_gpus": ("trainer.devices",),
    "devices": ("trainer.devices",),
    "nproc_per_node": ("trainer.devices",),
    "num_nodes": ("trainer.num_nodes",),
    "nnodes": ("trainer.num_nodes",),
    "strategy": ("trainer.strategy",),
    "fsdp": ("trainer.strategy",),
    "deepspeed": ("trainer.strategy",),
    "max_time": ("trainer.max_time",),
    "log_interval": ("trainer.log_every_n_steps",),
    "logging_steps": ("trainer.log_every_n_steps",),
    "log_every_n_steps": ("trainer.log_every_n_steps",),
    "gradient_checkpointing": ("batch.micro",),
    "ema_decay": ("ema",),
    "beta": ("objective.beta",),
    "kl_coeff": ("objective.kl_coef",),
    "init_kl_coef": ("objective.kl_coef",),
    "gamma": ("objective.discount",),
    "lam": ("objective.gae_lambda",),
    "cliprange": ("objective.clip",),
    "cliprange_value": ("objective.value_clip",),
    "vf_coef": ("objective.value_coef",),
    "num_ppo_epochs": ("objective.inner_epochs",),
    "num_generations": ("objective.group",),
    "completion_only_loss": ("objective.learn",),
}
"""Name in another library -> the keys with that meaning. Only keys that the verb has are suggested."""

_MAX_SHOWN = 3
"""Maximum number of keys, and of parts per key, that a suggestion names."""


def dotted_keys(verb: str) -> dict[str, list[str]]:
    """Return every dotted key that a verb can have, with the parts that have it (`data=text`).

    The list of parts is empty if the verb itself or every part of the kind has the key.
    """
    parts = registry().parts
    keys: dict[str, list[str]] = {}
    for field in fields_of(parts["command"][verb].part):
        kind = field.name
        keys[kind] = []
        if kind not in parts:
            keys.update((f"{kind}.{inner}", []) for inner in _nested_names(field.default))
            continue
        parts_by_key: dict[str, list[str]] = {}
        for name, entry in parts[kind].items():
            owner = {"callback": "callback.<name>", "logger": f"logger.{name}"}.get(kind, kind)
            for inner in fields_of(entry.part):
                if inner.name != "name":
                    for key in [inner.name, *(f"{inner.name}.{below}" for below in _nested_names(inner.default))]:
                        parts_by_key.setdefault(f"{owner}.{key}", []).append(f"{kind}={name}")
        everywhere = len(parts[kind])
        keys.update({key: [] if len(names) == everywhere or kind == "logger" else names for key, names in parts_by_key.items()})
    return keys


def _nested_names(default: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(default)] if dataclasses.is_dataclass(default) else []


def matching_keys(verb: str, word: str, *, near: bool = False) -> list[str]:
    """Return the keys that a word may mean, by last component or by a name in another library, the most likely first.

    Args:
        verb: the verb of the command line.
        word: a word of the command line, such as `lr`, `--batch-size` or `training.learning_rate`.
        near: also match names that differ in a letter or two.
    """
    known = dotted_keys(verb)
    name = word.strip("-+~").replace("-", "_").lower().rpartition(".")[2]
    if name in KEYS_BY_FOREIGN_NAME and (keys := [key for key in KEYS_BY_FOREIGN_NAME[name] if _verb_has_key(verb, key, known)]):
        return keys[:1]
    matches = [key for key in known if key.rpartition(".")[2] == name]
    if not matches and near:
        names = {key.rpartition(".")[2] for key in known} | KEYS_BY_FOREIGN_NAME.keys()
        for close in difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.8):
            return matching_keys(verb, close)
    return sorted(matches, key=lambda key: (key.count("."), -len(known[key]) if known[key] else -math.inf))


def _verb_has_key(verb: str, key: str, known: dict[str, list[str]]) -> bool:
    if key.startswith("trainer."):
        return "trainer" in known
    if key.startswith("hydra."):
        return bool(registry().parts["command"][verb].part.writes_folder)
    return key in known


def suggest_matching_key(verb: str, word: str, *, near: bool = False) -> str:
    """Return " Did you mean optimizer.lr?" for an unknown key, and the parts that have the key unless all do."""
    known = dotted_keys(verb)
    keys = matching_keys(verb, word, near=near)
    return f" Did you mean {' or '.join(key + _format_parts(known.get(key, [])) for key in keys[:_MAX_SHOWN])}?" if keys else ""


def _format_parts(parts: list[str]) -> str:
    return f" (of {', '.join(parts[:_MAX_SHOWN])}{', ...' if len(parts) > _MAX_SHOWN else ''})" if parts else ""
