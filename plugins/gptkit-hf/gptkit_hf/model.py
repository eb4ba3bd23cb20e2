"""A causal language model of transformers as a gptkit `Model`."""

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
from gptkit_hf.masks import check_separable, document_mask

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer
    from gptkit_hf import HFModelConfig

NET = "net"
"""Prefix of the weights, whose names are otherwise those of transformers."""


class HFModel(Model):
    """Shapes: B batch, T time, D width, V vocabulary. `net` is the transformers model, which can also be used directly."""

    def __init__(self, settings: HFModelConfig, *, vocabulary: int) -> None:
        """Initialize random weights as the model's configuration specifies.

        Raises:
            ConfigError: `model.context` exceeds the model's limit.
        """
        super().__init__()
        config = configuration(settings)
        source.check_context(config, settings)
        self.vocabulary = vocabulary
        self.context = (source.limit(config) if settings.pretrained else None) or settings.context
        with source.one_line_errors(f"model.path={settings.path}"):
            self.net: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                config, dtype=torch.float32, trust_remote_code=False
            )
        self.body_name = self.net.base_model_prefix
        if self.body_name not in self.net._modules:
            raise ConfigError(
                f"model.path={settings.path}: a model of type {config.model_type} has no body that is separate from its head"
            )
        if (
            vocabulary > self.net.get_input_embeddings().weight.shape[0]
        ):  # tokens that an objective adds: initialized like all others
            self.net.resize_token_embeddings(vocabulary, mean_resizing=False)
        parameters = inspect.signature(self.body.forward).parameters
        self.takes_positions, self.takes_mask = "position_ids" in parameters, "attention_mask" in parameters
        self.eager = self.net.config._attn_implementation == "eager"
        self.has_cache = "past_key_values" in parameters and self.takes_mask and self.net._supports_default_dynamic_cache()
        self.uncached: dict[str, Any] = {"use_cache": False} if self.has_cache or "use_cache" in parameters else {}
        # with a padding token, the model searches every batch for it, which synchronizes with the device; gptkit never pads
        self.padding: int | None = getattr(self.net.config, "pad_token_id", None)  # some configurations lack the key
        if self.padding is not None:
            self.net.config.pad_token_id = None
        self._head = (Head(self.net),)  # in a tuple, so that it is not registered as a submodule: its weights are those of `net`

    @property
    def body(self) -> PreTrainedModel:
        """The model without its head, which maps tokens to hidden states."""
        body: PreTrainedModel = getattr(self.net, self.body_name)
        return body

    def forward(self, tokens: Tensor, *, cache: Cache | None = None, segments: Tensor | None = None) -> Tensor:
        """See `Model.forward`. Raises a ConfigError for `segments` if the model cannot separate documents."""
        if cache is not None:
            assert isinstance(cache, HFCache)
            return self._continue(tokens, cache)
        if tokens.shape[1] > self.context:
            raise ValueError(f"a sequence of {tokens.shape[1]} tokens is longer than the model's context of {self.context}")
        arguments = dict(self.uncached)
        if segments is not None:
            check_separable(self.body, self.net.config, tokens.shape[1])
            arguments["attention_mask"] = document_mask(segments, additive=self.net.dtype if self.eager else None)
            if self.takes_positions:  # otherwise, some models derive them from the mask
                arguments["position_ids"] = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        return self.body(input_ids=tokens, **arguments)[0]  # type: ignore[no-any-return]  # (B, T, D)

    def _continue(self, tokens: Tensor, cache: HFCache) -> Tensor:
        read, columns = cache.advance(tokens)
        if not self.has_cache:
            return self._recompute(cache, tokens.shape[1], columns)
        arguments: dict[str, Any] = {"past_key_values": cache.memory, "use_cache": True, "attention_mask": cache.mask()}
        if self.takes_positions:
            arguments["position_ids"] = cache.positions(read.shape[1])
        hidden: Tensor = self.body(input_ids=read, **arguments)[0]
        return hidden if columns is None else gather_columns(hidden, columns)

    def _recompute(self, cache: HFCache, width: int, columns: Tensor | None) -> Tensor:
        """Recompute every row from its beginning, padded on the right, for models without a cache."""
        total = cache.tokens.shape[1]
        steps = torch.arange(total, device=cache.tokens.device)
        padding = (total - cache.lengths).unsqueeze(1)  # (B, 1)
        aligned = cache.tokens.gather(1, (steps + padding) % total)
        hidden: Tensor = self.body(input_ids=aligned, **self.uncached)[0]
        if columns is None:
            columns = torch.arange(total - width, total, device=steps.device).expand(len(aligned), -1)
        return gather_columns(hidden, (columns - padding).clamp(min=0))

    def logits(self, hidden: Tensor) -> Tensor:
        logits = self._head[0](hidden)
        return logits if logits.shape[-1] == self.vocabulary else logits[..., : self.vocabulary]

    def cache(self, batch: int, length: int) -> HFCache:
        """Return an empty cache. Raises ValueError if `length` exceeds the context."""
        if length > self.context:
            raise ValueError(f"a cache of {length} tokens is longer than the model's context of {self.context}")
        return HFCache(self.net.config, batch, length, next(self.parameters()).device)

    def export(self, folder: Path, tokenizer: Tokenizer) -> list[str]:
        """Write the files that `from_pretrained` reads: configuration, weights and tokenizer."""
        from gptkit.interop.tokenizer_files import write_tokenizer
        from gptkit_hf.tokenizer import HFTokenizer

        config = self.net.config
        is_own = isinstance(tokenizer, HFTokenizer)
        if is_own and self.padding is not None:
            config.pad_token_id = self.padding
        if not is_own:
            config.bos_token_id = config.eos_token_id = tokenizer.special["end_of_text"]
            self.net.generation_config = type(self.net.generation_config).from_model_config(config)
        try:
            with source.one_line_errors(str(folder)):
                self.net.save_pretrained(folder)
        finally:
            if self.padding is not None:
                config.pad_token_id = None
        if isinstance(tokenizer, HFTokenizer):
            tokenizer.write_files(folder)
            return []
        return write_tokenizer(tokenizer, folder, context=self.context)


def gather_columns(hidden: Tensor, columns: Tensor) -> Tensor:
    """Return the hidden states of these columns: (B, N, D), (B, T) -> (B, T, D)."""
    return hidden.gather(1, columns.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))


def configuration(settings: HFModelConfig) -> PreTrainedConfig:
    """Return the model's configuration with `model.dropout`, from the settings if they contain it, else from the folder.

    Raises:
        ConfigError: the configuration cannot be read, or has no dropout to set.
    """
    config = source.read_config(settings.path) if settings.config is None else source.from_plain(settings.config)
    config = copy.deepcopy(config)
    source.check_causal(config, settings.path)
    names = [name for name in config.to_dict() if is_dropout(name)]
    if settings.dropout and not names:
        raise ConfigError(f"model.dropout={settings.dropout}: a model of type {config.model_type} has no dropout; remove it")
    for name in names:
        setattr(config, name, settings.dropout)
    return config


def is_dropout(name: str) -> bool:
    """Whether a key of a configuration is a dropout probability of the language model."""
    return name.endswith(("dropout", "pdrop")) and not name.startswith(("classifier", "summary"))


def pretrained_weights(settings: HFModelConfig) -> dict[str, Tensor]:
    """Return the pretrained weights in float32, by their names in `HFModel`.

    Raises:
        ConfigError: the weights cannot be read.
        CheckpointError: a weight of the model is missing.
    """
    with source.one_line_errors(f"model.path={settings.path}"):
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
        raise CheckpointError(
            f"model.path={settings.path}: its weights lack {missing}; model.pretrained=false starts from random weights"
        )
    return {f"{NET}.{name}": tensor for name, tensor in net.state_dict().items()}
