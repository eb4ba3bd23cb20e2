"""`data=hf`: rows of local datasets, complete and streamed, and a fingerprint of their content."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from gptkit_hf import HFDataConfig

from gptkit.errors import ConfigError, DataError

ROWS = [f"row {number}: größer\nsecond line" for number in range(7)]


def texts(data: Any, split: str = "train") -> list[str]:
    return [record.text for record in data.records(split)]


@pytest.fixture(params=["parquet", "jsonl", "csv"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    table = datasets.Dataset.from_dict({"text": ROWS, "title": ["a"] * 7})
    path = tmp_path / f"rows.{request.param}"
    {"parquet": table.to_parquet, "jsonl": table.to_json, "csv": table.to_csv}[request.param](str(path))
    return path


@pytest.mark.parametrize("streaming", [False, True])
def test_files_are_read_in_every_format(file: Path, streaming: bool) -> None:
    for path in (str(file), str(file.parent / "*"), [str(file)]):
        data = HFDataConfig(path=path, streaming=streaming).build()
        assert data.splits == ("train",)
        assert texts(data) == texts(data) == ROWS


def test_the_fingerprint_depends_on_the_content(file: Path) -> None:
    first = HFDataConfig(path=str(file)).build().fingerprint
    assert HFDataConfig(path=str(file), streaming=True).build().fingerprint == first  # the same rows
    assert HFDataConfig(path=str(file), field="title").build().fingerprint != first
    changed = file.read_bytes().replace(b"row 3", b"row 9")
    if file.suffix != ".parquet":  # parquet has checksums
        file.write_bytes(changed)
        assert HFDataConfig(path=str(file)).build().fingerprint != first


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_provides_its_splits(tmp_path: Path, streaming: bool) -> None:
    for name, rows in (("train", ROWS[:4]), ("validation", ROWS[4:6]), ("test", ROWS[6:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows), encoding="utf-8")
    data = HFDataConfig(path=str(tmp_path), streaming=streaming).build()
    assert data.splits == ("train", "validation", "test")
    assert [texts(data, split) for split in data.splits] == [ROWS[:4], ROWS[4:6], ROWS[6:]]
    mapped = HFDataConfig(path=str(tmp_path), split={"train": "test", "validation": ""}, streaming=streaming).build()
    assert mapped.splits == ("train",)
    assert texts(mapped) == ROWS[6:]
    assert mapped.fingerprint != data.fingerprint
    with pytest.raises(
        ConfigError, match=r"data.split.validation=dev: .* does not have this split; it has train, validation, test"
    ):
        HFDataConfig(path=str(tmp_path), split={"train": "train", "validation": "dev"}).build()
    with pytest.raises(ConfigError, match=r"data.split has no key valid. Did you mean validation\?"):
        HFDataConfig(path=str(tmp_path), split={"valid": "test"}).build()


def test_a_folder_written_by_save_to_disk_is_read(tmp_path: Path) -> None:
    table = datasets.Dataset.from_dict({"text": ROWS})
    table.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": table, "validation": table.select([2])}).save_to_disk(str(tmp_path / "several"))
    assert texts(HFDataConfig(path=str(tmp_path / "one")).build()) == ROWS
    several = HFDataConfig(path=str(tmp_path / "several")).build()
    assert (several.splits, texts(several, "validation")) == (("train", "validation"), [ROWS[2]])


@pytest.mark.parametrize("streaming", [False, True])
def test_a_missing_column_names_the_existing_ones(file: Path, streaming: bool) -> None:
    with pytest.raises(DataError, match=r"no column tex; data.field can be text, title"):
        texts(HFDataConfig(path=str(file), field="tex", streaming=streaming).build())


def test_a_row_without_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one", "n": 1}\n{"text": null, "n": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"row 1 of split train has null instead of text in text"):
        texts(HFDataConfig(path=str(path)).build())
    with pytest.raises(DataError, match=r"row 0 of split train has a value of type int instead of text in n"):
        texts(HFDataConfig(path=str(path), field="n").build())


def test_a_misspelt_folder_suggests_the_nearest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tales").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"data.path=talse is not a local file or folder.* Did you mean tales\?") as error:
        HFDataConfig(path="talse").build()
    assert "\n" not in str(error.value)


def test_invalid_paths_are_errors_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"x")
    (tmp_path / "b.jsonl").write_text("{", encoding="utf-8")
    for path, reason in {
        str(tmp_path / "none.parquet"): "the file or folder does not exist",
        "none.parquet": "the file or folder does not exist",
        "nobody/nothing": "data.path=nobody/nothing is not a local file or folder, and the Hub did not provide it: ",
        str(tmp_path / "a.pdf"): "files must have one format",
        str(tmp_path / "*"): "files must have one format",
        str(tmp_path / "b.jsonl"): "b.jsonl: ",
    }.items():
        with pytest.raises(DataError, match=reason) as error:
            HFDataConfig(path=path).build()
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="must be a folder"):
        HFDataConfig(path=3).build()
