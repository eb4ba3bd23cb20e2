from __future__ import annotations

from typing import Any

import pytest
import torch

import gptkit
from gptkit.attention import AlternatingAttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import ConfigError, DataError
from gptkit.generation import generate, stream
from gptkit.generation.precision import decoding_dtype, native_dtype
from gptkit.generation.sampling import sample, sequence_uniforms
from gptkit.model import GPTConfig
from gptkit.tokenizer.bytes import BytesTokenizer

TOKENIZER = BytesTokenizer()
PROMPTS = ["hello there", "", "x" * 25, "é"]
CONTEXT = 40


def build(attention: Any = None, *, end_of_text: Any = 0.0, **settings: Any) -> Any:
    """A model over bytes whose logits are far enough apart that rounding does not change greedy choices."""
    torch.manual_seed(0)
    part = GPTConfig(**({"layers": 2, "heads": 2, "width": 32, "context": CONTEXT, "tied": False} | settings))
    model = part.build(attention=attention or DenseAttentionConfig(), vocabulary=257).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.5 if name.startswith(("wte", "wpe", "head")) else 0.2)
        model.head.weight[256] *= end_of_text
        model.norm.weight.fill_(1.0)
    return model


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Limit torch to one thread: these products are so small that more threads only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def choices_without_a_cache(model: Any, prompt: Any, tokens: Any, numbers: Any, **choice: Any) -> Any:
    """Return the greedy choice at every position of a text, which is read in one pass, without cache and batch."""
    ids = TOKENIZER.encode(prompt) or [256]
    logits = model.logits(model(torch.tensor([ids + tokens])))[0, len(ids) - 1 :]  # (tokens + 1, V)
    return sample(logits, torch.from_numpy(numbers[: len(tokens) + 1]), **choice).tolist()


@pytest.mark.parametrize(
    "attention",
    [DenseAttentionConfig(), BandedAttentionConfig(window=6), AlternatingAttentionConfig(window=5)],
    ids=["dense", "banded", "alternating"],
)
@pytest.mark.parametrize("choice", [{"temperature": 0.0}, {"temperature": 1.2}, {"temperature": 0.8, "top_k": 20, "top_p": 0.9}])
def test_cached_and_batched_decoding_gives_the_same_tokens_as_plain_forward_passes(attention: Any, choice: Any) -> None:
    model = build(attention, end_of_text=3.0)
    result = generate(model, TOKENIZER, PROMPTS, max_new_tokens=20, samples=2, batch=5, seed=7, **choice)
    assert {"end_of_text", "length"} <= {text.finish_reason for texts in result for text in texts}  # rows end at different times
    with torch.inference_mode():
        for number, texts in enumerate(result):
            for number_of_sample, text in enumerate(texts):
                numbers = sequence_uniforms(7, number, number_of_sample, CONTEXT)
                expected = choices_without_a_cache(model, PROMPTS[number], text.tokens, numbers, **choice)
                ends = [256] if text.finish_reason == "end_of_text" else expected[-1:]
                assert text.tokens + ends == expected


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_text_depends_on_the_seed_but_not_on_its_batch(batch: Any) -> None:
    model = build(AlternatingAttentionConfig(window=5), end_of_text=3.0)
    texts = generate(model, TOKENIZER, PROMPTS, max_new_tokens=15, samples=3, batch=batch, seed=1)
    alone = generate(model, TOKENIZER, PROMPTS[:1], max_new_tokens=15, samples=1, seed=1)
    assert texts[0][0] == alone[0][0]
    assert texts == generate(model, TOKENIZER, PROMPTS, max_new_tokens=15, samples=3, batch=4, seed=1)
    assert len({text.text for text in texts[0]}) == 3
    assert texts != generate(model, TOKENIZER, PROMPTS, max_new_tokens=15, samples=3, batch=batch, seed=2)


def test_streamed_chunks_concatenate_to_the_generated_texts() -> None:
    model = build(end_of_text=3.0)
    settings: dict[str, Any] = {"max_new_tokens": 15, "samples": 3, "batch": 5, "seed": 3, "stop": ["e", "\x00\x01"]}
    whole = generate(model, TOKENIZER, PROMPTS, **settings)
    heard: dict[tuple[int, int], list[str]] = {}
    for piece in stream(model, TOKENIZER, PROMPTS, **settings):
        heard.setdefault((piece.prompt, piece.sample), []).append(piece.text)
        if piece.finished is not None:
            assert piece.finished == whole[piece.prompt][piece.sample]
    assert {key: "".join(pieces) for key, pieces in heard.items()} == {
        (n, s): text.text for n, texts in enumerate(whole) for s, text in enumerate(texts)
    }


def test_finish_reason_says_why_a_text_ended() -> None:
    model = build()
    short, long = generate(model, TOKENIZER, ["a", "x" * (CONTEXT - 3)], max_new_tokens=7, temperature=0)
    assert (short[0].finish_reason, len(short[0].tokens)) == ("length", 7)
    assert (long[0].finish_reason, len(long[0].tokens)) == ("context", 3)
    (full,) = generate(model, TOKENIZER, ["x" * CONTEXT], max_new_tokens=7)
    assert (full[0].finish_reason, full[0].text) == ("context", "")

    text = short[0].text
    (stopped,) = generate(model, TOKENIZER, ["a"], max_new_tokens=7, temperature=0, stop=[text[3:5]])
    at = text.index(text[3:5])
    assert (stopped[0].finish_reason, stopped[0].text) == ("stop", text[:at])

    with torch.no_grad():
        model.head.weight[256] = model.head.weight[short[0].tokens[2]] * 1.01
    (ended,) = generate(model, TOKENIZER, ["a"], max_new_tokens=7, temperature=0)
    assert (ended[0].finish_reason, ended[0].tokens) == ("end_of_text", short[0].tokens[:2])
    assert ended[0].text == TOKENIZER.decode(ended[0].tokens)


def test_a_prompt_longer_than_the_context_is_named_with_both_lengths() -> None:
    with pytest.raises(DataError, match="prompt 2 has 41 tokens, more than the model's context of 40"):
        generate(build(), TOKENIZER, ["a", "x" * 41], max_new_tokens=1)


def test_generation_changes_neither_the_mode_of_the_model_nor_the_global_random_state() -> None:
    model = build(dropout=0.5).train()
    state = torch.get_rng_state()
    first = generate(model, TOKENIZER, ["a"], max_new_tokens=5)
    assert model.training
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert first == generate(model.eval(), TOKENIZER, ["a"], max_new_tokens=5)


def test_decoding_precision_follows_the_setting_and_auto_follows_the_hardware() -> None:
    cpu = torch.device("cpu")
    assert decoding_dtype("auto", cpu) == native_dtype(cpu)
    assert (decoding_dtype("fp32", cpu), decoding_dtype("bf16", cpu)) == (torch.float32, torch.bfloat16)


@pytest.mark.parametrize(
    ("prompts", "settings", "message"),
    [
        ("one text", {}, r"prompts must be a list of texts; for a single text use \[prompt\]"),
        (["a"], {"max_new_tokens": 0}, "max_new_tokens=0 is invalid"),
        (["a"], {"temperature": float("nan")}, "temperature=nan is invalid"),
        (["a"], {"top_p": 0}, "top_p=0 is invalid"),
        (["a"], {"stop": "end"}, "stop='end' is invalid"),
        (["a"], {"stop": ["end", ""]}, "stop=.* is invalid"),
        (["a"], {"overflow": "crop"}, "overflow='crop' must be stop or slide"),
        (["a"], {"batch": 0}, "samples=1 and batch=0 must be at least 1"),
    ],
)
def test_invalid_arguments_are_named(prompts: Any, settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gptkit.generate(build(), TOKENIZER, prompts, **({"max_new_tokens": 2} | settings))
