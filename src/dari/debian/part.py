"""A package's own files as part of a layer, in the places the base's directory links send them to."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from dari.debian.archive import data_entries
from dari.errors import IntegrityError
from dari.values.digest import Digest
from dari.values.entry import Entry, Kind, Part
from dari.values.lock import LockedDeb
from dari.values.platform import Platform

# Changes when the same package would be laid out differently by a later dari.
LAYOUT: Final = "1"
# What Debian's archive makes of a package, on average: for grouping parts into layers before any is opened.
_EXPANSION: Final = 4
_MOST_LINKS: Final = 40  # as the kernel follows (path_resolution(7))


def deb_part(path: Path, deb: LockedDeb, *, platform: Platform, links: Mapping[str, str]) -> Part:
    """Return the files of the package at `path`, opened only when the layer is made.

    `links` maps directories that are links in the image to where they lead ('lib' → 'usr/lib'): what the package
    has below them is put there, so that no layer replaces a link by a directory. `entries` raises `IntegrityError`
    (DARI-DEB-DIGEST, DARI-DEB-MALFORMED, DARI-DEB-TOO-LARGE, DARI-DEB-MEMBER).
    """
    layout = Digest.of("\0".join(f"{link}\0{target}" for link, target in sorted(links.items())).encode()).short
    return Part(
        f"{deb.name} {deb.version}",
        f"deb:{LAYOUT}:{platform.debian}:{deb.digest}:{layout}",
        deb.size * _EXPANSION,
        lambda: tuple(_placed_entries(data_entries(path, deb), deb, links)),
    )


def placed(path: str, links: Mapping[str, str]) -> str:
    """Return where a path leads when every directory link on its way, itself included, is followed.

    Raises `ValueError` where the links go round in a circle.
    """
    pending, done, followed = path.split("/"), "", 0
    while pending:
        step = f"{done}/{pending[0]}" if done else pending[0]
        pending = pending[1:]
        target = links.get(step)
        if target is None:
            done = step
            continue
        followed += 1
        if followed > _MOST_LINKS:
            raise ValueError(path)
        pending = [part for part in target.split("/") if part] + pending
        done = ""
    return done


def placed_below(path: str, links: Mapping[str, str]) -> str:
    """Return where a path leads when the links of its parents are followed, but not itself."""
    parent, slash, name = path.rpartition("/")
    return f"{placed(parent, links)}/{name}" if slash else path


def _placed_entries(entries: tuple[Entry, ...], deb: LockedDeb, links: Mapping[str, str]) -> Iterator[Entry]:
    for entry in entries:
        if not entry.path:
            continue
        try:
            # A package may ship the very link (base-files of trixie): it stays one. A directory becomes its target.
            follow = placed if entry.kind is Kind.DIRECTORY else placed_below
            target = placed_below(entry.target, links) if entry.kind is Kind.HARDLINK else entry.target
            path = follow(entry.path, links)
        except ValueError as error:
            raise IntegrityError(
                "DARI-DEB-MEMBER",
                f"placing {entry.path!r} of {deb.name}: the base's directory links go round in a circle",
                hint="the base is damaged: use another tag",
            ) from error
        if path:
            yield replace(entry, path=path, target=target)
