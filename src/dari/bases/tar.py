"""Reading a tar stream from strangers: forward only, bounded memory, and whatever isn't a tar is an error.

Not the standard library's tarfile: that reads extended headers of any size into memory, takes a damaged header in the
middle for the end, and keeps every member. Formats: POSIX.1-2017 pax (ustar, extended headers) and GNU tar's long
names, base-256 numbers and sparse files, as engines read them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dari.errors import IntegrityError

BLOCK: Final = 512
_LARGEST_HEADER: Final = 1 << 20  # of a pax or long-name record; Go's archive/tar has the same ceiling
_PAX_RECORD: Final = re.compile(rb"(\d{1,7}) ")
_REGULAR: Final = frozenset(b"\x0007")
_ZERO: Final = bytes(BLOCK)


class MemberKind(StrEnum):
    """What a member makes in the file system; OTHER is a device, a fifo, or anything else that has no content."""

    FILE = "f"
    DIRECTORY = "d"
    SYMLINK = "s"
    HARDLINK = "h"
    OTHER = "o"


@dataclass(frozen=True, slots=True)
class Member:
    """One member, its names as they stand in the archive. `size` is that of the content that follows, in bytes."""

    name: str
    kind: MemberKind
    size: int
    target: str
    sparse: bool  # its content is a map and fragments, not the file's bytes


class TarStream:
    """Members in order; the content of the current one can be read until the next is asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._at = 0
        self._left = 0  # of the current member's content
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Yield each member. Reads to the end of the stream, what follows the last member included.

        Raises `IntegrityError`: DARI-LAYER-CORRUPT where a header is not a tar's, DARI-LAYER-TRUNCATED where the
        stream ends inside a member; and what the stream itself raises.
        """
        extended: dict[str, bytes] = {}
        while (header := self._header()) is not None:
            kind = header[156]
            size = _number(header[124:136])
            if kind in b"xLK":
                extended |= self._extension(kind, size)
            elif kind == ord("g"):  # global defaults: comments in practice, and no engine heeds a global path
                self._take_record(size)
            else:
                member = _member(header, extended, size)
                if kind == ord("S"):
                    self._skip_sparse_map(header)
                self._left, self._padding = member.size, -member.size % BLOCK
                yield member
                self._skip(self._left + self._padding)
                self._left, extended = 0, {}
        for _ in self._chunks:  # to its end: only there the layer's digest is checked
            pass

    def content(self) -> Iterator[bytes]:
        """Yield the current member's content in pieces, once."""
        while self._left:
            piece = self._piece(self._left)
            self._left -= len(piece)
            yield piece

    def _header(self) -> bytes | None:
        header = self._take(BLOCK, at_end=True)
        if header is None or header == _ZERO:
            # One zero block ends it for GNU tar and the standard library, two for POSIX; a member after one is damage.
            follower = self._take(BLOCK, at_end=True) if header else None
            if follower and follower != _ZERO:
                raise _corrupt("a header follows the end mark")
            return None
        if not is_header(header):
            raise _corrupt("a member's header has a wrong checksum")
        return header

    def _extension(self, kind: int, size: int) -> dict[str, bytes]:
        record = self._take_record(size)
        if kind == ord("x"):
            return _pax(record)
        return {"path" if kind == ord("L") else "linkpath": record.partition(b"\0")[0]}

    def _take_record(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise _corrupt(f"an extended header claims {size} bytes")
        record = self._take(size) or b""
        self._skip(-size % BLOCK)
        return record

    def _skip_sparse_map(self, header: bytes) -> None:
        more = header[482]
        while more:
            more = (self._take(BLOCK) or _ZERO)[504]

    def _take(self, length: int, *, at_end: bool = False) -> bytes | None:
        """Return `length` bytes; None where the stream ends right here and that is allowed (`at_end`)."""
        end = self._at + length
        if end <= len(self._buffer):
            piece = self._buffer[self._at : end]
            self._at = end
            return piece
        parts: list[bytes] = []
        missing = length
        while missing:
            piece = self._piece(missing, optional=at_end and missing == length)
            if not piece:
                return None
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)

    def _skip(self, length: int) -> None:
        left = length - (len(self._buffer) - self._at)
        if left <= 0:
            self._at += length
            return
        while left > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise _truncated()
            self._buffer = chunk
            self._at = len(chunk) + min(0, left - len(chunk))
            left -= len(chunk)

    def _piece(self, most: int, *, optional: bool = False) -> bytes:
        while self._at >= len(self._buffer):
            chunk = next(self._chunks, None)
            if chunk is None:
                if optional:
                    return b""
                raise _truncated()
            self._buffer, self._at = chunk, 0
        piece = self._buffer[self._at : self._at + most]
        self._at += len(piece)
        return piece


def is_header(block: bytes) -> bool:
    """Say whether a block of 512 bytes carries a tar header's checksum."""
    try:
        expected = _number(block[148:156])
    except IntegrityError:
        return False
    # POSIX: the sum of all bytes, the checksum field taken as eight blanks.
    return len(block) == BLOCK and sum(block) - sum(block[148:156]) + 8 * 32 == expected


def _member(header: bytes, extended: dict[str, bytes], size: int) -> Member:
    name = extended.get("GNU.sparse.name") or extended.get("path") or _ustar_name(header)
    target = extended.get("linkpath") or header[157:257].partition(b"\0")[0]
    flag = header[156]
    if "size" in extended:
        size = _decimal(extended["size"])
    kind = _kind(flag, name)
    if size < 0:
        raise _corrupt(f"a member claims {size} bytes")
    if kind is not MemberKind.FILE and flag in b"123456":  # links, devices and directories have no content
        size = 0
    return Member(
        name.decode("utf-8", "surrogateescape"),
        kind,
        size,
        target.decode("utf-8", "surrogateescape") if kind in {MemberKind.SYMLINK, MemberKind.HARDLINK} else "",
        flag == ord("S") or any(key.startswith("GNU.sparse.") for key in extended),
    )


def _kind(flag: int, name: bytes) -> MemberKind:
    match chr(flag):
        case "\0" | "0" | "7" | "S":
            # Before POSIX a directory was a file whose name ends in a slash.
            return MemberKind.DIRECTORY if name.endswith(b"/") and flag in _REGULAR else MemberKind.FILE
        case "1":
            return MemberKind.HARDLINK
        case "2":
            return MemberKind.SYMLINK
        case "5" | "D":
            return MemberKind.DIRECTORY
        case _:
            return MemberKind.OTHER


def _ustar_name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0":  # GNU's own magic has other fields where the prefix would be
        prefix = header[345:500].partition(b"\0")[0]
        return prefix + b"/" + name if prefix else name
    return name


def _number(field: bytes) -> int:
    """Read an octal field, or GNU's base 256 where the first bit is set."""
    if field[:1] >= b"\x80":
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    text = field.partition(b"\0")[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise _corrupt(f"{bytes(field)!r} is not an octal number") from None


def _decimal(text: bytes) -> int:
    if not re.fullmatch(rb"\d{1,18}", text):
        raise _corrupt(f"{text[:40]!r} is not a size")
    return int(text)


def _pax(record: bytes) -> dict[str, bytes]:
    """Read pax records `LENGTH KEY=VALUE` and a line feed (POSIX.1-2017 pax, Extended Header)."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(record):
        length = _PAX_RECORD.match(record, at)
        end = at + int(length[1]) if length else at
        if not length or end > len(record) or end <= length.end() or record[end - 1 : end] != b"\n":
            raise _corrupt("a pax record is not 'LENGTH KEY=VALUE'")
        key, equals, value = record[length.end() : end - 1].partition(b"=")
        if not equals:
            raise _corrupt("a pax record has no '='")
        found[key.decode("utf-8", "replace")] = value
        at = end
    return found


def _corrupt(reason: str) -> IntegrityError:
    return IntegrityError(
        "DARI-LAYER-CORRUPT",
        f"reading a layer's tar stream: {reason}",
        hint="the layer is damaged or is no tar archive; push the image again from where it was made",
    )


def _truncated() -> IntegrityError:
    return IntegrityError(
        "DARI-LAYER-TRUNCATED",
        "reading a layer's tar stream: it ends inside a member",
        hint="the layer was cut short where it was made; push the image again from there",
    )
