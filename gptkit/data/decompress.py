"""Files as streams of bytes, decompressed where the name says that they are compressed."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from gptkit.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 20
"""Bytes that are read at a time."""

SIP = 1 << 14
"""Compressed bytes that are decompressed at a time; few, because there is no telling how many they become."""


@contextmanager
def open_bytes(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The decompressed stream, and the file itself, whose position tells how much of it has been read.

    Raises:
        DataError: the file cannot be opened, read or decompressed (also later, while it is read in the `with` block).
    """
    try:
        with path.open("rb") as file:
            yield _decompressed(path, file), file
    except EOFError as error:
        raise DataError(f"{path} ends in the middle of its compressed data ({error}); copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be decompressed ({error}); copy or download it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _decompressed(path: Path, file: IO[bytes]) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if suffix == ".zst":
        return io.BufferedReader(_Zstandard(path, file), BLOCK)
    return file


class _Zstandard(io.RawIOBase):
    """Decompresses frames one after the other. Unlike the library's own reader it notices a file that ends too early."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise DataError(f"{path}: reading .zst files needs the package zstandard; pip install gptkit[data]") from None
        self._path, self._file, self._library = path, file, zstandard
        self._frame: Any = None
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
        data = rest or self._file.read(SIP)
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
        return True
