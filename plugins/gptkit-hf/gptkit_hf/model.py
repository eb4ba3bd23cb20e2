"""A causal language model of transformers behind the kit's interface."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from gptkit.errors import CheckpointError, ConfigError
from gptkit.model.base import Cache, Model
from gptkit_hf import source
from gptkit_hf.cache import HFCache
from gptkit_hf.head import Head
from gptkit_hf.masks import check_separable, separating

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer
    from gptkit_hf import HFModelConfig

NET = "net"
"""Weights are named as transformers names them, behind this word."""


class HFModel(Model):
    """Shapes: B batch, T time, D width, V vocabulary. `net` is the model of transformers, which may be used as one at any time."""

    def __init__(self, settings: HFModelConfig, *, vocabulary: int) -> None:
        """Draw random weights, as the model's configuration says.

        Raises:
            ConfigError: `model.context` is beyond the model's limit.
        """
        super().__init__()
        config = configuration(settings)
        source.check_context(config, settings)
        self.vocabulary = vocabulary
        self.context = (source.limit(config) if settings.pretrained else None) or settings.context
        with source.one_line(f"model.path={settings.path}"):
            self.net: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config, dtype=torch.float32, trust_remote_code=False
            )
        self.body_name = self.net.base_model_prefix
        if self.body_name not in self.net._modules:
            raise ConfigError(f"model.path={settings.path}: a model of type {config.model_type} has no body apart from its head")
        if vocabulary > self.net.get_input_embeddings().weight.shape[0]:  # an objective's tokens: rows drawn as all others were
            self.net.resize_token_embeddings(vocabulary, mean_resizing=False)
        takes = inspect.signature(self.body.forward).parameters
        self.takes_positions, self.takes_mask = "position_ids" in takes, "attention_mask" in takes
        self.eager = self.net.config._attn_implementation == "eager"
        self.remembers = "past_key_values" in takes and self.takes_mask and self.net._supports_default_dynamic_cache()
        self.uncached: dict[str, Any] = {"use_cache": False} if self.remembers or "use_cache" in takes else {}
        # a model that knows its padding looks for it in every batch, which waits for the device, and warns; here is none
        self.padding: int | None = getattr(self.net.config, "pad_token_id", None)  # some configurations have no such key
        if self.padding is not None:
            self.net.config.pad_token_id = None
        self._head = (Head(self.net),)  # in a tuple, so that it is no module of this one: its weights are those of `net`

    @property
    def body(self) -> PreTrainedModel:
        """The model without its head: tokens to hidden states."""
        body: PreTrainedModel = getattr(self.net, self.body_name)
        return body

    def forward(self, tokens: Tensor, *, cache: Cache | None = None, segments: Tensor | None = None) -> Tensor:
        """As `Model.forward`; raises a ConfigError for segments that this kind of model cannot keep apart."""
        if cache is not None:
            assert isinstance(cache, HFCache)
            return self._continue(tokens, cache)
        if tokens.shape[1] > self.context:
            raise ValueError(f"a sequence of {tokens.shape[1]} tokens is longer than the model's context of {self.context}")
        known = dict(self.uncached)
        if segments is not None:
            check_separable(self.body, self.net.config, tokens.shape[1])
            known["attention_mask"] = separating(segments, additive=self.net.dtype if self.eager else None)
            if self.takes_positions:  # some models would count them along the mask
                known["position_ids"] = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        return self.body(input_ids=tokens, **known)[0]  # type: ignore[no-any-return]  # (B, T, D)

    def _continue(self, tokens: Tensor, cache: HFCache) -> Tensor:
        read, columns = cache.advance(tokens)
        if not self.remembers:
            return self._again(cache, tokens.shape[1], columns)
        known: dict[str, Any] = {"past_key_values": cache.memory, "use_cache": True, "attention_mask": cache.mask()}
        if self.takes_positions:
            known["position_ids"] = cache.positions(read.shape[1])
        hidden: Tensor = self.body(input_ids=read, **known)[0]
        return hidden if columns is None else take(hidden, columns)

    def _again(self, cache: HFCache, width: int, columns: Tensor | None) -> Tensor:
        """For models without a memory: read every row from its beginning, padded on the right, where nothing looks."""
        total = cache.tokens.shape[1]
        steps = torch.arange(total, device=cache.tokens.device)
        padding = (total - cache.lengths).unsqueeze(1)  # (B, 1)
        aligned = cache.tokens.gather(1, (steps + padding) % total)
        hidden: Tensor = self.body(input_ids=aligned, **self.uncached)[0]
        if columns is None:
            columns = torch.arange(total - width, total, device=steps.device).expand(len(aligned), -1)
        return take(hidden, (columns - padding).clamp(min=0))

    def logits(self, hidden: Tensor) -> Tensor:
        logits = self._head[0](hidden)
        return logits if logits.shape[-1] == self.vocabulary else logits[..., : self.vocabulary]

    def cache(self, batch: int, length: int) -> HFCache:
        """Raises ValueError: `length` is beyond the context."""
        if length > self.context:
            raise ValueError(f"a cache of {length} tokens is longer than the model's context of {self.context}")
        return HFCache(self.net.config, batch, length, next(self.parameters()).device)

    def export(self, folder: Path, tokenizer: Tokenizer) -> list[str]:
        """Write what `from_pretrained` reads: configuration, weights and tokenizer."""
        from gptkit.interop.tokenizer_files import write_tokenizer
        from gptkit_hf.tokenizer import HFTokenizer

        config = self.net.config
        own = isinstance(tokenizer, HFTokenizer)
        if own and self.padding is not None:
            config.pad_token_id = self.padding
        if not own:
            config.bos_token_id = config.eos_token_id = tokenizer.special["end_of_text"]
            self.net.generation_config = type(self.net.generation_config).from_model_config(config)
        try:
            with source.one_line(str(folder)):
                self.net.save_pretrained(folder)
        finally:
            if self.padding is not None:
                config.pad_token_id = None
        if isinstance(tokenizer, HFTokenizer):
            tokenizer.write_files(folder)
            return []
        return write_tokenizer(tokenizer, folder, context=self.context)


def take(hidden: Tensor, columns: Tensor) -> Tensor:
    """The hidden states of these columns: (B, N, D), (B, T) -> (B, T, D)."""
    return hidden.gather(1, columns.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))


def configuration(settings: HFModelConfig) -> PreTrainedConfig:
    """The model's configuration, from the settings where a checkpoint kept it, else from the folder, with `model.dropout` in it.

    Raises:
        ConfigError: it cannot be read, or has no dropout to set.
    """
    config = source.read_config(settings.path) if settings.config is None else source.from_plain(settings.config)
    config = copy.deepcopy(config)
    source.check_causal(config, settings.path)
    names = [name for name in config.to_dict() if is_dropout(name)]
    if settings.dropout and not names:
        raise ConfigError(f"model.dropout={settings.dropout}: a model of type {config.model_type} has no dropout; leave it out")
    for name in names:
        setattr(config, name, settings.dropout)
    return config


def is_dropout(name: str) -> bool:
    """Whether a key of a configuration is a probability of dropping something inside the language model."""
    return name.endswith(("dropout", "pdrop")) and not name.startswith(("classifier", "summary"))


def pretrained_weights(settings: HFModelConfig) -> dict[str, Tensor]:
    """The folder's weights in float32, by their names in a `HFModel`.

    Raises:
        ConfigError: they cannot be read.
        CheckpointError: one that the model has is missing.
    """
    with source.one_line(f"model.path={settings.path}"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source.locate(settings.path, "model.path"),
            config=configuration(settings),
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
        )
    net, notes = loaded
    if notes["missing_keys"]:
        missing = sorted(notes["missing_keys"])[0]
        raise CheckpointError(f"model.path={settings.path}: its weights lack {missing}; model.pretrained=false needs none")
    return {f"{NET}.{name}": tensor for name, tensor in net.state_dict().items()}
