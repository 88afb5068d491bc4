"""Reading a stranger's tar: names, kinds and places of its members, in bounded memory whatever it claims.

Understands ustar, pax (POSIX.1-2001) and GNU's long names; contents are skipped, not read. The standard library's
tarfile reads a header record of any size into memory, and a layer of some megabytes can claim one of gigabytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from dari.image.tar import BLOCK

_LARGEST_RECORD: Final = 1 << 20
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"
_WITHOUT_CONTENT: Final = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})


class TarFault(ValueError):  # noqa: N818 - it names what is found, and callers turn it into their own error
    """A tar that can't be read; the text says why."""


class Source(Protocol):
    """What a tar is read from."""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end."""
        ...

    def skip(self, size: int) -> int:
        """Pass over `size` bytes; return how many were there."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One member. `kind` is its type byte, `offset` where its `size` bytes of content begin."""

    name: bytes
    kind: bytes
    link: bytes
    size: int
    offset: int

    @property
    def is_file(self) -> bool:
        """Say whether it is a plain file."""
        return self.kind in {b"0", b"\0", b"7"} and not self.name.endswith(b"/")


def members(source: Source) -> Iterator[Member]:
    """Yield a tar's members. Raises `TarFault` where it is torn, has a wrong checksum or claims too much."""
    at = 0
    extra: dict[bytes, bytes] = {}
    while True:
        block = source.read(BLOCK)
        if not block and not extra:
            return  # without the closing zeros: not beautiful, but every reader takes it
        if len(block) < BLOCK:
            raise TarFault("it ends inside a header")
        at += BLOCK
        if block == bytes(BLOCK):
            return
        _check_sum(block)
        kind, size = block[156:157], _number(block[124:136])
        if kind in {_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK}:
            content = _record(source, size)
            at += len(content)
            extra |= _meant(kind, content[:size])
            continue
        member = _member(block, extra, at)
        extra = {}
        yield member
        padded = member.size + -member.size % BLOCK
        if source.skip(padded) < member.size:
            raise TarFault(f"it ends inside {member.name[:200]!r}")
        at += padded


def _member(block: bytes, extra: dict[bytes, bytes], at: int) -> Member:
    name, prefix = _text(block[:100]), _text(block[345:500])
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    kind, size = block[156:157], _number(block[124:136])
    if b"size" in extra:
        if not extra[b"size"].isdigit() or len(extra[b"size"]) > 18:  # noqa: PLR2004 - an exabyte
            raise TarFault("a size that is no number")
        size = int(extra[b"size"])
    return Member(
        extra.get(b"path", name),
        kind,
        extra.get(b"linkpath", _text(block[157:257])),
        0 if kind in _WITHOUT_CONTENT else size,
        at,
    )


def _record(source: Source, size: int) -> bytes:
    if size > _LARGEST_RECORD:
        raise TarFault(f"a header record of {size} bytes")
    content = source.read(size + -size % BLOCK)
    if len(content) < size:
        raise TarFault("it ends inside a header record")
    return content


def _meant(kind: bytes, content: bytes) -> dict[bytes, bytes]:
    match kind:
        case b"L":
            return {b"path": _text(content)}
        case b"K":
            return {b"linkpath": _text(content)}
        case b"x":
            return {key: value for key, value in _pax(content) if key in {b"path", b"linkpath", b"size"}}
        case _:
            return {}


def _pax(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(content) and content[at]:
        digits = content[at : at + 10].partition(b" ")[0]
        if not digits.isdigit() or not 0 < int(digits) <= len(content) - at:
            raise TarFault("a pax record without its length")
        key, equals, value = content[at + len(digits) + 1 : at + int(digits) - 1].partition(b"=")
        if not equals or content[at + int(digits) - 1] != ord("\n"):
            raise TarFault("a pax record of another form")
        yield key, value
        at += int(digits)


def _check_sum(block: bytes) -> None:
    if _number(block[148:156]) != sum(block[:148]) + sum(block[156:]) + 8 * 0x20:
        raise TarFault("a header's checksum is wrong")


def _number(field: bytes) -> int:
    """Read octal digits, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        number = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:])
        if field[0] & 0x40 or number >= 1 << 63:
            raise TarFault("a number below zero or beyond reason")
        return number
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError as error:
        raise TarFault(f"{field!r} is no octal number") from error


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]
