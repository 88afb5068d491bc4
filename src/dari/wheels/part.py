"""A wheel as entries of a layer: what `pip install --no-compile` would leave, opened only when it is written."""

import base64
import hashlib
import io
import itertools
import json
import posixpath
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from dari.errors import IntegrityError
from dari.values.digest import Digest
from dari.values.entry import Entry, Kind, Part
from dari.values.python import PythonTarget
from dari.wheels.archive import WheelArchive, open_archive
from dari.wheels.content import Expected, follow
from dari.wheels.directory import read_directory
from dari.wheels.layout import Placed, directories, entry_points, place, root_scheme, shebang

if TYPE_CHECKING:
    from installer.records import RecordEntry

_FORMAT: Final = 1  # goes up whenever the same wheel would become other entries
_PYTHON_LINE: Final = b"#!python"
_LONGEST_LINE: Final = 4096
_CHUNK: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class _Installed:
    """One file to be: its scheme and path there (for RECORD), its entry, and its hash (None: RECORD gives none)."""

    scheme: str
    path: str
    entry: Entry
    hash: Expected | None


def wheel_part(path: Path, *, filename: str, digest: Digest, target: PythonTarget, requested: bool) -> Part:
    """Return what the wheel at `path` puts into an image for `target`.

    Reads the archive's directory now, .dist-info and scripts when `entries` is called, the rest when an entry is
    opened. Entries are sorted; directories are not among them. Content is verified against RECORD as it is read.

    Raises `OutsideError` (DARI-WHEEL-MISSING), `IntegrityError` (DARI-WHEEL-…), here and from `entries` and `open`.
    """
    layout = {
        "format": _FORMAT,
        "filename": filename,
        "interpreter": target.interpreter,
        "requested": requested,
        "scheme": [getattr(target.scheme, name) for name in ("purelib", "platlib", "scripts", "data", "headers")],
    }
    key = f"wheel:{digest}:{Digest.of(json.dumps(layout).encode()).hex}"
    size = sum(member.size for member in read_directory(path, filename))

    def entries() -> tuple[Entry, ...]:
        return _entries(open_archive(path, filename), target, requested=requested)

    return Part(filename, key, size, entries)


def _entries(archive: WheelArchive, target: PythonTarget, *, requested: bool) -> tuple[Entry, ...]:
    where = directories(archive, target.scheme)
    root = root_scheme(archive)

    def installed(scheme: str, path: str, content: bytes, mode: int = 0o644) -> _Installed:
        return _generated(scheme, path, posixpath.join(where[scheme], path), content, mode)

    extra = {"INSTALLER": b"dari\n", **({"REQUESTED": b""} if requested else {})}
    files = [
        *(_placed(archive, item, where[item.scheme], target.interpreter) for item in place(archive)),
        *(installed("scripts", name, text, 0o755) for name, text in entry_points(archive, target.interpreter)),
        *(installed(root, f"{archive.dist_info}/{name}", content) for name, content in extra.items()),
    ]
    record = f"{archive.dist_info}/RECORD"
    prefixes = {scheme: f"{posixpath.relpath('/' + place, '/' + where[root])}/" for scheme, place in where.items()}
    prefixes[root] = ""
    files.append(installed(root, record, _record(files, (root, record), prefixes)))
    entries = tuple(sorted((file.entry for file in files), key=lambda entry: entry.path))
    _check_places(entries, archive.filename)
    return entries


def _placed(archive: WheelArchive, item: Placed, directory: str, interpreter: str) -> _Installed:
    member = item.member
    executable = item.scheme == "scripts" or (stat.S_ISREG(member.mode) and member.mode & 0o111 != 0)
    entry = Entry(
        posixpath.join(directory, item.path),
        Kind.FILE,
        0o755 if executable else 0o644,
        member.size,
        open=_opener(archive, member.name),
    )
    if item.scheme == "scripts":
        return _script(archive, item, entry, interpreter)
    return _Installed(item.scheme, item.path, entry, archive.expected.get(member.name))


def _opener(archive: WheelArchive, name: str) -> Callable[[], BinaryIO]:
    return lambda: archive.open(name)


def _script(archive: WheelArchive, item: Placed, entry: Entry, interpreter: str) -> _Installed:
    """Give a script that begins with `#!python` the interpreter's line; it is read once for its new hash."""
    name = item.member.name
    with archive.open(name) as stream:
        line = stream.readline(_LONGEST_LINE)
        if not line.startswith(_PYTHON_LINE):
            return _Installed(item.scheme, item.path, entry, archive.expected.get(name))
        if len(line) == _LONGEST_LINE:
            raise IntegrityError("DARI-WHEEL-METADATA", f"reading {archive.filename!r}: {name!r} has no first line")
        head = shebang(interpreter)
        running = hashlib.sha256(head)
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            running.update(chunk)

    def rewritten() -> BinaryIO:
        rest = archive.open(name)
        rest.readline(_LONGEST_LINE)
        return follow(head, rest)

    changed = replace(entry, size=entry.size - len(line) + len(head), open=rewritten)
    return _Installed(item.scheme, item.path, changed, Expected("sha256", running.digest()))


def _generated(scheme: str, path: str, place: str, content: bytes, mode: int) -> _Installed:
    entry = Entry(place, Kind.FILE, mode, len(content), open=lambda: io.BytesIO(content))
    return _Installed(scheme, path, entry, Expected("sha256", hashlib.sha256(content).digest()))


def _record(files: Iterable[_Installed], own: tuple[str, str], prefixes: dict[str, str]) -> bytes:
    """Write RECORD as pypa installer does: one row a file, relative to the site directory, itself without a hash."""
    from installer.records import RecordEntry  # noqa: PLC0415 - with the work, not before
    from installer.utils import Scheme, construct_record_file  # noqa: PLC0415 - with the work, not before

    rows = [(Scheme(file.scheme), _row(file)) for file in files]
    rows.append((Scheme(own[0]), RecordEntry(own[1], None, None)))
    with construct_record_file(rows, lambda scheme: prefixes[scheme] or None) as stream:
        return stream.read()


def _row(file: _Installed) -> "RecordEntry":
    from installer.records import Hash, RecordEntry  # noqa: PLC0415 - with the work, not before

    if file.hash is None:
        return RecordEntry(file.path, None, file.entry.size)
    encoded = base64.urlsafe_b64encode(file.hash.digest).decode().rstrip("=")
    return RecordEntry(file.path, Hash(file.hash.algorithm, encoded), file.entry.size)


def _check_places(entries: tuple[Entry, ...], wheel: str) -> None:
    """Raise `IntegrityError` (DARI-WHEEL-DUPLICATE) where two files want one place, or one is the other's parent."""
    files = {entry.path for entry in entries}
    doubled = (a.path for a, b in itertools.pairwise(entries) if a.path == b.path)
    above = (parent for entry in entries for parent in _parents(entry.path) if parent in files)
    for path in itertools.chain(doubled, above):
        raise IntegrityError(
            "DARI-WHEEL-DUPLICATE", f"laying out {wheel!r}: two of its files would be at {path[:200]!r}"
        )


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
