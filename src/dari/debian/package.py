"""A package as unpacked: its control archive, its paths, the checksums of its configuration files."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from dari.debian.archive import Control, control, data_entries
from dari.errors import IntegrityError
from dari.system import CHUNK, Store
from dari.values.entry import Entry, Kind
from dari.values.lock import LockedDeb

_KIND: Final = "deb-listing-1"


@dataclass(frozen=True, slots=True)
class Package:
    """`entries` are in the archive's order, by the package's own names; a file's `open` unpacks the package again."""

    deb: LockedDeb
    control: Control
    entries: tuple[Entry, ...]
    conffiles: Mapping[str, str]  # absolute path → md5 in hex, as dpkg's status has them

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
        sums = _sums(entries, described.conffiles)
        rows = [_row(entry) for entry in entries]
        store.remember(_KIND, str(deb.digest), json.dumps({"entries": rows, "conffiles": sums}).encode())
    else:
        document = json.loads(kept)
        sums = document["conffiles"]
        rows = document["entries"]
    return Package(deb, described, tuple(_entry(row, path, deb) for row in rows), sums)


def _sums(entries: tuple[Entry, ...], conffiles: tuple[str, ...]) -> dict[str, str]:
    wanted = {name.lstrip("/") for name in conffiles}
    sums = {}
    for entry in entries:
        if entry.path in wanted and entry.open:
            running = hashlib.md5(usedforsecurity=False)  # what dpkg's status format asks for
            with entry.open() as stream:
                while chunk := stream.read(CHUNK):
                    running.update(chunk)
            sums[f"/{entry.path}"] = running.hexdigest()
    return {name: sums[name] for name in conffiles if name in sums}


def _row(entry: Entry) -> list[Any]:
    return [entry.path, entry.kind, entry.mode, entry.size, entry.target, entry.uid, entry.gid, entry.mtime]


def _entry(row: list[Any], path: Path, deb: LockedDeb) -> Entry:
    name, kind = row[0], Kind(row[1])
    opener = _opener(name, path, deb) if kind is Kind.FILE else None
    return Entry(name, kind, row[2], row[3], row[4], row[5], row[6], row[7], opener)


def _opener(name: str, path: Path, deb: LockedDeb) -> Callable[[], BinaryIO]:
    def open_again() -> BinaryIO:
        for entry in data_entries(path, deb):
            if entry.path == name and entry.open:
                return entry.open()
        raise IntegrityError("DARI-DEB-MALFORMED", f"reading the package {deb.name}: {name!r} is no longer in it")

    return open_again
