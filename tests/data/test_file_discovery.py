"""Sources read only complete, regular files whose content has the format of their name; other files are one-line errors."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from gptkit.data import DialoguesConfig, LabelledConfig, PromptsConfig, RankingsConfig, TextConfig
from gptkit.data.config import DataConfig
from gptkit.errors import ConfigError, DataError, GptkitError

SOURCES: dict[str, Callable[..., DataConfig]] = {
    "text": TextConfig,
    "labelled": LabelledConfig,
    "dialogues": DialoguesConfig,
    "rankings": RankingsConfig,
    "prompts": PromptsConfig,
}
TEXT = "some text to learn from\n" * 3


def read(part: DataConfig) -> None:
    for _ in part.build().records("train"):
        pass


def fails(path: Path | str, *, source: str = "text", **settings: str) -> str:
    with pytest.raises(GptkitError) as caught:
        read(SOURCES[source](path=str(path), **settings))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 800
    return message


@pytest.fixture
def irregular_files(in_folder: Path) -> Path:
    """A folder of entries that are not regular files. Reading the pipe would block, and reading the device would never end."""
    os.mkfifo("pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jsonl")
    Path("zero.jsonl").symlink_to("/dev/zero")
    Path("nothing.jsonl").symlink_to("nowhere")
    Path("self.jsonl").symlink_to("self.jsonl")
    return in_folder


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("pipe.jsonl", "is a pipe, but only regular files can be read"),
        ("socket.jsonl", "is a socket"),
        ("zero.jsonl", "is a device"),
        ("nothing.jsonl", "is a link to nowhere, which does not exist"),
        ("self.jsonl", "Too many levels of symbolic links"),
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["named", "in a folder"])
def test_error_names_a_path_that_is_not_a_regular_file(
    irregular_files: Path, source: str, name: str, complaint: str, inside: bool
) -> None:
    if inside:
        for other in list(irregular_files.iterdir()):
            if other.name != name:
                other.unlink()
        assert complaint in fails(irregular_files, source=source) and name in fails(irregular_files, source=source)
    else:
        assert complaint in fails(name, source=source) and f"data.path={name}" in fails(name, source=source)


def test_devices_are_rejected() -> None:
    for path in ("/dev/zero", "/dev/null"):
        assert f"data.path={path} is a device" in fails(path)


def test_error_names_an_invalid_path(in_folder: Path) -> None:
    Path("a.txt").write_text(TEXT)
    assert "a.txt is a file, not a folder" in fails("a.txt/b.txt")
    assert "File name too long" in fails("x" * 300 + ".txt")
    assert "there is no such file" in fails("~nobody-is-called-so/a.txt")
    for wrong, complaint in (("a\0b.txt", "a NUL character"), ("\udcff.txt", "not valid UTF-8")):
        with pytest.raises(ConfigError, match=complaint):
            TextConfig(path=wrong).build()


def test_cycles_of_links_are_followed_once(in_folder: Path) -> None:
    """With two links to the parent folder, the number of paths grows exponentially with the depth."""
    (in_folder / "a" / "b").mkdir(parents=True)
    (in_folder / "a" / "b" / "t.txt").write_text(TEXT)
    for link in ("up", "again", "and"):
        (in_folder / "a" / link).symlink_to("..")
    for path in (".", "**", "**/*.txt", "a/**/t.txt", "*/**/*.txt", f"{in_folder}/**/b/*"):
        built = TextConfig(path=path).build()
        assert [each.name for each in built.files] == ["t.txt"]  # type: ignore[attr-defined]


def compressed_tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.txt"), None)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        pytest.param("a.txt", gzip.compress(TEXT.encode()), "compressed by gzip; rename it to end in .gz", id="gzip"),
        pytest.param("a.txt", zstandard.compress(TEXT.encode()), "compressed by zstandard", id="zstandard"),
        pytest.param("a.txt.gz", gzip.compress(gzip.compress(TEXT.encode())), "compressed by gzip", id="gzip twice"),
        pytest.param("a.jsonl", b"PK\x03\x04rest", "a zip archive; unpack it", id="zip"),
        pytest.param("a.txt", b"\xfd7zXZ\x00", "compressed by xz", id="xz"),
        pytest.param("a.txt", TEXT.encode("utf-16"), "in UTF-16 or UTF-32; convert it", id="UTF-16"),
        pytest.param("a.jsonl", TEXT.encode("utf-32"), "in UTF-16 or UTF-32", id="UTF-32"),
        pytest.param("a.txt", TEXT.encode("utf-16-le"), "a NUL character, as in UTF-16", id="UTF-16 without a mark"),
        pytest.param("a.jsonl", b'{"text": "a\0"}', "a.jsonl:1: there is a NUL character", id="NUL in JSON"),
        pytest.param("a.txt.gz", compressed_tar(), "there is no text|a NUL character", id="tar"),
        pytest.param("a.txt.gz", b"", "there is no text", id="empty"),
        pytest.param("a.txt.gz", gzip.compress(b" \n\t"), "there is no text, only white space", id="white space"),
        pytest.param("a.jsonl", b'{"text": ""}\n{"text": " "}\n', "there is no text, only white space", id="white space in JSON"),
    ],
)
def test_error_describes_content_that_is_not_text(in_folder: Path, name: str, content: bytes, complaint: str) -> None:
    Path(name).write_bytes(content)
    message = fails(name)
    assert any(each in message for each in complaint.split("|")) and name in message


def test_errors_replace_replaces_nul_characters(in_folder: Path) -> None:
    Path("a.txt").write_bytes(b"a\0b")
    (record,) = TextConfig(path="a.txt", errors="replace").build().records("train")
    assert record.text == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("name", ["bomb.txt.gz", "bomb.txt.zst", "bomb.jsonl.gz", "bomb.jsonl.zst"])
def test_decompression_bombs_are_rejected(in_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.data.readers.decompression.SUSPECT_SIZE", 1 << 20)
    content = b"a" * (8 << 20)
    Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else zstandard.compress(content))
    assert f"{name} is more than 200 times larger" in fails(name, source="text" if "txt" in name else "dialogues")


def test_too_long_lines_are_rejected(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.data.readers.text_lines.MAX_LINE_BYTES", 1000)
    Path("a.jsonl").write_text('{"text": "x"}\n' + "x" * 1001)
    assert "a.jsonl:2: the line is longer than 1,000 bytes" in fails("a.jsonl")


@pytest.mark.parametrize("source", ["text", "prompts"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_error_names_a_file_that_changes_while_it_is_read(in_folder: Path, source: str, name: str) -> None:
    column = "text" if source == "text" else "prompt"

    def write(text: str) -> None:
        if name.endswith(".parquet"):
            pyarrow.parquet.write_table(pyarrow.table({column: [text]}), name)
        else:
            content = f'{{"{column}": "{text}"}}\n'.encode()
            Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    write("one")
    built = SOURCES[source](path=name).build()
    write("another")
    with pytest.raises(DataError, match=f"{name} changed while it was read"):
        list(built.records("train"))
    built = SOURCES[source](path=name).build()
    records = iter(built.records("train"))
    next(records)
    write("a third")
    with pytest.raises(DataError, match=f"{name} changed while it was read"):
        list(records)
    built = SOURCES[source](path=name).build()
    os.utime(name)  # the content is unchanged
    assert len(list(built.records("train"))) == 1


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"text": [[TEXT]]}, "column text holds list<"),
        ({"text": [{"a": TEXT}]}, "column text holds struct"),
        ({"text": [b"x"]}, "column text holds binary instead of text"),
        ({"text": pyarrow.array([], pyarrow.string())}, "there is no text"),
        ({"text": pyarrow.array([None])}, "column text holds null instead of text"),
    ],
)
def test_parquet_column_that_is_not_text_is_an_error(in_folder: Path, columns: dict[str, object], complaint: str) -> None:
    pyarrow.parquet.write_table(pyarrow.table(columns), "a.parquet")
    assert complaint in fails("a.parquet")


def test_error_names_a_duplicate_column(in_folder: Path) -> None:
    columns = [pyarrow.array(["x"]), pyarrow.array(["y"])]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, ["text", "text"]), "a.parquet")
    for source in ("text", "dialogues"):
        assert "there are several columns text" in fails("a.parquet", source=source)


@pytest.mark.parametrize("size", [0, 10, 60, -30])
def test_damaged_parquet_file_is_a_one_line_error(in_folder: Path, size: int) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"text": [TEXT] * 100, "label": ["x"] * 100}), "a.parquet")
    content = Path("a.parquet").read_bytes()
    Path("a.parquet").write_bytes(content[:size])
    for source in SOURCES:
        message = fails("a.parquet", source=source)
        assert "a.parquet cannot be read as a parquet file" in message or "there is no text" in message


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"text": "x", "text": "y"}', "the key text occurs twice in one object"),
        ('{"text": "x", "more": {"a": 1, "a": 2}}', "the key a occurs twice in one object"),
        ('{"text": ' + "[" * 200 + "]" * 200 + "}", "lists and objects are nested more than 64 deep"),
        ('{"text": ' * 20_000, "the line is not JSON"),
        ('{"text": "x", "more": ' + "1" * 5000 + "}", "the line is not JSON (Exceeds the limit"),
    ],
)
@pytest.mark.parametrize("source", SOURCES)
def test_error_names_an_invalid_line_of_jsonl(in_folder: Path, line: str, complaint: str, source: str) -> None:
    Path("a.jsonl").write_text("\n" + line + "\n")
    assert f"a.jsonl:2: {complaint}" in fails("a.jsonl", source=source)
