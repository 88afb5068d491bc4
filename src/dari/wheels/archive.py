"""A wheel as an archive: its members checked, its .dist-info found, its RECORD read.

Source of the rules: PyPA specifications, "Binary distribution format" and "Recording installed projects".
"""

import base64
import binascii
import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from dari.errors import IntegrityError
from dari.wheels.content import Expected, open_member
from dari.wheels.directory import Member, read_directory
from dari.wheels.paths import check_name

_SIGNATURES: Final = ("RECORD.jws", "RECORD.p7s")
_WEAK_HASHES: Final = frozenset({"md5", "sha1"})
_LONGEST_TEXT: Final = {"RECORD": 64 << 20, "METADATA": 8 << 20, "entry_points.txt": 1 << 20, "WHEEL": 1 << 16}
_LARGEST_SIGNATURE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class WheelArchive:
    """A wheel whose members all have honest names and kinds, each with what RECORD expects of it.

    `members` are its regular files by name, in the order of their bytes; RECORD itself is among them.
    """

    path: Path
    filename: str
    members: Mapping[str, Member]
    dist_info: str  # the directory's name
    data: str  # the .data directory's name; empty where there is none
    expected: Mapping[str, Expected | None]  # None: RECORD gives the file no hash

    @property
    def distribution(self) -> str:
        """The distribution's name as the file name spells it."""
        return self.filename.partition("-")[0]

    def open(self, name: str) -> BinaryIO:
        """Open a member's verified content (see `content.open_member`)."""
        return open_member(self.path, self.members[name], self.expected.get(name), self.filename)

    def text(self, name: str) -> str:
        """Return a file of .dist-info, or an empty text where there is none."""
        return _text(self.path, self.filename, self.members, f"{self.dist_info}/{name}", self.expected)

    def holds(self, name: str) -> bool:
        """Say whether .dist-info has a file of this name."""
        return f"{self.dist_info}/{name}" in self.members


def open_archive(path: Path, filename: str) -> WheelArchive:
    """Read a wheel's directory and RECORD; `filename` is the wheel's own name, which `path` may not bear.

    Raises `IntegrityError`: DARI-WHEEL-NAME, -ZIP, -PATH, -KIND, -DUPLICATE, -BOMB, -ENCRYPTED, -METADATA, -RECORD.
    """
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415 - with the work, not before

    try:
        name, *_ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise IntegrityError(
            "DARI-WHEEL-NAME",
            f"{filename[:300]!r} is not a wheel's file name",
            hint="NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl",
        ) from error
    members = _files(read_directory(path, filename), filename)
    tops = {top for top, slash, _ in (member.partition("/") for member in members) if slash}
    dist_info = _only(tops, ".dist-info", name, filename)
    if not dist_info:
        raise IntegrityError("DARI-WHEEL-METADATA", f"reading {filename!r}: it has no .dist-info directory of {name!r}")
    data = _only(tops, ".data", name, filename)
    return WheelArchive(path, filename, members, dist_info, data, _record(path, filename, members, dist_info))


def _files(members: tuple[Member, ...], wheel: str) -> Mapping[str, Member]:
    """Check every member's name and kind, and keep the regular files."""
    files: dict[str, Member] = {}
    directories: set[str] = set()
    for member in members:
        check_name(member.name, wheel)
        plain = member.name.removesuffix("/")
        kind = stat.S_IFMT(member.mode)
        directory = plain != member.name
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR} or (kind == stat.S_IFDIR and not directory):
            raise IntegrityError(
                "DARI-WHEEL-KIND",
                f"reading {wheel!r}: {plain[:200]!r} is {_KINDS.get(kind, 'neither a file nor a directory')}",
                hint="wheels hold files only; take another version, or leave it out with `skip` in dari.toml",
            )
        if plain in files or (plain in directories and not directory):
            raise IntegrityError("DARI-WHEEL-DUPLICATE", f"reading {wheel!r}: {plain[:200]!r} is in it twice")
        if not directory:
            files[plain] = member
            continue
        if member.size:
            raise IntegrityError("DARI-WHEEL-KIND", f"reading {wheel!r}: the directory {plain[:200]!r} has content")
        directories.add(plain)
    return files


_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory under a file's name",
}


def _only(tops: set[str], suffix: str, name: str, wheel: str) -> str:
    """Return the one top-level directory NAME-VERSION`suffix`, or nothing; its name must be the file name's."""
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - with the work, not before

    found = sorted(top for top in tops if top.endswith(suffix))
    own = [top for top in found if canonicalize_name(top.removesuffix(suffix).partition("-")[0]) == name]
    if len(own) != len(found) or len(own) > 1:
        raise IntegrityError(
            "DARI-WHEEL-METADATA", f"reading {wheel!r}: it has {' and '.join(map(repr, found[:5]))} for {name!r}"
        )
    return own[0] if own else ""


def _record(path: Path, wheel: str, members: Mapping[str, Member], dist_info: str) -> Mapping[str, Expected | None]:
    """Read RECORD and hold it against the members: each has one row, of its size."""
    import csv  # noqa: PLC0415 - with the work, not before
    import io  # noqa: PLC0415 - with the work, not before

    from installer.records import InvalidRecordEntry, parse_record_file  # noqa: PLC0415 - with the work, not before

    own = f"{dist_info}/RECORD"
    text = _text(path, wheel, members, own, {})
    try:
        rows = tuple(parse_record_file(io.StringIO(text, newline="")))
    except (InvalidRecordEntry, csv.Error) as error:
        raise _mismatch(wheel, f"its RECORD can't be read ({error})") from error
    expected: dict[str, Expected | None] = {}
    for name, hash_text, size in rows:
        value = _expected(hash_text, name, wheel)
        if expected.setdefault(name, value) != value:
            raise _mismatch(wheel, f"its RECORD has two rows for {name[:200]!r}")
        if size and name in members and size != str(members[name].size):
            raise _mismatch(wheel, f"{name[:200]!r} has {members[name].size} bytes, and {size[:40]} in RECORD")
    unlisted = members.keys() - expected.keys() - {own} - {f"{dist_info}/{name}" for name in _SIGNATURES}
    if unlisted:
        raise _mismatch(wheel, f"{min(unlisted)[:200]!r} is not in its RECORD ({len(unlisted)} such files)")
    return {**expected, own: None}


def _expected(text: str, name: str, wheel: str) -> Expected | None:
    if not text:
        return None
    algorithm, _, encoded = text.partition("=")
    if algorithm not in hashlib.algorithms_guaranteed - _WEAK_HASHES or algorithm.startswith("shake"):
        raise _mismatch(wheel, f"its RECORD gives {name[:200]!r} a hash of kind {algorithm[:40]!r}")
    try:
        digest = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _mismatch(wheel, f"its RECORD's hash of {name[:200]!r} can't be read") from error
    return Expected(algorithm, digest)


def _text(
    path: Path, wheel: str, members: Mapping[str, Member], name: str, expected: Mapping[str, Expected | None]
) -> str:
    member = members.get(name)
    if member is None:
        return ""
    limit = _LONGEST_TEXT.get(name.rpartition("/")[2], _LARGEST_SIGNATURE)
    if member.size > limit:
        raise IntegrityError("DARI-WHEEL-BOMB", f"reading {wheel!r}: {name!r} has {member.size} bytes, {limit} at most")
    with open_member(path, member, expected.get(name), wheel) as stream:
        content = stream.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError("DARI-WHEEL-METADATA", f"reading {wheel!r}: {name!r} is not UTF-8 text") from error


def _mismatch(wheel: str, why: str) -> IntegrityError:
    return IntegrityError(
        "DARI-WHEEL-RECORD",
        f"reading {wheel!r}: {why}",
        hint="the wheel is damaged or was changed; take another version",
    )
