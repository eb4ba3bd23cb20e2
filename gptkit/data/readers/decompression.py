"""Files as streams of bytes, decompressed where the name says that they are compressed."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from gptkit.data.readers.file_hashes import ensure_unchanged
from gptkit.errors import DataError
from gptkit.user_files import open_user_file

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 20
"""Bytes that are read at a time."""

SIPS = 1 << 8, 1 << 14
"""Compressed bytes that are decompressed at a time: few where few become many, as at the beginning there is no telling."""

SUSPECT, MOST_TIMES = 1 << 26, 200
"""From so many bytes on, a file that became more than so many times larger is taken for a trap: text grows 3 to 30 times."""

_BEGINNINGS = {
    rb"\x1f\x8b\x08": "compressed by gzip; let its name end in .gz",
    rb"\x28\xb5\x2f\xfd": "compressed by zstandard; let its name end in .zst",
    rb"BZh[1-9]1AY&SY": "compressed by bzip2; decompress it",
    rb"\xfd7zXZ\x00": "compressed by xz; decompress it",
    rb"PK\x03\x04": "a zip archive; unpack it",
    rb"PAR1.*[\x00-\x08]": "a parquet file; let its name end in .parquet",
    rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff": "in UTF-16 or UTF-32; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)",
}
"""How contents begin that are no text in UTF-8, what they are, and what to do."""


@contextmanager
def open_bytes(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The decompressed stream of text, and the file itself, whose position tells how much of it has been read.

    Raises:
        DataError: the file cannot be opened, read or decompressed, holds something else than text, becomes too large when it is
            decompressed, or changes (also later, while it is read in the `with` block).
    """
    with open_user_file(path) as file, ensure_unchanged(path):
        try:
            stream = _decompressed(path, file)
            _check_is_text(path, stream)
            yield stream, file
        except EOFError as error:
            raise DataError(f"{path} ends in the middle of its compressed data ({error}); copy or download it again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path} cannot be decompressed ({error}); copy or download it again") from None


def _decompressed(path: Path, file: IO[bytes]) -> io.BufferedReader:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return io.BufferedReader(_SizeLimit(path, file, cast(io.RawIOBase, gzip.GzipFile(fileobj=file))), BLOCK)
    if suffix == ".zst":
        return io.BufferedReader(_SizeLimit(path, file, _Zstandard(path, file)), BLOCK)
    return cast(io.BufferedReader, file)


def _check_is_text(path: Path, stream: io.BufferedReader) -> None:
    begin = stream.peek(64)[:64]
    for pattern, what in _BEGINNINGS.items():
        if re.match(pattern, begin, re.DOTALL):
            raise DataError(f"{path} holds no plain text: it is {what}")


class _SizeLimit(io.RawIOBase):
    """What a decompressor gives, unless it is more than any text can become."""

    def __init__(self, path: Path, file: IO[bytes], stream: io.RawIOBase) -> None:
        self._path, self._file, self._stream, self._given = path, file, stream, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        size = self._stream.readinto(buffer) or 0
        self._given += size
        if self._given > SUSPECT and self._given > MOST_TIMES * self._file.tell():
            raise DataError(
                f"{self._path} becomes more than {MOST_TIMES} times larger when it is decompressed, which text does not; "
                "decompress it yourself where that is meant"
            )
        return size


class _Zstandard(io.RawIOBase):
    """Decompresses frames one after the other. Unlike the library's own reader it notices a file that ends too early."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise DataError(f"{path}: reading .zst files needs the package zstandard; pip install gptkit[data]") from None
        self._path, self._file, self._library = path, file, zstandard
        self._frame: Any = None
        self._sip = SIPS[0]
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        while not self._ready:
            if not self._advance():
                return 0
        size = min(len(target), len(self._ready))
        target[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _advance(self) -> bool:
        """Decompress the next block into `_ready`; False at the end of the file."""
        rest = self._frame.unused_data if self._frame is not None and self._frame.eof else b""
        data = rest or self._file.read(self._sip)
        if not data:
            if self._frame is not None and not self._frame.eof:
                raise EOFError("its last frame is cut off")
            return False
        if self._frame is None or self._frame.eof:
            self._frame = self._library.ZstdDecompressor().decompressobj()
        try:
            self._ready = memoryview(self._frame.decompress(data))
        except self._library.ZstdError as error:
            raise DataError(f"{self._path} cannot be decompressed ({error}); copy or download it again") from None
        self._sip = SIPS[len(self._ready) < 64 * len(data)]
        return True
