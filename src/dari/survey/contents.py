"""The digests of a project's files, remembered by what the file system says of them, and their bytes, verified."""

import hashlib
import io
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from dari.errors import OutsideError
from dari.survey.leaks import LARGEST_SCANNED, RULES_VERSION, Leak, leaks_in
from dari.survey.selection import Chosen, printable
from dari.system import CHUNK, Store

_KIND: Final = "project-files"
# A file changed twice within one tick of its file system's clock looks unchanged: young files aren't remembered.
_YOUNG: Final = 2_000_000_000  # nanoseconds


@dataclass(frozen=True, slots=True)
class Content:
    """A file's sha256 (hex) and size in bytes, and the secrets that were seen in it."""

    digest: str
    size: int
    leaks: tuple[Leak, ...] = ()


def read_contents(
    folder: Path, files: tuple[Chosen, ...], store: Store
) -> tuple[Mapping[str, Content], Mapping[str, str]]:
    """Return the content of each file by its path, and what stopped the reading of others.

    A file whose size, times and inode are those of an earlier run isn't read again, unless secrets were in it.
    Raises `OutsideError` (DARI-FILE-CHANGED) for a file that changes while it is read.
    """
    known = _remembered(folder, store)
    contents: dict[str, Content] = {}
    problems: dict[str, str] = {}
    states: dict[str, list[str | int]] = {}
    for file in files:
        state = _state(file.status)
        remembered = known.get(file.path)
        if remembered and remembered[:-1] == state:
            contents[file.path] = Content(str(remembered[-1]), file.status.st_size)
        else:
            try:
                contents[file.path] = _read(folder, file)
            except OSError as error:
                problems[file.path] = f"reading it: {error.strerror}"
                continue
        if (
            not contents[file.path].leaks
            and time.time_ns() - max(file.status.st_mtime_ns, file.status.st_ctime_ns) > _YOUNG
        ):
            states[file.path] = [*state, contents[file.path].digest]
    if states != known:
        store.remember(_KIND, _key(folder), json.dumps(states, separators=(",", ":")).encode())
    return contents, problems


def _key(folder: Path) -> str:
    return f"{RULES_VERSION}:{folder.resolve()}"


def _remembered(folder: Path, store: Store) -> dict[str, list[str | int]]:
    try:
        record = json.loads(store.record(_KIND, _key(folder)) or b"{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {path: state for path, state in record.items() if isinstance(state, list) and state}


def _state(status: os.stat_result) -> list[str | int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _read(folder: Path, file: Chosen) -> Content:
    running, size, head = hashlib.sha256(), 0, b""
    with open_regular(folder / file.path) as stream:
        while chunk := stream.read(CHUNK):
            running.update(chunk)
            head = head or chunk
            size += len(chunk)
        after = os.fstat(stream.fileno())
    if _state(after) != _state(file.status) or size != file.status.st_size:
        raise changed(file.path)
    leaks = leaks_in(head) if size <= LARGEST_SCANNED else ()
    return Content(running.hexdigest(), size, leaks)


def open_regular(path: Path) -> BinaryIO:
    """Open a file that was a regular one when it was chosen: not through a link, and not a pipe that would block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(descriptor, "rb", buffering=0)


def changed(path: str) -> OutsideError:
    """Return the error for a file that isn't what it was a moment ago."""
    return OutsideError(
        "DARI-FILE-CHANGED",
        f"reading {printable(path)!r}: it changed while it was read",
        hint="run the command again when nothing writes into the project's folder",
        temporary=True,
    )


def open_verified(path: Path, name: str, content: Content) -> BinaryIO:
    """Open a file for a layer: its last bytes come only if all of them are those that its digest was made from.

    Raises `OutsideError` (DARI-FILE-CHANGED), here or while it is read.
    """
    try:
        return io.BufferedReader(_Verified(open_regular(path), name, content), CHUNK)
    except OSError as error:
        raise changed(name) from error


class _Verified(io.RawIOBase):  # inherits because the standard library's buffered reader wants exactly this
    """The first `content.size` bytes of a file, hashed on their way."""

    def __init__(self, stream: BinaryIO, name: str, content: Content) -> None:
        self._stream = stream
        self._name = name
        self._content = content
        self._running = hashlib.sha256()
        self._left = content.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # any writable buffer
        if not self._left:
            return 0
        view = memoryview(buffer)[: self._left]
        count = self._stream.readinto(view)  # type: ignore[attr-defined]  # FileIO has it
        if not count:
            raise changed(self._name)
        self._running.update(view[:count])
        self._left -= count
        if not self._left and self._running.hexdigest() != self._content.digest:
            raise changed(self._name)
        return int(count)

    def close(self) -> None:
        self._stream.close()
        super().close()
