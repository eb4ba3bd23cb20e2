"""`model=hf` computes what the model of transformers computes, with and without a cache, for very different kinds of models."""

import pytest
import torch
import transformers as hf
from gptkit_hf import HFModelConfig, source

from gptkit.attention import BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import CheckpointError, ConfigError
from gptkit.training.checkpoints.load import load_weights

LIKE_LLAMA = {
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
LIKE_GPT2 = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64, "vocab_size": 100}
CONFIGS = {
    "gpt2": hf.GPT2Config(**LIKE_GPT2, bos_token_id=1, eos_token_id=1),  # learned positions, tied weights
    "openai-gpt": hf.OpenAIGPTConfig(**LIKE_GPT2),  # no cache in transformers
    "llama": hf.LlamaConfig(**LIKE_LLAMA),  # rotary positions, grouped heads, a padding token
    "mistral": hf.MistralConfig(**LIKE_LLAMA, sliding_window=4),  # a sliding window in every layer
    "gemma2": hf.Gemma2Config(**LIKE_LLAMA, head_dim=16, sliding_window=4, final_logit_softcapping=0.5),  # capped logits
    "granite": hf.GraniteConfig(**LIKE_LLAMA, logits_scaling=3.0),  # scaled logits
    "bloom": hf.BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=100),  # positions by distance alone
    "opt": hf.OPTConfig(  # hidden states narrower than the model
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, ffn_dim=64, vocab_size=100, max_position_embeddings=64,
        word_embed_proj_dim=16, bos_token_id=1, eos_token_id=1,
    ),
    "mixtral": hf.MixtralConfig(**LIKE_LLAMA, num_local_experts=4),  # experts
    "mamba": hf.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=100, state_size=4),  # no attention
    "minimax": hf.MiniMaxConfig(  # a kind of cache of its own
        **LIKE_LLAMA, num_local_experts=2, head_dim=16, layer_types=["linear_attention", "full_attention"], block_size=8
    ),
    "falcon_h1": hf.FalconH1Config(  # logits scaled by a number of the body; a memory of two kinds; an infinite number
        **LIKE_LLAMA, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=4, mamba_n_groups=1, mamba_chunk_size=8,
        lm_head_multiplier=0.5,
    ),
    "codegen": hf.CodeGenConfig(  # a configuration without a padding token
        n_layer=2, n_head=4, n_embd=32, n_positions=64, rotary_dim=4, vocab_size=100, bos_token_id=1, eos_token_id=1
    ),
}  # fmt: skip
CLOSE = {"atol": 2e-5, "rtol": 0.0}


def built(kind, vocabulary=90, **settings):
    """The model with weights that are far from zero, so that mistakes show."""
    torch.manual_seed(0)
    part = HFModelConfig(path=kind, config=source.as_plain(CONFIGS[kind]), **{"context": 32, **settings})
    model = part.build(attention=DenseAttentionConfig(), vocabulary=vocabulary).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(params=list(CONFIGS))
def model(request):
    with torch.no_grad():
        yield built(request.param)


def test_logits_are_those_of_transformers(model):
    tokens = torch.randint(90, (2, 20))
    expected = model.net(input_ids=tokens).logits[..., :90]
    hidden = model(tokens)
    torch.testing.assert_close(model.logits(hidden), expected, **CLOSE)
    torch.testing.assert_close(model.logits(hidden[:, 7]), expected[:, 7], **CLOSE)


def test_decoding_with_a_cache_is_reading_everything_again(model):
    """Prompts of different lengths, rows that leave and double, a chunk of several tokens, and one that is ragged."""
    rows = [torch.randint(90, (count,)) for count in (3, 9, 6)]
    cache = model.cache(3, 32)

    def feed(pieces):
        width = max(map(len, pieces))
        tokens = torch.zeros(len(pieces), width, dtype=torch.int64)
        for row, piece in enumerate(pieces):
            tokens[row, : len(piece)] = piece
        if any(len(piece) != width for piece in pieces):
            cache.receive(torch.tensor([len(piece) for piece in pieces]))
        hidden = model(tokens, cache=cache)
        assert cache.lengths.tolist() == [len(row) for row in rows]
        for row, piece, found in zip(rows, pieces, hidden, strict=True):
            torch.testing.assert_close(found[: len(piece)], model(row[None])[0, -len(piece) :], **CLOSE)

    feed(rows)
    for counts in ([1, 1, 1], [1, 1, 1], None, [1, 1, 1], [2, 2, 2], [1, 3, 2], [1, 1, 1]):
        if counts is None:
            cache.select(torch.tensor([2, 0, 2]))
            rows = [rows[2], rows[0], rows[2]]
            continue
        pieces = [torch.randint(90, (count,)) for count in counts]
        rows = [torch.cat([row, piece]) for row, piece in zip(rows, pieces, strict=True)]
        feed(pieces)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "opt", "mixtral"])
def test_packed_documents_do_not_see_each_other(kind):
    model = built(kind)
    tokens = torch.randint(90, (2, 20))
    segments = torch.tensor([[0] * 8 + [1] * 12, [0] * 20])
    changed = tokens.clone()
    changed[0, :8] = torch.randint(90, (8,))
    with torch.no_grad():
        found, other, plain = model(tokens, segments=segments), model(changed, segments=segments), model(tokens)
    torch.testing.assert_close(found[0, 8:], other[0, 8:], **CLOSE)
    torch.testing.assert_close(found[0, :8], plain[0, :8], **CLOSE)
    torch.testing.assert_close(found[1], plain[1], **CLOSE)
    assert (found[0, 8:] - plain[0, 8:]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["openai-gpt", "mistral", "bloom", "mamba"])
def test_models_that_cannot_keep_documents_apart_say_so(kind):
    with pytest.raises(ConfigError, match="separate_documents") as error:
        built(kind)(torch.zeros(1, 20, dtype=torch.int64), segments=torch.zeros(1, 20, dtype=torch.int64))
    assert "\n" not in str(error.value)


def test_gradients_are_those_of_transformers():
    model = built("gemma2", vocabulary=100)
    tokens = torch.randint(100, (2, 16))
    model.logits(model(tokens)).square().sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.net(input_ids=tokens).logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_larger_vocabulary_adds_rows_and_changes_no_other(kind):
    """As `objective=aux_lm` asks for: the weights of the smaller model, and rows of its own."""
    small, large = built(kind, vocabulary=100), built(kind, vocabulary=103)
    load_weights(large, small.state_dict(), "x", tokens=100)
    tokens = torch.randint(100, (2, 16))
    with torch.no_grad():
        found, expected = large.logits(large(tokens)), small.logits(small(tokens))
        assert large.logits(large(tokens + 3)).shape == (2, 16, 103)
    torch.testing.assert_close(found[..., :100], expected, **CLOSE)
    rows = large.net.get_input_embeddings().weight
    assert (rows.shape[0], large.net.config.vocab_size) == (103, 103)
    assert rows[100:].abs().max() > 0


def test_a_tokenizer_with_more_ids_than_the_weights_know_is_refused():
    large = built("gpt2", vocabulary=101)
    with pytest.raises(CheckpointError, match=r"wte.weight is \(100, 32\) in the checkpoint and \(101, 32\).*another tokenizer"):
        load_weights(large, built("gpt2", vocabulary=100).state_dict(), "x", tokens=101)


def test_dropout_is_the_kits_key():
    config = built("gpt2", dropout=0.25).net.config
    assert (config.attn_pdrop, config.embd_pdrop, config.resid_pdrop) == (0.25, 0.25, 0.25)
    assert built("gpt2").net.config.resid_pdrop == 0.0
    with pytest.raises(ConfigError, match=r"model.dropout=0.1.*mamba has no dropout"):
        built("mamba", dropout=0.1)


def test_what_cannot_be_is_refused_in_a_line():
    part = HFModelConfig(path="gpt2", config=source.as_plain(CONFIGS["gpt2"]), context=65)
    with pytest.raises(ConfigError, match=r"model.context=65 is more than the 64 positions"):
        part.build(attention=DenseAttentionConfig(), vocabulary=90)
    with pytest.raises(ConfigError, match="attention=banded cannot be put in"):
        part.build(attention=BandedAttentionConfig(), vocabulary=90)
    for config in (hf.BertConfig(), hf.BartConfig()):
        with pytest.raises(ConfigError, match="does not read from left to right alone"):
            source.check_causal(config, "x")
    with pytest.raises(ConfigError, match="no causal language model"):
        source.check_causal(hf.T5Config(), "x")


def test_positions_beyond_the_limit_are_refused():
    model = built("gpt2")
    assert model.context == 64  # a pretrained model's own limit, however short the training sequences
    assert built("gpt2", pretrained=False).context == 32
    with pytest.raises(ValueError, match="context of 64"):
        model(torch.zeros(1, 65, dtype=torch.int64))
    with pytest.raises(ValueError, match="context of 64"):
        model.cache(1, 65)
    cache = model.cache(1, 4)
    with pytest.raises(ValueError, match="does not fit into a cache of 4"):
        model(torch.zeros(1, 5, dtype=torch.int64), cache=cache)
