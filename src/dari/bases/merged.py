"""The merged view with what was kept of its files."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dari.bases.layers import LayerFacts
from dari.bases.tree import File, Folder, Tree
from dari.values.fact import Fact
from dari.values.inventory import SymbolSet


@dataclass(frozen=True, slots=True)
class Merged:
    """A tree and its layers' facts. `unread` gathers what was asked for and not kept: layer and path there."""

    tree: Tree
    layers: tuple[LayerFacts, ...]
    unread: set[tuple[int, str]] = field(default_factory=set)

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file, links followed; None where there is none, or where it wasn't kept."""
        place = self._place(path)
        if place is None:
            return None
        number, inside = place
        content = self.layers[number].texts.get(inside)
        if content is None:
            self.unread.add(place)
        return content

    def text(self, path: str) -> str | None:
        """Return `read`'s bytes as text; what isn't UTF-8 becomes surrogate escapes."""
        content = self.read(path)
        return None if content is None else content.decode("utf-8", "surrogateescape")

    def library(self, path: str) -> tuple[str, Fact[SymbolSet]] | None:
        """Return soname and exports of the library at `path`, where it was looked into."""
        place = self._place(path)
        return None if place is None else self.layers[place[0]].libraries.get(place[1])

    def real(self, path: str) -> str:
        """Return where `path` really is; parts that don't exist are kept as they are."""
        parts = path.split("/")
        for length in range(len(parts), 0, -1):
            if found := self.tree.find("/".join(parts[:length])):
                return "/".join((found[0], *parts[length:])).lstrip("/")
        return path

    def is_folder(self, path: str) -> bool:
        """Say whether `path` is a directory or a link to one."""
        found = self.tree.find(path)
        return found is not None and isinstance(found[1], Folder)

    def is_file(self, path: str) -> bool:
        """Say whether `path` is a file or a link to one."""
        return self._place(path) is not None

    def names(self, path: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted; none where it isn't one."""
        found = self.tree.find(path)
        return tuple(sorted(found[1].entries)) if found and isinstance(found[1], Folder) else ()

    def _place(self, path: str) -> tuple[int, str] | None:
        found = self.tree.find(path)
        if found is None or not isinstance(found[1], File) or found[1].layer < 0:
            return None
        return found[1].layer, found[1].path or found[0]


def merge(layers: Sequence[LayerFacts]) -> Merged:
    """Apply layers, lowest first. Raises `IntegrityError` (DARI-LAYER-CROWDED)."""
    tree = Tree()
    for number, facts in enumerate(layers):
        tree.apply(number, facts)
    return Merged(tree, tuple(layers))
