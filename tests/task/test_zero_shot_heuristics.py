"""GPT-1's zero-shot heuristics: the mathematics against slow versions, and the texts that the model scores."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from gptkit.attention import DenseAttentionConfig
from gptkit.errors import ConfigError, DataError
from gptkit.model import GPTConfig
from gptkit.model.base import Model
from gptkit.task import AcceptabilityConfig, LikelyOptionConfig, NextWordConfig, ReferentConfig
from gptkit.task.base import Subject
from gptkit.task.text_log_probs import Text, text_log_probs
from gptkit.task.zero_shot_scoring import best_threshold, highest_mean, matthews, most_probable, normalised
from gptkit.tokenizer import BytesTokenizerConfig

TOKENIZER = BytesTokenizerConfig().build(texts=[])
END = TOKENIZER.special["end_of_text"]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    built = GPTConfig(layers=2, heads=2, width=16, context=24).build(attention=DenseAttentionConfig(), vocabulary=TOKENIZER.size)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return built.eval()


def slow(model: Any, before: list[int], scored: list[int]) -> list[float]:
    """Compute the log-probability of each token in a separate pass over all tokens before it."""
    result = []
    for index, token in enumerate(scored):
        ids = before + scored[:index]
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([ids])))[0, -1]
        result.append((logits[token] - logits.exp().sum().log()).item())
    return result


def test_log_probabilities_match_one_token_at_a_time(model: Any) -> None:
    texts = [
        Text([END, 5, 7], [9, 2]),
        Text([END], [1, 2, 3, 4, 5, 6]),
        Text([END, 8], [3]),
        Text([END, 1, 1, 1, 1, 1, 1, 1], [0, 4]),
    ]
    for text, values in zip(texts, text_log_probs(model, texts), strict=True):
        assert values.tolist() == pytest.approx(slow(model, text.prompt, text.continuation), abs=1e-5)


def test_log_probabilities_do_not_depend_on_batches_and_slices(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [Text([END, *range(n)], list(range(n % 5 + 1))) for n in range(12)]
    whole = text_log_probs(model, texts)
    monkeypatch.setattr("gptkit.task.text_log_probs.TOKENS_PER_PASS", 20)
    monkeypatch.setattr("gptkit.task.text_log_probs.LOGITS_PER_SLICE", 600)
    torch.testing.assert_close(text_log_probs(model, texts), whole)


def test_a_text_longer_than_the_context_is_truncated_on_the_left(model: Any) -> None:
    before, scored = [END, *range(40)], [7, 8]
    (values,) = text_log_probs(model, [Text(before, scored)])
    kept = (before + scored)[-25:-2]
    assert values.tolist() == pytest.approx(slow(model, kept, scored), abs=1e-5)
    (values,) = text_log_probs(model, [Text([END], list(range(60)))])
    assert len(values) == 24


def slow_matthews(accepted: list[bool], right: list[bool]) -> float:
    pairs = list(zip(accepted, right, strict=True))
    tp, tn = pairs.count((True, True)), pairs.count((False, False))
    fp, fn = pairs.count((True, False)), pairs.count((False, True))
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / below if below else 0.0


def test_matthews_matches_the_formula_of_the_four_counts() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        accepted, right = torch.rand(9) < 0.6, torch.rand(9) < 0.4
        assert matthews(accepted, right) == pytest.approx(slow_matthews(accepted.tolist(), right.tolist()))
    assert matthews(torch.tensor([True, True]), torch.tensor([True, False])) == 0.0


def test_no_other_threshold_is_better() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        scores, right = -torch.randint(1, 9, (14,)).float(), torch.rand(14) < 0.5
        best = max(slow_matthews((scores >= t).tolist(), right.tolist()) for t in torch.arange(-9.5, 1.0, 0.5).tolist())
        result = best_threshold(scores, right)
        assert matthews(scores >= result, right) == pytest.approx(best)


def test_words_compare_totals_and_options_compare_means() -> None:
    options: list[Tensor] = [torch.tensor([-1.0, -1.0, -1.0]), torch.tensor([-2.0])]
    assert most_probable(options) == 1  # -3 against -2
    assert highest_mean(options) == 0  # -1 against -2


def test_normalised_scores_are_0_for_guessing_and_1_for_the_reference() -> None:
    assert normalised(0.5, chance_score=0.5, reference=0.9) == 0.0
    assert normalised(0.9, chance_score=0.5, reference=0.9) == 1.0
    assert normalised(0.4, chance_score=0.5, reference=0.9) == pytest.approx(-0.25)


class Reader(nn.Module):
    """A bigram model over bytes, estimated from one text."""

    context, vocabulary = 256, TOKENIZER.size

    def __init__(self, text: str) -> None:
        super().__init__()
        counts = torch.full((self.vocabulary, self.vocabulary), 0.1)
        ids = [END, *TOKENIZER.encode(text)]
        for one, other in itertools.pairwise(ids):
            counts[one, other] += 10
        self.logits_of = nn.Parameter(counts.log())

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits_of[tokens]

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


def score(task: Any, text: str) -> dict[str, float]:
    result: dict[str, float] = task.build()(Subject(cast(Model, Reader(text)), TOKENIZER), seed=0)
    return result


def written(path: Path, text: str) -> dict[str, Any]:
    path.write_text(text, encoding="utf-8")
    return {"name": "labelled", "path": str(path)}


def test_next_word_appends_the_suffix_and_compares_only_the_words(tmp_path: Path) -> None:
    data = written(tmp_path / "a.csv", "text,label\nfine,good\nfair,good\npoor,bad\n")
    assert score(NextWordConfig(data=data), "very good very good") == {"accuracy": pytest.approx(2 / 3)}
    result = score(NextWordConfig(data=data, words={"good": "!", "bad": "?"}, reference=1.0, suffix=""), "poor?fine!fair!")
    assert result["accuracy"] == pytest.approx(2 / 3)  # both bytes follow r equally often, so the first option is chosen
    assert result["normalised"] == pytest.approx((2 / 3 - 0.5) / 0.5)


def test_likely_option_compares_means_per_token(tmp_path: Path) -> None:
    data = written(
        tmp_path / "a.csv", "text,a,b,label\nWe saw,the sea and the sea,zq,a\nThey saw,the sea,zqzqzqzq,a\nIt,qz,the,b\n"
    )
    data |= {"options": ["a", "b"]}
    assert score(LikelyOptionConfig(data=data, reference=0.9), "the sea and the sea the sea") == {
        "accuracy": 1.0,
        "normalised": 1.25,
    }


def test_referent_scores_the_text_after_the_substituted_words(tmp_path: Path) -> None:
    data = written(tmp_path / "a.csv", "text,a,b,label\nThe _!,dog,cat,a\nThe _?,dog,cat,b\n") | {"options": ["a", "b"]}
    assert score(ReferentConfig(data=data), "dog! cat?")["accuracy"] == 1.0
    assert score(ReferentConfig(data=data), "dog? cat!")["accuracy"] == 0.0


def test_acceptability_uses_a_threshold_on_the_mean(tmp_path: Path) -> None:
    rows = "text,label\n" + "the sea,1\nthe sea the sea,1\nzq zq,0\nqzqz,0\nsea the,1\nthe the,1\nzzzz,0\nqqqq,0\n"
    data = written(tmp_path / "a.csv", rows)
    result = score(AcceptabilityConfig(data=data), "the sea the sea the the")
    assert (result["matthews"], result["accuracy"]) == (1.0, 1.0)
    assert score(AcceptabilityConfig(data=data, threshold=1.0), "the sea")["matthews"] == 0.0  # nothing is accepted
    split = data | {"validation": str(tmp_path / "b.csv")}
    (tmp_path / "b.csv").write_text("text,label\nthe sea,0\nqzqz,1\n")
    assert score(AcceptabilityConfig(data=split), "the sea the sea the the")["matthews"] == -1.0  # chosen on the training split


def test_examples_are_spread_evenly(tmp_path: Path) -> None:
    data = written(tmp_path / "a.csv", "text,label\n" + "".join(f"t{n},{'ab'[n > 4]}\n" for n in range(10)))
    assert [example.text for example in NextWordConfig(data=data, examples=4).build().examples] == ["t0", "t2", "t5", "t7"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("task", "rows", "error", "message"),
    [
        (AcceptabilityConfig, None, ConfigError, "task=acceptability needs data, such as"),
        (ReferentConfig, "text,label\nThe _ barks.,1\n", DataError, "the examples have none; set data.options"),
        (LikelyOptionConfig, "text,label\nThe,1\n", DataError, "the examples have none; set data.options"),
        (AcceptabilityConfig, "text,label\nThe,1\n", DataError, "one example is not enough"),
        (
            AcceptabilityConfig,
            "text,label\nThe,yes\nA,no\n",
            DataError,
            "no example has the label acceptable=1; the labels are no, yes",
        ),
    ],
)
def test_unusable_data_is_named(tmp_path: Path, task: Any, rows: str | None, error: Any, message: str) -> None:
    data = {} if rows is None else written(tmp_path / "a.csv", rows)
    with pytest.raises(error, match=message):
        task(data=data).build()


@pytest.mark.parametrize("text", ["The dog barks.", "The _ and _ bark.", "Barks the _"])
def test_a_sentence_without_a_single_blank_is_named(tmp_path: Path, text: str) -> None:
    data = written(tmp_path / "a.csv", f"text,a,b,label\n{text},dog,cat,a\n") | {"options": ["a", "b"]}
    with pytest.raises(DataError, match="must contain _ once"):
        ReferentConfig(data=data).build()


def test_a_label_without_a_continuation_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has the label fair, but words has good, bad"):
        NextWordConfig(data=written(tmp_path / "a.csv", "text,label\nx,fair\n"), words={"good": " good", "bad": " bad"}).build()


def test_unlabelled_records_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("To be, or not to be.\n")
    with pytest.raises(DataError, match="task=next_word reads labelled examples, but the source yields Documents"):
        NextWordConfig(data={"name": "text", "path": str(tmp_path / "a.txt")}).build()
