"""One layer, read once: the paths it has, in order, and what is kept of the files that matter.

A layer is read without knowing the others, so that several can be read at the same time; `tree` puts them together.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dari.bases.interests import Interest, interest_in
from dari.bases.libraries import read_library
from dari.bases.tar import Member, MemberKind, TarStream
from dari.errors import IntegrityError
from dari.values.fact import Fact
from dari.values.inventory import SymbolSet

_LARGEST_TEXT: Final = 32 << 20
_MOST_KEPT: Final = 128 << 20  # of names and texts of one layer: far above any real one (300 000 files: 25 MB)
_LONGEST_PATH: Final = 4096  # PATH_MAX
_BATCH: Final = 4096
_GLIBC_BANNER: Final = re.compile(rb"release version (\d{1,2}\.\d{1,3})[.,]")
_GLIBC_SYMBOL: Final = re.compile(rb"GLIBC_2\.(\d{1,3})\0")


@dataclass(slots=True)
class LayerFacts:
    """What is kept of one layer. Paths are normalised: relative, '/'-separated, without '.', '..' or empty parts."""

    texts: dict[str, bytes] = field(default_factory=dict)
    whiteouts: list[str] = field(default_factory=list)  # paths whose last part begins with '.wh.'
    libraries: dict[str, tuple[str, Fact[SymbolSet]]] = field(default_factory=dict)
    kept: int = 0
    _batches: list[bytes] = field(default_factory=list)
    _current: list[str] = field(default_factory=list)

    def add(self, kind: MemberKind, path: str, target: str) -> None:
        """Note one member. Packed: a million paths as Python texts would weigh 150 MB."""
        self.kept += len(path) + len(target) + 3
        if path.rpartition("/")[2].startswith(".wh."):
            self.whiteouts.append(path)
            return
        self._current.append(f"{kind.value}{path}\0{target}")
        if len(self._current) == _BATCH:
            self._pack()

    def members(self) -> Iterator[tuple[MemberKind, str, str]]:
        """Yield kind, path and link target of each member, in the layer's order."""
        self._pack()
        for batch in self._batches:
            fields = iter(batch.decode("utf-8", "surrogateescape").split("\0"))
            for head, target in zip(fields, fields, strict=True):
                yield _KINDS[head[0]], head[1:], target

    def _pack(self) -> None:
        if self._current:
            self._batches.append("\0".join(self._current).encode("utf-8", "surrogateescape"))
            self._current = []


_KINDS: Final = {kind.value: kind for kind in MemberKind}


def read_layer(chunks: Iterator[bytes], *, also: frozenset[str] = frozenset()) -> LayerFacts:
    """Read an uncompressed layer to its end. `also` are paths whose bytes are kept whatever their names.

    Raises `IntegrityError`: DARI-LAYER-CORRUPT, DARI-LAYER-TRUNCATED (see `TarStream`), DARI-LAYER-CROWDED where it
    holds more names than memory should.
    """
    facts = LayerFacts()
    stream = TarStream(chunks)
    for member in stream:
        path = normalised(member.name)
        if not path or len(path) > _LONGEST_PATH or "\0" in path:
            continue
        target = member.target[:_LONGEST_PATH].partition("\0")[0]
        facts.add(member.kind, path, normalised(target) if member.kind is MemberKind.HARDLINK else target)
        if member.kind is MemberKind.FILE:
            _keep(facts, path, member, stream, Interest.TEXT if path in also else interest_in(path))
        if facts.kept > _MOST_KEPT:
            raise IntegrityError(
                "DARI-LAYER-CROWDED",
                f"reading a layer: its names and package lists take more than {_MOST_KEPT >> 20} MiB",
                hint="no real base does; if this one is yours, find what fills it with files",
            )
    return facts


def normalised(name: str) -> str:
    """Return a member's name as a path below the root: '..' never climbs out of it (as engines clean names)."""
    if not (name.startswith(("/", "./", "../")) or "//" in name or "/." in name or name.endswith("/") or name == "."):
        return "" if name == ".." else name
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _keep(facts: LayerFacts, path: str, member: Member, stream: TarStream, interest: Interest) -> None:
    facts.texts.pop(path, None)  # a later member of the same name replaces the earlier one
    facts.libraries.pop(path, None)
    if interest is Interest.NOTHING or member.sparse:
        return
    if interest is Interest.LIBRARY:
        facts.libraries[path] = read_library(stream.content(), member.size)
        return
    if member.size > _LARGEST_TEXT:
        return
    content = b"".join(stream.content())
    match interest:
        case Interest.HEADERS:
            content = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
        case Interest.GLIBC:
            content = _glibc(content)
        case Interest.TEXT:
            pass
    facts.texts[path] = content
    facts.kept += len(content)


def _glibc(content: bytes) -> bytes:
    """Return the version text, b'' where there is none. The banner counts; not every release adds a symbol version."""
    if banner := _GLIBC_BANNER.search(content):
        return banner[1]
    versions = [int(number) for number in _GLIBC_SYMBOL.findall(content)]
    return f"2.{max(versions)}".encode() if versions else b""
