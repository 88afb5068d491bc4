"""A package as unpacked: its control archive, its paths, the checksums of its configuration files."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final

from dari.debian.archive import Control, control, data_entries
from dari.errors import IntegrityError
from dari.system import CHUNK, Store
from dari.values.entry import Entry, Kind
from dari.values.lock import LockedDeb

_KIND: Final = "deb-listing-2"
Openers = Mapping[str, Callable[[], BinaryIO]]


@dataclass(frozen=True, slots=True)
class Package:
    """`entries` are in the archive's order, by the package's own names; a file's `open` unpacks the package again."""

    deb: LockedDeb
    control: Control
    entries: tuple[Entry, ...]
    conffiles: Mapping[str, str]  # absolute path → md5 in hex, as dpkg's status has them
    md5sums: bytes = b""  # the file of that name, for a package that doesn't bring it, as dpkg then makes it

    @property
    def name(self) -> str:
        """The package's name."""
        return self.deb.name

    @property
    def info_name(self) -> str:
        """What its files in /var/lib/dpkg/info are called: with the architecture where several may be installed."""
        same = self.control.fields.get("multi-arch") == "same"
        return f"{self.name}:{self.control.fields['architecture']}" if same else self.name


def read_package(path: Path, deb: LockedDeb, store: Store) -> Package:
    """Read a package; what unpacking it showed is remembered. Raises `IntegrityError` as `data_entries` does."""
    described = control(path, deb)
    kept = store.record(_KIND, str(deb.digest))
    if kept is None:
        entries = data_entries(path, deb)
        sums = _sums(entries, described)
        rows = [_row(entry) for entry in entries]
        store.remember(_KIND, str(deb.digest), json.dumps({"entries": rows, "md5": sums}).encode())
    else:
        document = json.loads(kept)
        sums = document["md5"]
        rows = document["entries"]
    # Whoever opens one file is likely to open more: the package is unpacked again at most once.
    again = cache(lambda: {entry.path: entry.open for entry in data_entries(path, deb) if entry.open})
    conffiles = {name: sums[name] for name in described.conffiles if name in sums}
    others = "".join(f"{digest}  {name[1:]}\n" for name, digest in sums.items() if name not in conffiles)
    made = tuple(_entry(row, deb, again) for row in rows)
    return Package(deb, described, made, conffiles, others.encode("utf-8", "surrogateescape"))


def _sums(entries: tuple[Entry, ...], described: Control) -> dict[str, str]:
    wanted = {name.lstrip("/") for name in described.conffiles}
    sums = {}
    for entry in entries:
        if entry.open and (entry.path in wanted or "md5sums" not in described.files):
            running = hashlib.md5(usedforsecurity=False)  # what dpkg's status format asks for
            with entry.open() as stream:
                while chunk := stream.read(CHUNK):
                    running.update(chunk)
            sums[f"/{entry.path}"] = running.hexdigest()
    return sums


def _row(entry: Entry) -> list[Any]:
    return [entry.path, entry.kind, entry.mode, entry.size, entry.target, entry.uid, entry.gid, entry.mtime]


def _entry(row: list[Any], deb: LockedDeb, again: Callable[[], Openers]) -> Entry:
    name, kind = row[0], Kind(row[1])
    opener = _opener(name, deb, again) if kind is Kind.FILE else None
    return Entry(name, kind, row[2], row[3], row[4], row[5], row[6], row[7], opener)


def _opener(name: str, deb: LockedDeb, again: Callable[[], Openers]) -> Callable[[], BinaryIO]:
    def open_again() -> BinaryIO:
        opener = again().get(name)
        if opener is None:
            raise IntegrityError("DARI-DEB-MALFORMED", f"reading the package {deb.name}: {name!r} is no longer in it")
        return opener()

    return open_again
