"""`data=hf`: rows as labelled examples, complete and streamed, equal those of `data=labelled`."""

from pathlib import Path
from typing import Any

import datasets
import pytest
from gptkit_hf import HFDataConfig

from gptkit.data import LabelledConfig
from gptkit.errors import ConfigError, DataError
from gptkit.records import Example

PAIRS = [{"premise": f"Größe {n}", "hypothesis": "klein", "gold": ["nein", "ja"][n % 2], "id": n} for n in range(5)]
COLUMNS: dict[str, Any] = {"text": "premise", "pair": "hypothesis", "label": "gold"}
OPTIONS = {"text": "premise", "options": ["choice1", "choice2"]}


def write_parquet(tmp_path: Path, rows: list[dict[str, Any]], features: Any = None) -> str:
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(path))
    return str(path)


def examples(path: str, **settings: Any) -> list[Any]:
    return list(HFDataConfig(path=path, records="examples", **settings).build().records("train"))


@pytest.mark.parametrize("streaming", [False, True])
def test_examples_equal_those_of_the_labelled_source(tmp_path: Path, streaming: bool) -> None:
    path = write_parquet(tmp_path, PAIRS)
    data = HFDataConfig(path=path, records="examples", columns=COLUMNS, streaming=streaming).build()
    own = LabelledConfig(path=path, **COLUMNS).build()
    assert list(data.records("train")) == list(data.records("train")) == list(own.records("train"))
    assert len(list(data.records("train"))) == len(PAIRS)
    assert list(data.texts()) == list(own.texts())


@pytest.mark.parametrize("streaming", [False, True])
def test_class_labels_become_names_and_unlabelled_rows_are_skipped(
    tmp_path: Path, streaming: bool, caplog: pytest.LogCaptureFixture
) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
    path = write_parquet(tmp_path, [{"text": "a", "label": 1}, {"text": "b", "label": 0}], features)
    assert examples(path, streaming=streaming) == [Example("a", "good"), Example("b", "bad")]
    hidden = write_parquet(tmp_path, [{"text": "a", "label": -1}, {"text": "b", "label": 1}], features)
    assert examples(hidden, streaming=streaming) == [Example("b", "good")]
    assert "1 of 2 rows of the train split have no label (class -1) and are skipped" in caplog.text
    empty = write_parquet(tmp_path, [{"text": "a", "label": 0}, {"text": "b", "label": None}], features)
    with pytest.raises(DataError, match=r"row 1 of split train: column label has no label"):
        examples(empty, streaming=streaming)


def test_options_are_read_from_columns_or_lists(tmp_path: Path) -> None:
    rows = [{"premise": "p", "choice1": "x", "choice2": "y", "both": ["x", "y"], "label": 1, "counted": 2}]
    path = write_parquet(tmp_path, rows)
    chosen = [Example("p", 1, options=("x", "y"))]
    assert examples(path, columns=OPTIONS) == chosen
    assert examples(path, columns={"text": "premise", "options": "both"}) == chosen
    assert examples(path, columns={**OPTIONS, "label": "counted"}, first_option=1) == chosen


def test_label_means_resolves_ambiguous_labels(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, [{"premise": "p", "choice1": "1", "choice2": "2", "label": "1"}])
    with pytest.raises(
        DataError, match=r"can be the text or the number of different options; choose one, such as data.label_means=text"
    ):
        examples(path, columns=OPTIONS)
    labels = [examples(path, columns=OPTIONS, label_means=means)[0].label for means in ("text", "number")]
    assert labels == [0, 1]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_missing_column_names_its_key_and_the_nearest(tmp_path: Path, streaming: bool) -> None:
    path = write_parquet(tmp_path, PAIRS)
    with pytest.raises(DataError, match=r"no column premis; data.columns.text can be .*Did you mean premise\?"):
        examples(path, columns={**COLUMNS, "text": "premis"}, streaming=streaming)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"txt": "premise"}, r"data.columns has no key txt; .*Did you mean text\?"),
        ({"options": ["choice1"]}, r"data.columns.options=\['choice1'\] must be a column of lists, or a list of two or more"),
        ({"pair": 3}, r"data.columns.pair=3 must be a column"),
        ({"pair": "text"}, r"data.columns.text and data.columns.pair are both text"),
    ],
)
def test_invalid_columns_are_errors(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        examples(write_parquet(tmp_path, PAIRS), columns=columns)


def test_different_columns_have_different_fingerprints(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, PAIRS)
    kinds = [COLUMNS, {**COLUMNS, "pair": "gold", "label": "hypothesis"}, {"text": "premise", "label": "gold"}]
    assert len({HFDataConfig(path=path, records="examples", columns=columns).build().fingerprint for columns in kinds}) == len(
        kinds
    )
