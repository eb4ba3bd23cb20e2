"""The source `labelled`: tables of labelled examples, and one-line errors for invalid tables."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from gptkit.data import LabelledConfig
from gptkit.data.parsing.examples import ExampleColumns, read_examples
from gptkit.errors import GptkitError
from gptkit.records import Example

PAIRS = [
    {"premise": 'A "dog", brown', "hypothesis": "naïve 🙂", "label": "entailment"},
    {"premise": "two\twords", "hypothesis": " b ", "label": "neutral"},
]


def examples(path: Any, split: str = "train", **settings: Any) -> list[Example]:
    return list(LabelledConfig(path=str(path), **settings).build().records(split))  # type: ignore[arg-type]


def fails(path: Any, split: str = "train", **settings: Any) -> str:
    with pytest.raises(GptkitError) as caught:
        examples(path, split, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def jsonl(path: Path, *rows: Any) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def parquet(path: Path, rows: list[dict[str, Any]], schema: Any = None) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path, row_group_size=2)
    return path


def test_every_file_format_gives_the_same_pairs(tmp_path: Path) -> None:
    csv = 'premise,id,hypothesis,label\r\n"A ""dog"", brown",1,naïve 🙂,entailment\r\n\r\ntwo\twords,2, b ,neutral\r\n'
    expected = [Example(row["premise"], row["label"], pair=row["hypothesis"]) for row in PAIRS]
    columns = {"text": "premise", "pair": "hypothesis"}
    for path in (
        write(tmp_path / "a.csv", b"\xef\xbb\xbf" + csv.encode()),
        write(tmp_path / "b.csv.gz", gzip.compress(csv.encode())),
        jsonl(tmp_path / "c.jsonl", *PAIRS),
        parquet(tmp_path / "d.parquet", PAIRS),
    ):
        assert examples(path, **columns) == expected, path.name
    assert examples(tmp_path, **columns) == expected * 4


def test_quotation_marks_in_tsv_files_are_ordinary_characters(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"Fine\tgood\nit\'s 5" wide\tbad\n')
    assert examples(path) == [Example('"Fine', "good"), Example("it's 5\" wide", "bad")]


def test_labels_keep_the_type_that_they_have_in_the_file(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": label} for label in ("x ", 3, 2.5, True)]
    assert [each.label for each in examples(jsonl(tmp_path / "a.jsonl", *rows))] == ["x", 3, 2.5, "true"]
    categories = pyarrow.schema([("text", pyarrow.string()), ("label", pyarrow.dictionary(pyarrow.int8(), pyarrow.string()))])
    path = parquet(tmp_path / "a.parquet", [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}], categories)
    assert [each.label for each in examples(path)] == ["x", "y"]
    assert [each.label for each in examples(write(tmp_path / "a.csv", "text,label\na,3\n"))] == ["3"]


@pytest.mark.parametrize(
    ("label", "first_option", "index"),
    [("1", 0, 1), ("1", 1, 0), ("B", 0, 1), ("no", 0, 1), ("wrong", 0, 1), ("2.0", 1, 1), ("1", 1, 0)],
)
def test_label_identifies_the_right_option_by_text_column_number_or_letter(
    tmp_path: Path, label: str, first_option: int, index: int
) -> None:
    path = write(tmp_path / "a.csv", f"story,right,wrong,label\nonce,yes,no,{label}\n")
    result = examples(path, text="story", options=["right", "wrong"], first_option=first_option)
    assert result == [Example("once", index, options=("yes", "no"))]


@pytest.mark.parametrize("label", ["0", 0])
def test_ambiguous_label_needs_label_means(tmp_path: Path, label: str | int) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "5-5", "choices": ["1", "0"], "label": label})
    with pytest.raises(
        GptkitError, match=r"a\.jsonl.*the label 0 can be the text or the number of different .*data\.label_means=text"
    ):
        examples(path, options="choices")
    assert examples(path, options="choices", label_means="text")[0].label == 1
    assert examples(path, options="choices", label_means="number")[0].label == 0
    with pytest.raises(GptkitError, match=r"the label 0 is not the letter of any of the 2 options, .*data\.label_means=letter"):
        examples(path, options="choices", label_means="letter")


def test_options_from_a_column_of_lists(tmp_path: Path) -> None:
    rows = [{"text": "q", "choices": ["é", "b", "c"], "label": 2}]
    expected = [Example("q", 2, options=("é", "b", "c"))]
    assert examples(jsonl(tmp_path / "a.jsonl", *rows), options="choices") == expected
    assert examples(parquet(tmp_path / "a.parquet", rows), options="choices") == expected


def test_each_split_reads_its_files(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.csv", f"text,label\n{name},x\n")
    built = LabelledConfig(path=str(tmp_path / "a.csv"), validation=str(tmp_path / "b.csv"), test=[str(tmp_path / "c.csv")]).build()
    assert built.splits == ("train", "validation", "test")
    assert [[each.text for each in built.records(split)] for split in built.splits] == [["a"], ["b"], ["c"]]
    assert list(built.texts()) == ["a"]
    assert LabelledConfig(path=str(tmp_path / "a.csv")).build().splits == ("train",)
    assert "is in both data.path and data.validation" in fails(tmp_path, validation=str(tmp_path / "b.csv"))
    assert fails(tmp_path / "a.csv", test=str(tmp_path / "d.csv")).startswith("data.test=")


def test_text_of_an_example_excludes_the_label(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,pair,one,two,label\na,b,c,d,two\n")
    built = LabelledConfig(path=str(path), pair="pair", options=["one", "two"]).build()
    assert [(chunk.text, chunk.is_last) for chunk in built.chunks("train")] == [("a\nb\nc\nd", True)]


def test_unlabelled_texts_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\nfine\n")
    assert list(read_examples([path], ExampleColumns(text="text", label=None))) == [Example("fine", "")]


def test_rows_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\na,x\nb\n")
    rows = LabelledConfig(path=str(path)).build().records("train")
    assert next(iter(rows)) == Example("a", "x")


def test_fingerprint_depends_on_content_and_columns(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "text,label,other\na,x,y\n")
    second = write(tmp_path / "b.csv", "text,label,other\na,x,y\n")
    other = write(tmp_path / "c.csv", "text,label,other\na,x,z\n")

    def fingerprint(path: Path, **settings: Any) -> str:
        return LabelledConfig(path=str(path), **settings).build().fingerprint

    assert fingerprint(first) == fingerprint(second)
    assert (
        len({fingerprint(first), fingerprint(other), fingerprint(first, label="other"), fingerprint(first, test=str(other))}) == 4
    )


BAD: dict[str, tuple[str, str | bytes, dict[str, Any], str]] = {
    "missing column": (
        "a.csv",
        "text,gold\na,x\n",
        {"label": "glod"},
        ":1: there is no column glod; data.label can be one of: text, gold. Did you mean gold?",
    ),
    "missing field": (
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"txt": "a", "label": 1}\n',
        {},
        ":2: there is no column text; data.text can be",
    ),
    "column named twice": ("a.csv", "text,text,label\na,b,x\n", {}, ":1: there are several columns text"),
    "empty text": ("a.csv", "text,label\na,x\n ,y\n", {}, ":3: column text is empty; drop such rows, or fill them"),
    "null text": ("a.jsonl", '{"text": null, "label": 1}\n', {}, ":1: column text is empty"),
    "text of another type": ("a.jsonl", '{"text": 5, "label": 1}\n', {}, ":1: column text holds int instead of text"),
    "missing label": ("a.csv", 'text,label\n"a\nb",x\nc,\n', {}, ":4: column label has no label"),
    "label is no number": ("a.jsonl", '{"text": "a", "label": NaN}\n', {}, ":1: column label has no label"),
    "label of another type": ("a.jsonl", '{"text": "a", "label": [1]}\n', {}, ":1: column label holds list instead of a label"),
    "ragged row": ("a.csv", "text,label\na,x\nb\n", {}, ":3: the row has 1 cells, but the header has 2 columns"),
    "ragged tsv": ("a.tsv", "text\tlabel\na\tx\ty\n", {}, ":2: the row has 3 cells"),
    "open quotation mark": ("a.csv", 'text,label\n"a,x\nb,y\n', {}, ":2: cannot parse the row"),
    "not UTF-8": ("a.csv", b"text,label\na,x\n\xff,y\n", {}, ":3: the byte 0xff at offset 15 is not UTF-8"),
    "not JSON": ("a.jsonl", '{"text": "a", "label": 1}\n{"text"\n', {}, ":2: the line is not JSON"),
    "no object": ("a.jsonl", "[1]\n", {}, ":1: the line is JSON but not an object"),
    "half a character": ("a.jsonl", '{"text": "\\ud800", "label": 1}\n', {}, ":1: field text contains half of a surrogate pair"),
    "options of different counts": (
        "a.jsonl",
        '{"text": "a", "o": ["b", "c"], "label": 0}\n{"text": "a", "o": ["b", "c", "d"], "label": 0}\n',
        {"options": "o"},
        ":2: the row has 3 options, but the rows before it have 2; all rows must have the same number",
    ),
    "one option": ("a.jsonl", '{"text": "a", "o": ["b"], "label": 0}\n', {"options": "o"}, ":1: column o holds 1 options"),
    "options are no list": (
        "a.csv",
        "text,o,label\na,b,0\n",
        {"options": "o"},
        ":2: column o holds str instead of a list of options",
    ),
    "empty option": ("a.csv", "text,o,p,label\na,b,,0\n", {"options": ["o", "p"]}, ":2: column p is empty"),
    "label out of range": (
        "a.csv",
        "text,o,p,label\na,b,c,2\n",
        {"options": ["o", "p"]},
        ":2: the label 2 is not one of the 2 options",
    ),
    "label is no option": ("a.csv", "text,o,p,label\na,b,c,d\n", {"options": ["o", "p"]}, "or the number of an option, 0 to 1"),
    "no row": ("a.csv", "text,label\n", {}, "there is no example for the train split"),
    "no file": ("a.csv", "", {}, "there is no example for the train split"),
    "one column for two": ("a.csv", "text,label\na,x\n", {"pair": "text"}, "data.text and data.pair are both text"),
    "no parquet": ("a.parquet", "PAR", {}, "cannot be read as a parquet file"),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_input_is_a_one_line_error_that_names_file_and_line(tmp_path: Path, case: str) -> None:
    name, content, settings, expected = BAD[case]
    path = write(tmp_path / name, content)
    message = fails(path, **settings)
    assert expected in message
    assert str(path) in message or expected.startswith("data.")


def test_very_long_cells_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"text,label\n{'word ' * 40_000},x\nb,y\n")
    assert [len(example.text) for example in LabelledConfig(path=[str(path)]).build().records("train")] == [200_000, 1]


def test_error_names_the_row_of_a_parquet_file(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": "a", "label": 1}, {"text": "b", "label": 2}, {"text": None, "label": 3}]
    path = parquet(tmp_path / "a.parquet", rows)
    assert fails(path).startswith(f"{path}: row 3: column text is empty")
    assert f"{path}: there is no column txet; data.text can be one of: text, label. Did you mean text?" in fails(path, text="txet")
    broken = pyarrow.array([b"good", b"\xff"], pyarrow.binary()).view(pyarrow.string())
    path = tmp_path / "b.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": broken, "label": [1, 2]}), path)
    assert f"{path}: row 2: the byte 0xff" in fails(path)
    assert examples(path, errors="replace")[1].text == "\ufffd"


@pytest.mark.parametrize("settings", [{"options": ["a"]}, {"options": ["a", "a"]}])
def test_invalid_options_are_rejected(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"data.{next(iter(settings))}="):
        LabelledConfig(path="a.csv", **settings)
