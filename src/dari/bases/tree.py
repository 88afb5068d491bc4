"""The merged view: layers applied one upon another to a tree of names, as an engine applies them to a folder.

Rules: OCI image-spec layer.md (representing changes, whiteouts); where it is silent, what umoci and containerd do:
parents are created and their links followed inside the root, an existing entry is replaced unless both are
directories, names are cleaned so that nothing climbs out. What no engine could unpack (a hardlink to nothing, a path
through a ring of links) is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from sys import intern
from typing import Final

from dari.bases.layers import LayerFacts
from dari.bases.tar import MemberKind
from dari.errors import IntegrityError

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_MOST_LINKS: Final = 40  # Linux follows no more (path_resolution(7))
_MOST_NODES: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class File:
    """A file's content: the layer it stands in and its path there, '' for its path in the tree.

    `layer` is -1 for what has no content (a device, a fifo).
    """

    layer: int
    path: str


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link's text."""

    target: str


@dataclass(slots=True)
class Folder:
    """A directory."""

    entries: dict[str, "Node"] = field(default_factory=dict)


Node = File | Link | Folder


class Tree:
    """A root file system of names, that layers are applied to."""

    def __init__(self) -> None:
        self.root = Folder()
        self._nodes = 0
        self._last: tuple[str, str, Folder] | None = None  # neighbours in a tar share their folder

    def apply(self, number: int, facts: LayerFacts) -> None:
        """Apply one layer: what it deletes in lower layers first, then what it brings.

        Raises `IntegrityError` (DARI-LAYER-CROWDED) past four million paths.
        """
        for path in facts.whiteouts:
            folder, _, name = path.rpartition("/")
            self._delete(folder, name)
        self._last = None
        plain = File(number, "")
        for kind, path, target in facts.members():
            self._bring(kind, path, target, plain)

    def find(self, path: str, *, follow: bool = True) -> tuple[str, Node] | None:
        """Return the real path and the node at `path`, links followed (the last one only with `follow`)."""
        return self._walk(path, follow=follow)

    def walk(self, start: str = "") -> Iterator[tuple[str, Node]]:
        """Yield every path below the folder `start` with its node, sorted, without following links."""
        found = self._walk(start, follow=True)
        pending: list[tuple[str, Node]] = [found] if found else []
        top = True
        while pending:
            path, node = pending.pop()
            if not top:
                yield path, node
            top = False
            if isinstance(node, Folder):
                prefix = f"{path}/" if path else ""
                pending += [(prefix + name, node.entries[name]) for name in sorted(node.entries, reverse=True)]

    def _delete(self, folder: str, name: str) -> None:
        found = self._walk(folder, follow=True)
        if not found or not isinstance(found[1], Folder):
            return
        if name == _OPAQUE:
            found[1].entries.clear()
        elif not name.startswith(_WHITEOUT + _WHITEOUT):  # other double marks are AUFS's own bookkeeping
            found[1].entries.pop(name.removeprefix(_WHITEOUT), None)

    def _bring(self, kind: MemberKind, path: str, target: str, plain: File) -> None:
        folder_path, _, name = path.rpartition("/")
        place = self._folder(folder_path)
        if place is None:
            return
        real, folder = place
        old = folder.entries.get(name)
        if kind is MemberKind.DIRECTORY and isinstance(old, Folder):
            return
        # One shared value for nearly all files: 300 000 of their own would weigh 40 MB.
        content = plain if real == folder_path else File(plain.layer, path)
        new = self._node(kind, path, target, content)
        if new is None:
            return
        if isinstance(old, Folder | Link):
            self._last = None
        self._put(folder, name, new)

    def _node(self, kind: MemberKind, path: str, target: str, content: File) -> Node | None:
        match kind:
            case MemberKind.DIRECTORY:
                return Folder()
            case MemberKind.SYMLINK:
                return Link(target)
            case MemberKind.HARDLINK:
                return self._linked(target)
            case MemberKind.FILE:
                return content
            case MemberKind.OTHER:
                return File(-1, path)

    def _linked(self, target: str) -> Node | None:
        """Return the node that a hardlink shares, once it says by itself where its content stands."""
        found = self._walk(target, follow=False)
        if found is None or isinstance(found[1], Folder):
            return None
        real, node = found
        if isinstance(node, File) and not node.path:
            node = File(node.layer, real)
            place = self._walk(real.rpartition("/")[0], follow=True)
            if place and isinstance(place[1], Folder):
                place[1].entries[real.rpartition("/")[2]] = node
        return node

    def _folder(self, path: str) -> tuple[str, Folder] | None:
        """Return the folder at `path` and its real path, made where missing; None where no folder can be there."""
        if self._last and self._last[0] == path:
            return self._last[1:]
        found = self._walk(path, follow=True, make=True)
        if found is None or not isinstance(found[1], Folder):
            return None
        self._last = path, found[0], found[1]
        return self._last[1:]

    def _walk(self, path: str, *, follow: bool, make: bool = False) -> tuple[str, Node] | None:
        """Resolve `path` below the root. With `make`, missing parts become folders."""
        parts = path.split("/")[::-1] if path else []
        trail: list[tuple[str, Folder]] = []  # the real folders passed through, for '..'
        here: Node = self.root
        links = 0
        while parts:
            name = parts.pop()
            if name == "..":
                here = trail.pop()[1] if trail else self.root
                continue
            if name in {"", "."}:
                continue
            if not isinstance(here, Folder):
                return None
            child = here.entries.get(name)
            if isinstance(child, Link) and (parts or follow):
                links += 1
                if links > _MOST_LINKS:
                    return None
                if child.target.startswith("/"):
                    here, trail = self.root, []
                parts += child.target.split("/")[::-1]
                continue
            if make and child is None:
                child = Folder()
                self._put(here, name, child)
            if child is None:
                return None
            trail.append((name, here))
            here = child
        return "/".join(name for name, _ in trail), here

    def _put(self, folder: Folder, name: str, node: Node) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise IntegrityError(
                "DARI-LAYER-CROWDED",
                f"putting the layers together: they hold more than {_MOST_NODES} paths",
                hint="no real base does; if this one is yours, find what fills it with files",
            )
        folder.entries[intern(name)] = node
