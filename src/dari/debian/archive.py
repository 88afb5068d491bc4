"""The .deb file: an ar of three members, two of them tars (deb(5)). Read 2026-11-23.

Nothing in it is trusted: sizes are bounded by what the package declares, members that could leave their place in
the image are refused, and content is opened when it is wanted, from a temporary file without a name.
"""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from dari.debian.compression import Unnamed, decompressed, part_of
from dari.errors import IntegrityError
from dari.system import CHUNK
from dari.values.debian import paragraphs
from dari.values.digest import Digest
from dari.values.entry import Entry, Kind
from dari.values.lock import LockedDeb
from dari.values.malformed import Malformed

_MAGIC: Final = b"!<arch>\n"
_HEADER: Final = 60
_LARGEST_CONTROL: Final = 64 << 20
# A tar is larger than Installed-Size by its headers, and by files that dpkg counts as shared or sparse.
_GENEROUS: Final = 4
_ALWAYS_ALLOWED: Final = 64 << 20
_KINDS: Final = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
}


@dataclass(frozen=True, slots=True)
class Control:
    """The control archive: `fields` and `text` of its control file, and every other member by name."""

    fields: Mapping[str, str]
    text: str
    files: Mapping[str, bytes]

    @property
    def conffiles(self) -> tuple[str, ...]:
        """The configuration files, as absolute paths; those flagged for removal are not among them (deb-conffiles)."""
        lines = self.files.get("conffiles", b"").decode("utf-8", "surrogateescape").splitlines()
        return tuple(line.strip() for line in lines if line.strip().startswith("/"))


@contextmanager
def opened(path: Path, deb: LockedDeb) -> Iterator[Mapping[str, tuple[BinaryIO, int, int]]]:
    """Open a .deb whose digest is checked first; yields its members: file, offset and size.

    Raises `IntegrityError` (DARI-DEB-DIGEST, DARI-DEB-MALFORMED).
    """
    with path.open("rb") as stream:
        running = hashlib.new(deb.digest.algorithm)
        while chunk := stream.read(CHUNK):
            running.update(chunk)
        if running.hexdigest() != deb.digest.hex:
            raise IntegrityError(
                "DARI-DEB-DIGEST",
                f"reading the package {deb.name}: its bytes are {Digest(deb.digest.algorithm, running.hexdigest())}, "
                f"not {deb.digest}",
                hint=f"remove {path} and run the command again",
            )
        yield _members(stream, deb)


def control(path: Path, deb: LockedDeb) -> Control:
    """Read a package's control archive. Raises `IntegrityError` (DARI-DEB-DIGEST, DARI-DEB-MALFORMED)."""
    with opened(path, deb) as members:
        return _control(members, deb)


def data_entries(path: Path, deb: LockedDeb) -> tuple[Entry, ...]:
    """Read a package's files, by their own names and in the archive's order; their content is opened later.

    Raises `IntegrityError` (DARI-DEB-DIGEST, DARI-DEB-MALFORMED, DARI-DEB-TOO-LARGE, DARI-DEB-MEMBER).
    """
    with opened(path, deb) as members:
        declared = _control(members, deb).fields.get("installed-size", "0")
        most = (int(declared) if declared.isdecimal() else 0) * 1024 * _GENEROUS + _ALWAYS_ALLOWED
        unnamed = Unnamed(path.parent)
        written = 0
        for chunk in _unpacked(members, "data.tar", deb):
            written += len(chunk)
            if written > most:
                raise IntegrityError(
                    "DARI-DEB-TOO-LARGE",
                    f"unpacking {deb.name}: it holds more than {most >> 20} MiB, its Installed-Size is {declared} KiB",
                )
            unnamed.write(chunk)
    return tuple(_entries(unnamed, deb))


def _members(stream: BinaryIO, deb: LockedDeb) -> Mapping[str, tuple[BinaryIO, int, int]]:
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise _malformed(deb, "it is not an ar archive")
    members: dict[str, tuple[BinaryIO, int, int]] = {}
    end = os.fstat(stream.fileno()).st_size
    place = len(_MAGIC)
    while place < end:
        stream.seek(place)
        header = stream.read(_HEADER)
        size = header[48:58].strip()
        if len(header) != _HEADER or header[58:] != b"`\n" or not size.isdigit() or place + _HEADER + int(size) > end:
            raise _malformed(deb, "it is cut off")
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        members.setdefault(name, (stream, place + _HEADER, int(size)))
        place += _HEADER + int(size) + int(size) % 2
    if next(iter(members), "") != "debian-binary":
        raise _malformed(deb, "its first member is not debian-binary")
    return members


def _unpacked(members: Mapping[str, tuple[BinaryIO, int, int]], stem: str, deb: LockedDeb) -> Iterator[bytes]:
    names = [name for name in members if name == stem or name.startswith(f"{stem}.")]
    if len(names) != 1:
        raise _malformed(deb, f"it has {len(names)} members named {stem}")
    stream, offset, size = members[names[0]]
    try:
        yield from decompressed(part_of(stream, offset, size), names[0].removeprefix(stem))
    except ValueError as error:
        raise _malformed(deb, f"{names[0]}: {error}") from error


def _control(members: Mapping[str, tuple[BinaryIO, int, int]], deb: LockedDeb) -> Control:
    content = bytearray()
    for chunk in _unpacked(members, "control.tar", deb):
        content += chunk
        if len(content) > _LARGEST_CONTROL:
            raise IntegrityError("DARI-DEB-TOO-LARGE", f"unpacking {deb.name}: its control archive is over 64 MiB")
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=BytesIO(content), mode="r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isreg() and "/" not in name and name:
                    file = tar.extractfile(member)
                    files[name] = file.read() if file else b""
    except tarfile.TarError as error:
        raise _malformed(deb, f"its control archive: {error}") from error
    text = files.pop("control", b"").decode("utf-8", "surrogateescape").strip("\n")
    try:
        fields = next(paragraphs(text.encode("utf-8", "surrogateescape")), {})
    except Malformed as error:
        raise _malformed(deb, f"its control file: {error}") from error
    if fields.get("package") != deb.name or fields.get("version") != deb.version:
        raise _malformed(deb, f"it says that it is {fields.get('package')!r} {fields.get('version')!r}")
    return Control(fields, text, files)


def _entries(unnamed: Unnamed, deb: LockedDeb) -> Iterator[Entry]:
    kinds: dict[str, Kind] = {}
    os.lseek(unnamed.fileno(), 0, os.SEEK_SET)
    try:
        with (
            open(os.dup(unnamed.fileno()), "rb") as stream,  # noqa: PTH123 - a descriptor has no path
            tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="surrogateescape") as tar,
        ):
            for member in tar:
                entry = _entry(member, unnamed, deb)
                if entry.path:
                    _check(entry, kinds, deb)
                    kinds[entry.path] = entry.kind
                yield entry
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise _malformed(deb, f"its data archive: {error}") from error


def _entry(member: tarfile.TarInfo, stream: Unnamed, deb: LockedDeb) -> Entry:
    path = _plain(member.name, deb)
    kind = _KINDS.get(member.type)
    if kind is None or "\0" in member.linkname:
        raise _hostile(deb, member.name, "is neither file, directory nor link")
    target = member.linkname if kind is Kind.SYMLINK else _plain(member.linkname, deb) if member.linkname else ""
    size = member.size if kind is Kind.FILE else 0
    if size and member.offset_data + size > os.fstat(stream.fileno()).st_size:
        raise _malformed(deb, f"its data archive ends within {member.name!r}")
    return Entry(
        path,
        kind,
        member.mode & 0o7777,
        size,
        target,
        member.uid,
        member.gid,
        int(member.mtime),
        _opener(stream, member.offset_data, size) if kind is Kind.FILE else None,
    )


def _plain(name: str, deb: LockedDeb) -> str:
    """Return './usr/bin/x' as 'usr/bin/x', the root itself as ''."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise _hostile(deb, name, "leaves the root")
    return "/".join(part for part in parts if part not in {"", "."})


def _check(entry: Entry, kinds: Mapping[str, Kind], deb: LockedDeb) -> None:
    for parent in PurePosixPath(entry.path).parents:
        if kinds.get(str(parent), Kind.DIRECTORY) is not Kind.DIRECTORY:
            raise _hostile(deb, entry.path, f"lies below {str(parent)!r}, which is not a directory")
    if entry.kind is Kind.HARDLINK and kinds.get(entry.target) not in {Kind.FILE, Kind.HARDLINK}:
        raise _hostile(deb, entry.path, f"is a hard link to {entry.target!r}, which is not a file of the package")
    if entry.kind is Kind.SYMLINK and not entry.target.startswith("/"):
        depth = entry.path.count("/")
        for part in entry.target.split("/"):
            depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
            if depth < 0:
                raise _hostile(deb, entry.path, f"is a link that leaves the root: {entry.target!r}")


def _opener(stream: Unnamed, offset: int, size: int) -> Callable[[], BinaryIO]:
    return lambda: part_of(stream, offset, size)


def _malformed(deb: LockedDeb, reason: str) -> IntegrityError:
    return IntegrityError(
        "DARI-DEB-MALFORMED",
        f"reading the package {deb.name} {deb.version}: {reason}",
        hint="the archive serves a broken package; leave it out or ask for another version",
    )


def _hostile(deb: LockedDeb, name: str, reason: str) -> IntegrityError:
    return IntegrityError(
        "DARI-DEB-MEMBER",
        f"unpacking {deb.name} {deb.version}: {name!r} {reason}",
        hint="no package of Debian or Ubuntu does this: don't use the archive it comes from",
    )
