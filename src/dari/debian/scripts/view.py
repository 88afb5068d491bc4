"""The image's files as a maintainer script would find them, and the changes made so far.

From scratch everything is known. On a base only the new packages' files and a few of the base's own are: there, what
isn't known is taken as absent, since a package that isn't installed has not configured itself either. Whether the
base has some program stays unknown.
"""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import PurePosixPath
from typing import Final

from dari.debian.part import placed, placed_below
from dari.debian.scripts.doubt import UNKNOWN, Doubt, Refused
from dari.values.entry import Entry, Kind

PROGRAM_DIRECTORIES: Final = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
_LARGEST_READ: Final = 4 << 20
_MOST_LINKS: Final = 40
_DIRECTORY: Final = 0o755
# What no image holds before it runs (hier(7), file-hierarchy(7)).
_NEVER_THERE: Final = ("proc/", "sys/", "run/", "debootstrap", "dev/")
_ALWAYS_THERE: Final = frozenset(
    [
        "boot",
        "dev",
        "etc",
        "home",
        "media",
        "mnt",
        "opt",
        "proc",
        "root",
        "run",
        "srv",
        "sys",
        "tmp",
        "usr",
        "var",
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/share",
        "usr/local",
        "usr/share/man",
        "usr/share/man/man1",
        "usr/share/info",
        "etc/alternatives",
        "var/lib",
        "var/lib/dpkg",
        "var/log",
        "var/cache",
        "usr/local/bin",
        "usr/local/lib",
        "usr/local/share",
        "usr/local/sbin",
        "usr/local/etc",
        "usr/share/doc",
        "var/lib/misc",
    ]
)


@dataclass(frozen=True, slots=True)
class KnownPackage:
    """A package that is installed, or counts as if it were; `paths` are empty where they aren't known."""

    version: str
    architecture: str
    paths: tuple[str, ...] = ()


@dataclass(slots=True)
class View:
    """`files` by path below the root, links of directories followed; `changed` are those that scripts touched."""

    complete: bool
    links: Mapping[str, str]
    files: dict[str, Entry] = field(default_factory=dict)
    changed: dict[str, Entry] = field(default_factory=dict)
    shipped: set[str] = field(default_factory=set)  # by the packages' own names, without a leading slash
    unpacked: dict[str, Entry] = field(default_factory=dict)
    packages: dict[str, KnownPackage] = field(default_factory=dict)
    umask: int = 0o022

    def add(self, entries: Iterable[Entry]) -> None:
        """Unpack a package: its entries by their own names."""
        for entry in entries:
            if entry.path:
                self.shipped.add(entry.path)
                path = (placed if entry.kind is Kind.DIRECTORY else placed_below)(entry.path, self.links)
                self._put(replace(entry, path=path))
                for parent in PurePosixPath(path).parents:
                    self.files.setdefault(str(parent), Entry(str(parent), Kind.DIRECTORY, _DIRECTORY))
                self.unpacked[path] = self.files[path]

    def find(self, path: str, *, follow: bool = True) -> Entry | Doubt | None:
        """Return what stands at an absolute path; None where nothing does, UNKNOWN where that can't be said."""
        name = self._name(path)
        for _ in range(_MOST_LINKS):
            entry = self.files.get(name)
            if entry is None:
                return self._unlisted(name)
            if entry.kind is not Kind.SYMLINK or not follow:
                return entry
            name = self._name(posixpath.join(f"/{posixpath.dirname(name)}", entry.target))
        return None

    def program(self, name: str) -> str | Doubt | None:
        """Return the path of a program on PATH; None where there is none, UNKNOWN where that can't be said."""
        for directory in PROGRAM_DIRECTORIES:
            if placed(f"{directory}/{name}", self.links) in self.files:
                return f"/{directory}/{name}"
        return None if self.complete else UNKNOWN

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Return the known absolute paths that a pattern matches, sorted; no '*' crosses a '/'."""
        directory, _, name = pattern.rpartition("/")
        if any(character in directory for character in "*?["):
            raise Refused(f"the pattern {pattern!r} spans directories")
        below = self._name(directory or "/")
        prefix = f"{below}/" if below else ""
        names = {path[len(prefix) :] for path in self.files if path.startswith(prefix)}
        found = sorted(each for each in names if "/" not in each and fnmatchcase(each, name))
        return tuple(f"{directory}/{each}" for each in found if not each.startswith(".") or name.startswith("."))

    def read(self, path: str) -> bytes | Doubt | None:
        """Return a known file's content; None where there is none, UNKNOWN where it can't be said or is too large."""
        entry = self.find(path)
        if not isinstance(entry, Entry):
            return entry
        if entry.kind is Kind.HARDLINK:
            return self.read(f"/{entry.target}")
        if entry.kind is not Kind.FILE or entry.open is None or entry.size > _LARGEST_READ:
            return UNKNOWN
        with entry.open() as stream:
            return stream.read()

    def write(self, path: str, content: bytes, *, mode: int | None = None) -> None:
        """Make a file or give it new content; its owner and mode stay where it was there."""
        before = self.find(path)
        name = self._name(path)
        if isinstance(before, Entry) and before.kind in {Kind.FILE, Kind.HARDLINK}:
            name, kept = before.path, before
        else:
            kept = Entry(name, Kind.FILE, 0o666 & ~self.umask)
        self._change(
            replace(
                kept,
                path=name,
                kind=Kind.FILE,
                target="",
                mode=kept.mode if mode is None else mode,
                size=len(content),
                mtime=0,
                open=lambda: BytesIO(content),
            )
        )

    def make_directory(self, path: str, *, mode: int = 0o755) -> None:
        """Make a directory and those above it that aren't there."""
        name = placed(path.strip("/"), self.links)
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            step = "/".join(parts[:depth])
            if step not in self.files and (step not in _ALWAYS_THERE or self.complete):
                self._change(Entry(step, Kind.DIRECTORY, mode if depth == len(parts) else 0o755))

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link, in place of whatever file or link was there."""
        self._change(Entry(self._name(path), Kind.SYMLINK, 0o777, target=target))

    def place(self, path: str, entry: Entry) -> None:
        """Put a copy of `entry` at `path`."""
        self._change(replace(entry, path=self._name(path)))

    def remove(self, path: str) -> None:
        """Remove what stands at `path`, if anything known does."""
        name = self._name(path)
        if name in self.files:
            del self.files[name]
            made_here = name in self.changed and self.changed[name].kind is not Kind.WHITEOUT
            self.changed[name] = Entry(name, Kind.WHITEOUT, 0)
            if made_here and self.complete:
                del self.changed[name]

    def modify(self, path: str, *, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        """Change mode or owner of what stands at `path`. Raises `Refused` where that isn't known."""
        entry = self.find(path)
        if not isinstance(entry, Entry):
            raise Refused(f"{path} isn't among the files that dari knows")
        self._change(
            replace(
                entry,
                mode=entry.mode if mode is None else mode,
                uid=entry.uid if uid is None else uid,
                gid=entry.gid if gid is None else gid,
            )
        )

    def outcome(self) -> tuple[Entry, ...]:
        """Return what the scripts changed, by path: not the links that came to what the package has anyway."""
        changed = (self.changed[path] for path in sorted(self.changed))
        return tuple(
            entry
            for entry in changed
            if entry.kind is not Kind.SYMLINK or not _same_link(entry, self.unpacked.get(entry.path))
        )

    def _name(self, path: str) -> str:
        return placed_below(posixpath.normpath(path).strip("/").removeprefix("."), self.links)

    def _put(self, entry: Entry) -> None:
        before = self.files.get(entry.path)
        if entry.kind is Kind.DIRECTORY and before is not None and before.kind is Kind.DIRECTORY:
            return
        self.files[entry.path] = entry

    def _change(self, entry: Entry) -> None:
        self.files[entry.path] = entry
        self.changed[entry.path] = entry

    def _unlisted(self, name: str) -> Entry | Doubt | None:
        directory = placed(name, self.links)
        if directory != name and directory in self.files:
            return self.files[directory]
        if not directory or (directory in _ALWAYS_THERE and not self.complete):
            return Entry(directory, Kind.DIRECTORY, 0o755)
        if self.complete or name.startswith(_NEVER_THERE):
            return None
        return UNKNOWN if posixpath.dirname(name) in PROGRAM_DIRECTORIES else None


def _same_link(first: Entry, second: Entry | None) -> bool:
    return second is not None and (first.kind, first.target) == (second.kind, second.target)
