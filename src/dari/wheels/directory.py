"""A zip file's central directory, read strictly: one way to read it, every range checked (APPNOTE.TXT 6.3.10).

`zipfile` is lenient where an attacker likes it (prefixes, overlapping members, names in two encodings) and makes an
object of 500 bytes of every member; wheels of 10^4 members are common.
"""

import itertools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from dari.errors import IntegrityError, OutsideError

_END: Final = struct.Struct("<4sHHHHIIH")
_LOCATOR: Final = struct.Struct("<4sIQI")
_END_64: Final = struct.Struct("<4sQHHIIQQQQ")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
STORED, DEFLATED = 0, 8

_LONGEST_COMMENT: Final = 0xFFFF
_ZIP64: Final = 0xFFFFFFFF
_ENCRYPTED: Final = 1 | 1 << 6 | 1 << 13
_MOST_MEMBERS: Final = 200_000
_LONGEST_DIRECTORY: Final = 64 << 20
# Real wheels compress 3- to 5-fold. Below a gibibyte even a bomb is harmless here, for nothing is held.
_BOMB_SIZE: Final = 1 << 30
_BOMB_RATIO: Final = 50


# A member as the directory lists it: offset, name, mode, method, crc, compressed size, size.
_Listed = tuple[int, str, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive. `mode` is the Unix mode with its type bits, 0 where none was recorded.

    `offset` is the local header's; the member's bytes end before `limit`.
    """

    name: str
    mode: int
    method: int
    crc: int
    compressed: int
    size: int
    offset: int
    limit: int


def read_directory(path: Path, wheel: str) -> tuple[Member, ...]:
    """Return the members in the order of their bytes. Reads the directory only; `wheel` is its name in messages.

    Raises `OutsideError` (DARI-WHEEL-MISSING) and `IntegrityError`: DARI-WHEEL-ZIP where it isn't a zip file dari
    reads, DARI-WHEEL-ENCRYPTED, DARI-WHEEL-BOMB where it claims far more than such a file can honestly hold, or where
    members share bytes.
    """
    try:
        with path.open("rb") as stream:
            length = os.fstat(stream.fileno()).st_size
            return _members(stream, length, wheel)
    except OSError as error:
        raise OutsideError(
            "DARI-WHEEL-MISSING", f"opening the wheel {wheel!r}: {error.strerror}", hint="run the command again"
        ) from error


def _members(stream: BinaryIO, length: int, name: str) -> tuple[Member, ...]:
    count, size, start = _find_directory(stream, length, name)
    if count > _MOST_MEMBERS or size > _LONGEST_DIRECTORY:
        raise IntegrityError(
            "DARI-WHEEL-BOMB", f"reading {name!r}: it lists {count} members in {size} bytes, {_MOST_MEMBERS} at most"
        )
    stream.seek(start)
    raw = stream.read(size)
    listed = sorted(_parse(raw, name))
    if len(listed) != count or len(raw) != size:
        raise _broken(name, f"it lists {len(listed)} members and counts {count}")
    members = tuple(_limited(listed, start, name))
    total = sum(member.size for member in members)
    if total > _BOMB_SIZE and total > _BOMB_RATIO * length:
        raise IntegrityError(
            "DARI-WHEEL-BOMB",
            f"reading {name!r}: its {length} bytes claim to hold {total} bytes, {total // length} times as much",
            hint="real wheels hold 3 to 5 times their size; look at where this one comes from",
        )
    return members


def _limited(listed: list[_Listed], end: int, wheel: str) -> Iterator[Member]:
    """Tell each member where the next begins, having made sure that it ends before."""
    limits = itertools.chain((following[0] for following in listed[1:]), (end,))
    for (offset, name, mode, method, crc, compressed, size), limit in zip(
        listed, limits, strict=False
    ):  # an empty archive has a limit too
        if offset + LOCAL.size + len(name.encode()) + compressed > limit:
            raise IntegrityError(
                "DARI-WHEEL-BOMB",
                f"reading {wheel!r}: the bytes of {name[:200]!r} overlap those of the next member",
                hint="no honest tool writes such a file; look at where this one comes from",
            )
        yield Member(name, mode, method, crc, compressed, size, offset, limit)


def _find_directory(stream: BinaryIO, length: int, name: str) -> tuple[int, int, int]:
    """Return the directory's member count, size and offset (APPNOTE 4.3.14 to 4.3.16)."""
    tail_start = max(length - _END.size - _LONGEST_COMMENT, 0)
    stream.seek(tail_start)
    tail = stream.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or place + _END.size > len(tail):
        raise _broken(name, "it has no central directory: cut short, or not a zip file")
    _, disk, first_disk, here, count, size, start, comment = _END.unpack_from(tail, place)
    end = tail_start + place
    if end + _END.size + comment != length:
        raise _broken(name, "bytes follow its central directory")
    if end >= _LOCATOR.size:
        stream.seek(end - _LOCATOR.size)
        mark, _, record, _ = _LOCATOR.unpack(stream.read(_LOCATOR.size))
        if mark == b"PK\x06\x07":
            end -= _LOCATOR.size
            disk, first_disk, here, count, size, start, end = _find_directory_64(stream, record, end, name)
    if disk or first_disk or here != count:
        raise _broken(name, "it is one of several volumes")
    if start + size != end:
        raise _broken(name, "its central directory is not where it says")
    return count, size, start


def _find_directory_64(
    stream: BinaryIO, record: int, locator: int, name: str
) -> tuple[int, int, int, int, int, int, int]:
    stream.seek(min(record, locator))
    raw = stream.read(_END_64.size)
    if len(raw) != _END_64.size or raw[:4] != b"PK\x06\x06":
        raise _broken(name, "its zip64 record is not where it says")
    _, own_size, _, _, disk, first_disk, here, count, size, start = _END_64.unpack(raw)
    if record + 12 + own_size != locator:
        raise _broken(name, "its zip64 record is not as long as it says")
    return disk, first_disk, here, count, size, start, record


def _parse(raw: bytes, wheel: str) -> Iterator[_Listed]:
    place = 0
    while place < len(raw):
        if place + _CENTRAL.size > len(raw):
            raise _broken(wheel, "its central directory is cut short")
        fields = _CENTRAL.unpack_from(raw, place)
        mark, _, _, flags, method, _, _, crc, compressed, size, *lengths, _, _, attributes, offset = fields
        name_length, extra_length, comment_length = lengths
        name_end = place + _CENTRAL.size + name_length
        extra_end = name_end + extra_length
        place, name_start = extra_end + comment_length, place + _CENTRAL.size
        if mark != b"PK\x01\x02" or place > len(raw):
            raise _broken(wheel, "its central directory is damaged")
        name = _name(raw[name_start:name_end], wheel)
        if _ZIP64 in {size, compressed, offset}:
            size, compressed, offset = _zip64(raw[name_end:extra_end], (size, compressed, offset), wheel)
        if flags & _ENCRYPTED:
            raise IntegrityError("DARI-WHEEL-ENCRYPTED", f"reading {wheel!r}: its member {name[:200]!r} is encrypted")
        if method not in {STORED, DEFLATED}:
            raise _broken(wheel, f"{name[:200]!r} is compressed by method {method}; wheels store or deflate")
        if method == STORED and size != compressed:
            raise IntegrityError("DARI-WHEEL-BOMB", f"reading {wheel!r}: {name[:200]!r} is stored, with two sizes")
        yield offset, name, attributes >> 16, method, crc, compressed, size


def _name(raw: bytes, wheel: str) -> str:
    """Decode a name: wheels' are UTF-8, whatever the flag says (PyPA's binary distribution format)."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError("DARI-WHEEL-PATH", f"reading {wheel!r}: its member {raw[:200]!r} is not UTF-8") from error


def _zip64(extra: bytes, values: tuple[int, int, int], wheel: str) -> tuple[int, int, int]:
    """Take from the zip64 extra field (4.5.3) the values that didn't fit into 32 bits, in its fixed order."""
    place = 0
    while place + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, place)
        if kind == 1:
            wanted = sum(value == _ZIP64 for value in values)
            field = extra[place + 4 : place + 4 + size]
            if len(field) < 8 * wanted:
                break
            wide = iter(struct.unpack_from(f"<{wanted}Q", field))
            first, second, third = (next(wide) if value == _ZIP64 else value for value in values)
            return first, second, third
        place += 4 + size
    raise _broken(wheel, "a member's zip64 sizes are missing")


def _broken(wheel: str, why: str) -> IntegrityError:
    return IntegrityError(
        "DARI-WHEEL-ZIP", f"reading {wheel!r}: {why}", hint="download it again; a wheel is a zip file (PEP 427)"
    )
