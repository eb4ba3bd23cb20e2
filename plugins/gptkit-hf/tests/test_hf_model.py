"""`model=hf` computes the same as the transformers model, with and without a cache, for very different architectures."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers as hf
from gptkit_hf import HFModelConfig, source

from gptkit.attention import BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import CheckpointError, ConfigError
from gptkit.generation.scoring import TokenSequence, score_continuations
from gptkit.training.checkpoints.model_weights import load_weights

LLAMA_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
GPT2_SIZES: dict[str, Any] = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64, "vocab_size": 100}
CONFIGS = {
    "gpt2": hf.GPT2Config(**GPT2_SIZES, bos_token_id=1, eos_token_id=1),  # learned positions, tied weights
    "openai-gpt": hf.OpenAIGPTConfig(**GPT2_SIZES),  # no cache in transformers
    "llama": hf.LlamaConfig(**LLAMA_SIZES),  # rotary positions, grouped heads, a padding token
    "mistral": hf.MistralConfig(**LLAMA_SIZES, sliding_window=4),  # a sliding window in every layer
    "gemma2": hf.Gemma2Config(**LLAMA_SIZES, head_dim=16, sliding_window=4, final_logit_softcapping=0.5),  # capped logits
    "granite": hf.GraniteConfig(**LLAMA_SIZES, logits_scaling=3.0),  # scaled logits
    "bloom": hf.BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=100),  # relative positions (ALiBi)
    "opt": hf.OPTConfig(  # hidden states narrower than the model
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, ffn_dim=64, vocab_size=100, max_position_embeddings=64,
        word_embed_proj_dim=16, bos_token_id=1, eos_token_id=1,
    ),
    "mixtral": hf.MixtralConfig(**LLAMA_SIZES, num_local_experts=4),  # experts
    "mamba": hf.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=100, state_size=4),  # no attention
    "minimax": hf.MiniMaxConfig(  # a nonstandard cache
        **LLAMA_SIZES, num_local_experts=2, head_dim=16, layer_types=["linear_attention", "full_attention"], block_size=8
    ),
    "falcon_h1": hf.FalconH1Config(  # scaled logits; a hybrid cache; an infinite number in the configuration
        **LLAMA_SIZES, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=4, mamba_n_groups=1, mamba_chunk_size=8,
        lm_head_multiplier=0.5,
    ),
    "codegen": hf.CodeGenConfig(  # a configuration without a padding token
        n_layer=2, n_head=4, n_embd=32, n_positions=64, rotary_dim=4, vocab_size=100, bos_token_id=1, eos_token_id=1
    ),
}  # fmt: skip
CLOSE: dict[str, Any] = {"atol": 2e-5, "rtol": 0.0}


def build_model(kind: str, vocabulary: int = 90, **settings: Any) -> Any:
    """Build a model with large random weights, so that errors have a visible effect."""
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"context": 32, **settings}
    part = HFModelConfig(path=kind, config=source.as_plain(CONFIGS[kind]), **arguments)
    model = part.build(attention=DenseAttentionConfig(), vocabulary=vocabulary).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(params=list(CONFIGS))
def model(request: pytest.FixtureRequest) -> Iterator[Any]:
    with torch.no_grad():
        yield build_model(request.param)


def test_logits_equal_those_of_transformers(model: Any) -> None:
    tokens = torch.randint(90, (2, 20))
    expected = model.net(input_ids=tokens).logits[..., :90]
    hidden = model(tokens)
    torch.testing.assert_close(model.logits(hidden), expected, **CLOSE)
    torch.testing.assert_close(model.logits(hidden[:, 7]), expected[:, 7], **CLOSE)


def test_cached_decoding_equals_a_full_forward_pass(model: Any) -> None:
    """Cover prompts of different lengths, removed and duplicated rows, and chunks of several tokens per row."""
    rows = [torch.randint(90, (count,)) for count in (3, 9, 6)]
    cache = model.cache(3, 32)

    def feed(chunks: list[torch.Tensor]) -> None:
        width = max(map(len, chunks))
        tokens = torch.zeros(len(chunks), width, dtype=torch.int64)
        for row, chunk in enumerate(chunks):
            tokens[row, : len(chunk)] = chunk
        if any(len(chunk) != width for chunk in chunks):
            cache.receive(torch.tensor([len(chunk) for chunk in chunks]))
        hidden = model(tokens, cache=cache)
        assert cache.lengths.tolist() == [len(row) for row in rows]
        for ids, chunk, states in zip(rows, chunks, hidden, strict=True):
            torch.testing.assert_close(states[: len(chunk)], model(ids[None])[0, -len(chunk) :], **CLOSE)

    feed(rows)
    for counts in ([1, 1, 1], [1, 1, 1], None, [1, 1, 1], [2, 2, 2], [1, 3, 2], [1, 1, 1]):
        if counts is None:
            cache.select(torch.tensor([2, 0, 2]))
            rows = [rows[2], rows[0], rows[2]]
            continue
        chunks = [torch.randint(90, (count,)) for count in counts]
        rows = [torch.cat([row, chunk]) for row, chunk in zip(rows, chunks, strict=True)]
        feed(chunks)


@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind not in ("mamba", "falcon_h1", "minimax")])
def test_prompts_that_were_read_separately_continue_in_one_batch(kind: str) -> None:
    """Prompts are shorter and longer than a sliding window of 4 tokens, and one of them is continued twice."""
    with torch.no_grad():
        model = build_model(kind)
        prompts = [torch.randint(90, (count,)) for count in (2, 9, 5)]
        caches = []
        for prompt in prompts:
            cache = model.cache(1, len(prompt))
            model(prompt[None], cache=cache)
            caches.append(cache)
        joined = model.cache(0, 32)
        assert joined.can_extend
        for index in (2, 0, 0, 1):
            joined.extend(caches[index])
        rows = [prompts[index] for index in (2, 0, 0, 1)]
        for step in range(6):
            if step == 3:  # the longest row leaves
                joined.select(torch.tensor([0, 1, 2]))
                rows = rows[:3]
            assert joined.lengths.tolist() == [len(row) for row in rows]
            tokens = torch.randint(90, (len(rows), 1))
            rows = [torch.cat([row, token]) for row, token in zip(rows, tokens, strict=True)]
            hidden = model(tokens, cache=joined)
            for row, state in zip(rows, hidden[:, -1], strict=True):
                torch.testing.assert_close(state, model(row[None])[0, -1], **CLOSE)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_prompt_continues_after_the_state_of_its_beginning(kind: str) -> None:
    with torch.no_grad():
        model = build_model(kind)
        prompt = torch.randint(90, (1, 12))
        cache = model.cache(1, 12)
        model(prompt, cache=cache)
        assert cache.has_prefixes
        shared = model.cache(0, 16)
        shared.extend(cache.prefix(8))
        other = torch.cat([prompt[:, :8], torch.randint(90, (1, 4))], dim=1)
        torch.testing.assert_close(model(other[:, 8:], cache=shared), model(other)[:, 8:], **CLOSE)


@pytest.mark.parametrize("kind", ["mamba", "falcon_h1"])
def test_caches_with_recurrent_states_are_filled_together(kind: str) -> None:
    assert not build_model(kind).cache(1, 8).can_extend


@pytest.mark.parametrize("kind", ["gpt2", "llama", "opt", "mixtral"])
def test_packed_documents_do_not_attend_to_each_other(kind: str) -> None:
    model = build_model(kind)
    tokens = torch.randint(90, (2, 20))
    segments = torch.tensor([[0] * 8 + [1] * 12, [0] * 20])
    changed = tokens.clone()
    changed[0, :8] = torch.randint(90, (8,))
    with torch.no_grad():
        hidden, other, plain = model(tokens, segments=segments), model(changed, segments=segments), model(tokens)
    torch.testing.assert_close(hidden[0, 8:], other[0, 8:], **CLOSE)
    torch.testing.assert_close(hidden[0, :8], plain[0, :8], **CLOSE)
    torch.testing.assert_close(hidden[1], plain[1], **CLOSE)
    assert (hidden[0, 8:] - plain[0, 8:]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["openai-gpt", "mistral", "bloom", "mamba"])
def test_models_that_cannot_separate_documents_raise_an_error(kind: str) -> None:
    with pytest.raises(ConfigError, match="separate_documents") as error:
        build_model(kind)(torch.zeros(1, 20, dtype=torch.int64), segments=torch.zeros(1, 20, dtype=torch.int64))
    assert "\n" not in str(error.value)


def test_gradients_equal_those_of_transformers() -> None:
    model = build_model("gemma2", vocabulary=100)
    tokens = torch.randint(100, (2, 16))
    model.logits(model(tokens)).square().sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.net(input_ids=tokens).logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_larger_vocabulary_only_adds_rows(kind: str) -> None:
    """As for `objective=aux_lm`: the weights of the smaller model are loaded, and the new rows are initialized."""
    small, large = build_model(kind, vocabulary=100), build_model(kind, vocabulary=103)
    load_weights(large, small.state_dict(), "x", tokens=100)
    tokens = torch.randint(100, (2, 16))
    with torch.no_grad():
        logits, expected = large.logits(large(tokens)), small.logits(small(tokens))
        assert large.logits(large(tokens + 3)).shape == (2, 16, 103)
    torch.testing.assert_close(logits[..., :100], expected, **CLOSE)
    rows = large.net.get_input_embeddings().weight
    assert (rows.shape[0], large.net.config.vocab_size) == (103, 103)
    assert rows[100:].abs().max() > 0


def test_a_tokenizer_with_more_ids_than_the_weights_is_an_error() -> None:
    large = build_model("gpt2", vocabulary=101)
    with pytest.raises(CheckpointError, match=r"wte.weight is \(100, 32\) in the checkpoint and \(101, 32\).*another tokenizer"):
        load_weights(large, build_model("gpt2", vocabulary=100).state_dict(), "x", tokens=101)


def test_model_dropout_sets_every_dropout_probability() -> None:
    config = build_model("gpt2", dropout=0.25).net.config
    assert (config.attn_pdrop, config.embd_pdrop, config.resid_pdrop) == (0.25, 0.25, 0.25)
    assert build_model("gpt2").net.config.resid_pdrop == 0.0
    with pytest.raises(ConfigError, match=r"model.dropout=0.1.*mamba has no dropout"):
        build_model("mamba", dropout=0.1)


def test_unsupported_settings_and_models_are_errors_of_one_line() -> None:
    part = HFModelConfig(path="gpt2", config=source.as_plain(CONFIGS["gpt2"]), context=65)
    with pytest.raises(ConfigError, match=r"model.context=65 is more than the 64 positions"):
        part.build(attention=DenseAttentionConfig(), vocabulary=90)
    with pytest.raises(ConfigError, match="attention=banded is not supported"):
        part.build(attention=BandedAttentionConfig(), vocabulary=90)
    for config in (hf.BertConfig(), hf.BartConfig()):
        with pytest.raises(ConfigError, match="is not causal"):
            source.check_causal(config, "x")
    with pytest.raises(ConfigError, match="is not a causal language model"):
        source.check_causal(hf.T5Config(), "x")


def test_positions_beyond_the_limit_are_errors() -> None:
    model = build_model("gpt2")
    assert model.context == 64  # the pretrained model's own limit, even if training sequences are shorter
    assert build_model("gpt2", pretrained=False).context == 32
    with pytest.raises(ValueError, match="context of 64"):
        model(torch.zeros(1, 65, dtype=torch.int64))
    with pytest.raises(ValueError, match="context of 64"):
        model.cache(1, 65)
    cache = model.cache(1, 4)
    with pytest.raises(ValueError, match="does not fit into a cache of 4"):
        model(torch.zeros(1, 5, dtype=torch.int64), cache=cache)


def test_continuations_that_share_a_context_are_scored_as_alone(model: Any) -> None:
    sequences = [
        TokenSequence(context, continuation)
        for context in ([5], [7, 8, 9, 10, 11], [12, 13, 14])
        for continuation in ([20, 21, 22], [23, 24, 25], [26], [27, 28])
    ]
    shared = score_continuations(model, sequences)
    for sequence, score in zip(sequences, shared, strict=True):
        (alone,) = score_continuations(model, [sequence])
        torch.testing.assert_close(score.log_probs, alone.log_probs, atol=1e-4, rtol=0.0)
        assert score.is_greedy == alone.is_greedy
    (equal, _) = score_continuations(model, [sequences[4], sequences[5]])
    torch.testing.assert_close(equal.log_probs, shared[4].log_probs, atol=1e-4, rtol=0.0)
