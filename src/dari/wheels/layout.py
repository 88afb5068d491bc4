"""Where a wheel's files go: the archive's root, its .data directories, its entry points.

Source of the rules: PyPA specifications, "Binary distribution format", "The .data directory" and "Entry points".
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dari.errors import IntegrityError
from dari.values.python import InstallScheme, PythonTarget
from dari.wheels.archive import WheelArchive
from dari.wheels.directory import Member
from dari.wheels.paths import check_name

_SCHEMES: Final = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
# Written by the installer, so what the wheel says there doesn't count (PyPA, "Recording installed projects").
_OURS: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
_LONGEST_SHEBANG: Final = 127  # the kernel's BINPRM_BUF_SIZE before Linux 5.1, less the final NUL


@dataclass(frozen=True, slots=True)
class Placed:
    """A member of the archive with its scheme and its path within that scheme."""

    member: Member
    scheme: str
    path: str


def directories(archive: WheelArchive, scheme: InstallScheme) -> Mapping[str, str]:
    """Return the directory of every scheme; headers have one for each distribution, as pip and installer have it."""
    return {
        "purelib": scheme.purelib,
        "platlib": scheme.platlib,
        "scripts": scheme.scripts,
        "data": scheme.data,
        "headers": posixpath.join(scheme.headers, archive.distribution),
    }


def root_scheme(archive: WheelArchive) -> str:
    """Return 'purelib' or 'platlib'. Raises `IntegrityError` (DARI-WHEEL-METADATA) for a format that isn't 1.x."""
    from installer.utils import parse_metadata_file  # noqa: PLC0415 - with the work, not before

    about = parse_metadata_file(archive.text("WHEEL"))
    version = str(about["Wheel-Version"] or "")
    if not version.startswith("1."):
        raise IntegrityError(
            "DARI-WHEEL-METADATA",
            f"reading {archive.filename!r}: its WHEEL file says version {version[:40]!r}, dari reads 1.x",
        )
    return "purelib" if about["Root-Is-Purelib"] == "true" else "platlib"


def place(archive: WheelArchive) -> Iterator[Placed]:
    """Yield every file of the wheel that is installed as it is, or with another first line.

    Left out: byte code caches, what an installer writes itself, and scripts that an entry point replaces (pip does
    the same). Raises `IntegrityError` (DARI-WHEEL-METADATA) for a .data directory of no known scheme.
    """
    root = root_scheme(archive)
    replaced = {name for name, _ in entry_points(archive, "/")}
    for name, member in archive.members.items():
        top, _, rest = name.partition("/")
        if "__pycache__" in name.split("/")[:-1] or (top == archive.dist_info and rest in _OURS):
            continue
        if not archive.data or top != archive.data:
            yield Placed(member, root, name)
            continue
        scheme, _, path = rest.partition("/")
        if scheme not in _SCHEMES or not path:
            raise IntegrityError(
                "DARI-WHEEL-METADATA", f"reading {archive.filename!r}: {name[:200]!r} belongs to no install scheme"
            )
        if scheme != "scripts" or path not in replaced:
            yield Placed(member, scheme, path)


def entry_points(archive: WheelArchive, interpreter: str) -> tuple[tuple[str, bytes], ...]:
    """Return name and content of every script that the wheel's entry points ask for, by name.

    Raises `IntegrityError`: DARI-WHEEL-METADATA where they can't be read, DARI-WHEEL-PATH for a name with a path.
    """
    if not archive.holds("entry_points.txt"):
        return ()
    from configparser import Error  # noqa: PLC0415 - with the work, not before

    from installer.scripts import Script  # noqa: PLC0415 - with the work, not before
    from installer.utils import parse_entrypoints  # noqa: PLC0415 - with the work, not before

    scripts: dict[str, bytes] = {}
    try:
        for name, module, attribute, section in parse_entrypoints(archive.text("entry_points.txt")):
            check_name(name, archive.filename)
            file_name, content = Script(name, module, attribute, section).generate(interpreter, "posix")
            scripts[file_name] = content
    except (Error, AssertionError, AttributeError) as error:  # installer asserts what it expects of the text
        raise IntegrityError(
            "DARI-WHEEL-METADATA", f"reading {archive.filename!r}: its entry_points.txt can't be read"
        ) from error
    with_path = next((name for name in scripts if "/" in name), "")
    if with_path:
        raise IntegrityError(
            "DARI-WHEEL-PATH", f"reading {archive.filename!r}: its entry point {with_path[:200]!r} names a directory"
        )
    return tuple(sorted(scripts.items()))


def shebang(interpreter: str) -> bytes:
    """Return the first line (or three) that makes a script run by `interpreter`, whatever its path's length.

    The kernel takes neither blanks nor more than 127 bytes there; the long form is a shell line that Python reads as
    a string (distlib's, and installer's for entry points).
    """
    if " " not in interpreter and len(interpreter.encode()) + len("#!\n") <= _LONGEST_SHEBANG:
        return f"#!{interpreter}\n".encode()
    import shlex  # noqa: PLC0415 - rarely needed

    return f"#!/bin/sh\n'''exec' {shlex.quote(interpreter)} \"$0\" \"$@\"\n' '''\n".encode()


def installed_paths(archive: WheelArchive, target: PythonTarget) -> tuple[str, ...]:
    """Return where the wheel's own files and its entry points land, relative to the root, sorted."""
    where = directories(archive, target.scheme)
    placed = {posixpath.join(where[item.scheme], item.path) for item in place(archive)}
    scripts = {posixpath.join(where["scripts"], name) for name, _ in entry_points(archive, target.interpreter)}
    return tuple(sorted(placed | scripts))
