"""Opening of files as streams of bytes, decompressed if the suffix of the name is .gz or .zst."""

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
"""Bytes per read."""

INPUT_SIZES = 1 << 8, 1 << 14
"""Compressed bytes per call of the decompressor: few at the start and at high compression ratios, to keep the output small."""

SUSPECT_SIZE, MAX_RATIO = 1 << 26, 200
"""Limits against decompression bombs: an error is raised once the output exceeds this size and this ratio. Text has 3 to 30."""

_SIGNATURES = {
    rb"\x1f\x8b\x08": "compressed by gzip; rename it to end in .gz",
    rb"\x28\xb5\x2f\xfd": "compressed by zstandard; rename it to end in .zst",
    rb"BZh[1-9]1AY&SY": "compressed by bzip2; decompress it",
    rb"\xfd7zXZ\x00": "compressed by xz; decompress it",
    rb"PK\x03\x04": "a zip archive; unpack it",
    rb"PAR1.*[\x00-\x08]": "a parquet file; rename it to end in .parquet",
    rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff": "in UTF-16 or UTF-32; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)",
}
"""The first bytes of content that is not UTF-8 text, with a description and the fix."""


@contextmanager
def open_bytes(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a file as a decompressed stream; also yield the file itself, whose position shows how much of it has been read.

    Raises:
        DataError: the file cannot be opened, read or decompressed, is not text, is too large when decompressed, or changes. The
            error may be raised later, while the `with` block reads the stream.
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
    first_bytes = stream.peek(64)[:64]
    for pattern, description in _SIGNATURES.items():
        if re.match(pattern, first_bytes, re.DOTALL):
            raise DataError(f"{path} is not plain text: it is {description}")


class _SizeLimit(io.RawIOBase):
    """Passes on the output of a decompressor, and raises an error if the compression ratio is too high for text."""

    def __init__(self, path: Path, file: IO[bytes], stream: io.RawIOBase) -> None:
        self._path, self._file, self._stream, self._output_size = path, file, stream, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        size = self._stream.readinto(buffer) or 0
        self._output_size += size
        if self._output_size > SUSPECT_SIZE and self._output_size > MAX_RATIO * self._file.tell():
            raise DataError(
                f"{self._path} is more than {MAX_RATIO} times larger when decompressed, which is not plausible for text; "
                "decompress it yourself if this is intended"
            )
        return size


class _Zstandard(io.RawIOBase):
    """Decompresses the frames of a file in sequence. Unlike the reader of the library, it detects truncated files."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise DataError(f"{path}: reading .zst files needs the package zstandard; pip install gptkit[data]") from None
        self._path, self._file, self._library = path, file, zstandard
        self._frame: Any = None
        self._input_size = INPUT_SIZES[0]
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
        """Decompress the next block into `_ready`. Returns False at the end of the file."""
        remainder = self._frame.unused_data if self._frame is not None and self._frame.eof else b""
        data = remainder or self._file.read(self._input_size)
        if not data:
            if self._frame is not None and not self._frame.eof:
                raise EOFError("its last frame is incomplete")
            return False
        if self._frame is None or self._frame.eof:
            self._frame = self._library.ZstdDecompressor().decompressobj()
        try:
            self._ready = memoryview(self._frame.decompress(data))
        except self._library.ZstdError as error:
            raise DataError(f"{self._path} cannot be decompressed ({error}); copy or download it again") from None
        self._input_size = INPUT_SIZES[len(self._ready) < 64 * len(data)]
        return True
