"""Reading within files: a part of one, and what a .deb's compressed members hold (deb(5))."""

import os
import tempfile
from collections.abc import Callable, Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from dari.system import CHUNK

_LARGEST_WINDOW: Final = 1 << 27
_FOREIGN_ERRORS: Final = frozenset({"LZMAError", "ZstdError", "OSError", "EOFError", "BadGzipFile", "error"})


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Unnamed:
    """A temporary file without a name: it is gone when nobody holds it any more, however the process ends."""

    def __init__(self, folder: Path) -> None:
        self._descriptor, name = tempfile.mkstemp(dir=folder)
        Path(name).unlink()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self._descriptor)


class _Part(RawIOBase):
    """Part of a file, read by position: any number may be open on one descriptor."""

    def __init__(self, stream: _HasDescriptor, offset: int, size: int) -> None:
        self._stream, self._offset, self._left = stream, offset, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # typeshed's Buffer can't be imported before 3.12
        count = os.preadv(self._stream.fileno(), [view[: self._left]], self._offset)
        self._offset, self._left = self._offset + count, self._left - count
        return count


def part_of(stream: _HasDescriptor, offset: int, size: int) -> BinaryIO:
    """Return `size` bytes of a file from `offset` on as a file of their own, which keeps the other one open."""
    return cast("BinaryIO", _Part(stream, offset, size))


def decompressed(stream: BinaryIO, suffix: str) -> Iterator[bytes]:
    """Yield what `stream` holds, 1 MiB at a time; `suffix` is '', '.gz', '.bz2', '.xz', '.lzma' or '.zst'.

    Raises `ValueError` for another suffix, for damaged content and for an end before the end.
    """
    try:
        reader = _reader(stream, suffix)
        while chunk := reader.read(CHUNK):
            yield chunk
    except ValueError:
        raise
    except Exception as error:
        # Each library raises a class of its own, and they share no other ancestor.
        if type(error).__name__ not in _FOREIGN_ERRORS:
            raise
        raise ValueError(str(error)) from error


def _reader(stream: BinaryIO, suffix: str) -> BinaryIO:
    # Each of these is loaded only where it is used; zstandard is a native library.
    if not suffix:
        return stream
    if suffix == ".gz":
        from gzip import GzipFile  # noqa: PLC0415

        return cast("BinaryIO", GzipFile(fileobj=stream))
    if suffix in {".xz", ".lzma"}:
        from lzma import LZMAFile  # noqa: PLC0415

        return cast("BinaryIO", LZMAFile(stream))
    if suffix == ".bz2":
        from bz2 import BZ2File  # noqa: PLC0415

        return cast("BinaryIO", BZ2File(stream))
    if suffix == ".zst":
        from zstandard import ZstdDecompressor  # noqa: PLC0415

        buffered = BufferedReader(cast("RawIOBase", stream), CHUNK)
        decompressor = ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        return cast("BinaryIO", decompressor.stream_reader(buffered, read_across_frames=True))
    raise ValueError(f"{suffix!r} is not a compression that dari knows")
