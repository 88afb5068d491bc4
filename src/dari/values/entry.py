"""What goes into a layer: paths with their kind, mode and a way to open their content."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO


class Kind(StrEnum):
    """The kinds of path dari writes into a layer. Device nodes and fifos are refused where they are read."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    WHITEOUT = "whiteout"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a layer.

    `path` is relative to the root without a leading slash, '/'-separated, never with '..' or empty parts; it is
    text with surrogate escapes, so that any byte name survives. `mode` holds permission bits only. `size` is the
    content's length in bytes for a FILE, else 0. `target` is a symlink's text, or a hardlink's path in the layer.
    """

    path: str
    kind: Kind
    mode: int = 0o644
    size: int = 0
    target: str = ""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    open: Callable[[], BinaryIO] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A group of entries with one cause: a wheel, a Debian package, the project's own files.

    `key` names the content completely (with the layout it was given): equal keys, equal entries. `entries` is
    called only when the layer isn't cached, so that an unchanged wheel is never opened. `size` is the uncompressed
    size in bytes as far as it is known before opening.
    """

    name: str
    key: str
    size: int
    entries: Callable[[], tuple[Entry, ...]]


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer to be: its parts, in order, and the line that its history will carry."""

    title: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Uncompressed size in bytes, as far as known."""
        return sum(part.size for part in self.parts)
