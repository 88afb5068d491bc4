"""Tar headers: POSIX ustar, with pax records (POSIX.1-2001) only where ustar is too small; bytes from the entry alone.

What is not said in an `Entry` is constant, so the same entries are the same bytes everywhere. Non-ASCII names that
are UTF-8 go into pax records (as Go's and Python's writers do); names that are not UTF-8 stand as raw bytes in the
ustar header or, too long for it, in a record under `hdrcharset=BINARY`: GNU tar, Go's archive/tar (umoci, docker,
podman) and Python read both (tests/image/test_foreign.py).
"""

from typing import Final

from dari.values.entry import Entry, Kind

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)

_NAME, _PREFIX, _LINK = 100, 155, 100
_OCTAL_7: Final = 0o7777777
_OCTAL_11: Final = 0o77777777777
_PERMISSIONS: Final = 0o7777
_TYPES: Final = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.DIRECTORY: b"5",
    Kind.WHITEOUT: b"0",
}


def header(entry: Entry) -> bytes:
    """Return everything that stands before the entry's content: one block, or three or more with pax records.

    A whiteout becomes the empty file `.wh.NAME` beside the path (OCI image-spec layer.md#whiteouts).
    """
    name = _bytes(_name(entry))
    link = _bytes(entry.target)
    records: dict[bytes, bytes] = {}
    prefix, short = _split(name)
    if not short or (not name.isascii() and _is_utf8(name)):
        records[b"path"] = name
        prefix, short = b"", _fallback(name, _NAME)
    if len(link) > _LINK or (not link.isascii() and _is_utf8(link)):
        records[b"linkpath"] = link
        link = _fallback(link, _LINK)
    numbers = {
        b"uid": entry.uid,
        b"gid": entry.gid,
        b"size": entry.size if entry.kind is Kind.FILE else 0,
        b"mtime": entry.mtime,
    }
    for key, value in numbers.items():
        if not 0 <= value <= (_OCTAL_7 if key in {b"uid", b"gid"} else _OCTAL_11):
            records[key] = b"%d" % value
            numbers[key] = 0
    block = _block(short, numbers, mode=entry.mode & _PERMISSIONS, kind=_TYPES[entry.kind], prefix=prefix, link=link)
    return _records(records) + block if records else block


def padding(size: int) -> bytes:
    """Return the zeros that fill content of `size` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def _name(entry: Entry) -> str:
    match entry.kind:
        case Kind.DIRECTORY:
            return f"{entry.path}/"
        case Kind.WHITEOUT:
            folder, slash, name = entry.path.rpartition("/")
            return f"{folder}{slash}.wh.{name}"
        case _:
            return entry.path


def _records(records: dict[bytes, bytes]) -> bytes:
    if not all(_is_utf8(value) for value in records.values()):
        records = {b"hdrcharset": b"BINARY", **records}
    body = b"".join(_record(key, value) for key, value in records.items())
    numbers = {b"uid": 0, b"gid": 0, b"size": len(body), b"mtime": 0}
    return _block(b"././@PaxHeader", numbers, mode=0o644, kind=b"x") + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    """Write `LENGTH KEY=VALUE` and a newline, where LENGTH counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _block(
    name: bytes, numbers: dict[bytes, int], *, mode: int, kind: bytes, prefix: bytes = b"", link: bytes = b""
) -> bytes:
    before = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(_NAME, b"\0"),
        mode,
        numbers[b"uid"],
        numbers[b"gid"],
        numbers[b"size"],
        numbers[b"mtime"],
    )
    after = b"%s%s%s%s%s" % (
        kind,
        link.ljust(_LINK, b"\0"),
        b"ustar\x0000".ljust(72, b"\0"),
        b"0000000\x000000000\0",
        prefix.ljust(_PREFIX + 12, b"\0"),
    )
    checksum = sum(before) + sum(after) + 8 * 0x20  # the checksum's own field counts as eight spaces
    return b"%s%06o\0 %s" % (before, checksum, after)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Return ustar's prefix and name for a path, or two empty names where it doesn't fit."""
    if len(name) <= _NAME:
        return b"", name
    at = name.rfind(b"/", 0, min(_PREFIX + 1, len(name) - 1))
    if at <= 0 or len(name) - at - 1 > _NAME:
        return b"", b""
    return name[:at], name[at + 1 :]


def _fallback(name: bytes, room: int) -> bytes:
    """Return an ASCII name for readers that don't know pax records."""
    return name.decode("ascii", "replace").replace("\ufffd", "_").encode()[:room].rstrip(b"/") or b"_"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
