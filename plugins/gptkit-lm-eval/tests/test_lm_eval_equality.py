"""gptkit's own tasks agree with the harness: every log-likelihood up to rounding, every score exactly."""

from pathlib import Path

import lm_eval_equality
import pytest

import gptkit


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Path:
    """A GPT that was trained on the text for a few steps."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    words = ["data=text", f"data.path={files / 'text.txt'}", "tokenizer=bpe", "tokenizer.size=320", "model.layers=2"]
    words += ["model.heads=2", "model.width=32", "model.context=64", "batch.size=4", "optimizer.lr=0.01", "trainer.max_steps=20"]
    words += ["trainer=cpu", "logger=null", f"hydra.run.dir={folder}"]
    gptkit.run(gptkit.compose("train", words))
    return folder


@pytest.mark.parametrize("kind", ["random", "trained"])
def test_log_likelihoods_and_scores_equal_those_of_the_harness(
    kind: str, files: Path, gpt2: Path, trained_run: Path, tmp_path: Path
) -> None:
    source = f"hf:{gpt2}" if kind == "random" else str(trained_run)
    subject, harness_model = lm_eval_equality.load_both(source, tmp_path)
    paths = {name: files / f"{name}.jsonl" for name in ("lambada_openai", "piqa", "winograd_wsc")}
    comparisons = lm_eval_equality.compare(subject, harness_model, {**paths, "text": files / "text.txt"})
    for each in comparisons:
        assert (each.too_different, each.different_scores) == (0, 0), each
        for name, (ours, theirs) in each.metrics.items():
            assert ours == theirs if name.startswith("acc") else ours == pytest.approx(theirs, rel=1e-5)
    assert [each.log_likelihoods for each in comparisons] == [20, 60, 40, 1]
    assert list(comparisons[-1].metrics) == ["bits_per_byte", "byte_perplexity", "word_perplexity"]


def test_a_difference_is_reported() -> None:
    from gptkit.task.requests import LogLikelihoodAnswer

    comparison = lm_eval_equality.Comparison("piqa", 1)
    lm_eval_equality.compare_answer(LogLikelihoodAnswer((-3.0, -1.0), True), (-4.001, False), comparison)
    assert (comparison.too_different, comparison.different_scores, comparison.is_equal) == (1, 1, False)
    assert "1.0e-03 (1 too large)" in lm_eval_equality.table({"x": [comparison]})
