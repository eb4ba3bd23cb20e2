"""`data=hf`: the rows of every kind of local data set, whole and streamed, and a fingerprint that follows their content."""

import json

import datasets
import pytest
from gptkit_hf import HFDataConfig

from gptkit.errors import ConfigError, DataError

ROWS = [f"row {number}: größer\nsecond line" for number in range(7)]


def texts(data, split="train"):
    return [record.text for record in data.records(split)]


@pytest.fixture(params=["parquet", "jsonl", "csv"])
def file(request, tmp_path):
    table = datasets.Dataset.from_dict({"text": ROWS, "title": ["a"] * 7})
    path = tmp_path / f"rows.{request.param}"
    {"parquet": table.to_parquet, "jsonl": table.to_json, "csv": table.to_csv}[request.param](str(path))
    return path


@pytest.mark.parametrize("streaming", [False, True])
def test_files(file, streaming):
    for path in (str(file), str(file.parent / "*"), [str(file)]):
        data = HFDataConfig(path=path, streaming=streaming).build()
        assert data.splits == ("train",)
        assert texts(data) == texts(data) == ROWS


def test_the_fingerprint_follows_the_content(file):
    first = HFDataConfig(path=str(file)).build().fingerprint
    assert HFDataConfig(path=str(file), streaming=True).build().fingerprint == first  # the same rows
    assert HFDataConfig(path=str(file), field="title").build().fingerprint != first
    changed = file.read_bytes().replace(b"row 3", b"row 9")
    if file.suffix != ".parquet":  # whose bytes hold sums of themselves
        file.write_bytes(changed)
        assert HFDataConfig(path=str(file)).build().fingerprint != first


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_brings_its_splits(tmp_path, streaming):
    for name, rows in (("train", ROWS[:4]), ("validation", ROWS[4:6]), ("test", ROWS[6:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows), encoding="utf-8")
    data = HFDataConfig(path=str(tmp_path), streaming=streaming).build()
    assert data.splits == ("train", "validation", "test")
    assert [texts(data, split) for split in data.splits] == [ROWS[:4], ROWS[4:6], ROWS[6:]]
    mapped = HFDataConfig(path=str(tmp_path), split={"train": "test", "validation": ""}, streaming=streaming).build()
    assert mapped.splits == ("train",)
    assert texts(mapped) == ROWS[6:]
    assert mapped.fingerprint != data.fingerprint
    with pytest.raises(ConfigError, match=r"data.split.validation=dev: .* has no such split; it has train, validation, test"):
        HFDataConfig(path=str(tmp_path), split={"train": "train", "validation": "dev"}).build()
    with pytest.raises(ConfigError, match=r"data.split has no key valid. Did you mean validation\?"):
        HFDataConfig(path=str(tmp_path), split={"valid": "test"}).build()


def test_what_save_to_disk_wrote(tmp_path):
    table = datasets.Dataset.from_dict({"text": ROWS})
    table.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": table, "validation": table.select([2])}).save_to_disk(str(tmp_path / "several"))
    assert texts(HFDataConfig(path=str(tmp_path / "one")).build()) == ROWS
    several = HFDataConfig(path=str(tmp_path / "several")).build()
    assert (several.splits, texts(several, "validation")) == (("train", "validation"), [ROWS[2]])


@pytest.mark.parametrize("streaming", [False, True])
def test_a_column_that_is_not_there(file, streaming):
    with pytest.raises(DataError, match=r"no column tex; data.field can be text, title"):
        texts(HFDataConfig(path=str(file), field="tex", streaming=streaming).build())


def test_rows_that_hold_no_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one", "n": 1}\n{"text": null, "n": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"row 1 of split train holds nothing \(null\) in text"):
        texts(HFDataConfig(path=str(path)).build())
    with pytest.raises(DataError, match=r"row 0 of split train holds no text but int in n"):
        texts(HFDataConfig(path=str(path), field="n").build())


def test_a_misspelt_folder_is_not_only_looked_for_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "tales").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"data.path=talse is no file or folder here.* Did you mean tales\?") as error:
        HFDataConfig(path="talse").build()
    assert "\n" not in str(error.value)


def test_bad_paths(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"x")
    (tmp_path / "b.jsonl").write_text("{", encoding="utf-8")
    for path, reason in {
        str(tmp_path / "none.parquet"): "no such file or folder",
        "none.parquet": "no such file or folder",
        "nobody/nothing": "data.path=nobody/nothing is no file or folder here, and the hub did not give it: ",
        str(tmp_path / "a.pdf"): "files must be of one kind",
        str(tmp_path / "*"): "files must be of one kind",
        str(tmp_path / "b.jsonl"): "b.jsonl: ",
    }.items():
        with pytest.raises(DataError, match=reason) as error:
            HFDataConfig(path=path).build()
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="must be a folder"):
        HFDataConfig(path=3).build()
