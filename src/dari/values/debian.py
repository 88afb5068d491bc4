"""Debian's control data: paragraphs, versions, relations between packages, the status file.

Sources: deb822(5), deb-version(7), deb-control(5), Debian Policy chapters 5 and 7, dpkg's lib/dpkg/version.c (the
order of versions). Read 2026-11-23.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from dari.values.inventory import DebianPackage
from dari.values.malformed import Malformed

# Policy 5.6.12; a colon belongs to the upstream version only where there is an epoch before it.
_VERSION: Final = re.compile(
    r"(?:(?P<epoch>\d{1,9}):(?=[\w.+~:-]))?(?:(?P<debian>[\w.+~:-]+)-(?P<revision>[\w.+~]+)|(?P<native>[\w.+~:]+))",
    re.ASCII,
)
_VERSION_PARTS: Final = re.compile(r"(\D*)(\d*)", re.ASCII)
_RELATION: Final = re.compile(
    r"\s*(?P<name>[a-zA-Z0-9][a-zA-Z0-9+.-]*)(?::(?P<qualifier>[a-z0-9-]+))?"
    r"\s*(?:\(\s*(?P<operator><<|<=|>=|>>|=|<|>)\s*(?P<version>[^()\s]+)\s*\))?"
    r"\s*(?:\[(?P<architectures>[^\[\]]*)\])?\s*(?:<[^<>]*>\s*)*"
)
_INSTALL_STATE: Final = re.compile(
    r"var/lib/dpkg/(?:alternatives/[^/]+|diversions|statoverride|triggers/(?!Lock|Unincorp)[^/]+)"
    r"|var/lib/apt/extended_states|var/lib/shells\.state|etc/(?:passwd|group|shells|ca-certificates\.conf|gitconfig)"
)
# The order of characters: '~' before the end, the end before letters, letters before everything else.
_TILDE: Final = -1
_END: Final = 0
_AFTER_LETTERS: Final = 256
_SATISFIES_STATES: Final = frozenset({"installed", "triggers-awaited", "triggers-pending"})


@dataclass(frozen=True, slots=True)
class DebianVersion:
    """A version that sorts as dpkg sorts it. `text` is as written; equal in order doesn't mean equal in text."""

    text: str = field(compare=False)
    key: tuple[object, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[epoch:]upstream[-revision]`. Raises `Malformed` (DARI-DEBIAN-VERSION)."""
        match = _VERSION.fullmatch(text.strip())
        if not match or "_" in text or (":" in text and match["epoch"] is None):
            raise Malformed(
                "DARI-DEBIAN-VERSION",
                f"{text[:200]!r} is not a Debian version",
                hint="it looks like 1.2.3-4 or 1:1.2.3+dfsg-4~deb12u1",
            )
        key = (int(match["epoch"] or 0), _order(match["debian"] or match["native"]), _order(match["revision"] or ""))
        return cls(text.strip(), key)

    def __lt__(self, other: "DebianVersion") -> bool:
        return self.key < other.key

    def __le__(self, other: "DebianVersion") -> bool:
        return self.key <= other.key

    def __gt__(self, other: "DebianVersion") -> bool:
        return self.key > other.key

    def __ge__(self, other: "DebianVersion") -> bool:
        return self.key >= other.key

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a dependency: `name[:qualifier] [(operator version)]`; `operator` may be empty."""

    name: str
    qualifier: str = ""
    operator: str = ""
    version: str = ""

    def admits(self, version: str) -> bool:
        """Say whether a package of this version is what the relation asks for."""
        if not self.operator:
            return True
        have, want = DebianVersion.parse(version), DebianVersion.parse(self.version)
        return {
            "<<": have < want,
            "<": have <= want,  # Policy 7.1: obsolete spellings of <= and >=
            "<=": have <= want,
            "=": have == want,
            ">=": have >= want,
            ">": have >= want,
            ">>": have > want,
        }[self.operator]

    def __str__(self) -> str:
        name = f"{self.name}:{self.qualifier}" if self.qualifier else self.name
        return f"{name} ({self.operator} {self.version})" if self.operator else name


def paragraphs(content: bytes) -> Iterator[Mapping[str, str]]:
    """Yield the paragraphs of a deb822 document: field names in lower case, values with their line breaks.

    Continuation lines keep all but their first blank; lines that begin with '#' are comments. Bytes that aren't
    UTF-8 survive as surrogate escapes. Raises `Malformed` (DARI-DEB822-MALFORMED) with the line's number.
    """
    fields: dict[str, str] = {}
    name = ""
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").split("\n"), 1):
        text = line.removesuffix("\r")
        if not text.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif text[0] == "#":
            continue
        elif text[0] in " \t":
            if not name:
                raise Malformed("DARI-DEB822-MALFORMED", f"line {number} continues a field, but no field stands before")
            fields[name] += "\n" + text[1:].rstrip()
        else:
            name, colon, value = text.partition(":")
            name = name.lower()
            if not colon or not name or " " in name:
                raise Malformed("DARI-DEB822-MALFORMED", f"line {number} is not 'Field: value': {text[:60]!r}")
            fields[name] = value.strip()
    if fields:
        yield fields


def relations(text: str, architecture: str) -> tuple[tuple[Relation, ...], ...]:
    """Read a relationship field (Depends, Conflicts, Provides…): a conjunction of alternatives.

    Alternatives that their `[…]` restricts to other architectures are left out, and with them a group of which none
    remains. Raises `Malformed` (DARI-DEBIAN-RELATION).
    """
    groups = []
    for group in text.split(","):
        if not group.strip():
            continue
        alternatives = tuple(filter(None, (_relation(alternative, architecture) for alternative in group.split("|"))))
        if alternatives:
            groups.append(alternatives)
    return tuple(groups)


def installed_packages(status: bytes) -> tuple[DebianPackage, ...]:
    """Read /var/lib/dpkg/status: the packages that are installed (not removed, not half-way), in the file's order.

    Raises `Malformed` (DARI-DEB822-MALFORMED, DARI-DPKG-STATUS).
    """
    found = []
    for paragraph in paragraphs(status):
        state = paragraph.get("status", "").split()
        if not state or state[-1] not in _SATISFIES_STATES:
            continue
        if not paragraph.get("package") or not paragraph.get("version"):
            raise Malformed("DARI-DPKG-STATUS", "an installed package of the dpkg status has no name or no version")
        found.append(
            DebianPackage(
                paragraph["package"],
                paragraph["version"],
                paragraph.get("architecture", ""),
                tuple(" ".join(name.split()) for name in paragraph.get("provides", "").split(",") if name.strip()),
                paragraph.get("multi-arch", ""),
            )
        )
    return tuple(found)


def is_install_state(path: str) -> bool:
    """Say whether a base's file is one that installing packages reads and changes.

    They are small, and hold no secrets: /etc/shadow is not among them.
    """
    return _INSTALL_STATE.fullmatch(path) is not None


def _order(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    parts = [
        ((*(_rank(character) for character in other), _END), int(digits or 0))
        for other, digits in _VERSION_PARTS.findall(text or "0")
        if other or digits
    ]
    return (*parts, ((_END,), 0))


def _rank(character: str) -> int:
    if character == "~":
        return _TILDE
    return ord(character) if character.isalpha() else ord(character) + _AFTER_LETTERS


def _relation(text: str, architecture: str) -> Relation | None:
    match = _RELATION.fullmatch(text)
    if not match:
        raise Malformed("DARI-DEBIAN-RELATION", f"{text.strip()[:200]!r} is not a relation between Debian packages")
    if (restriction := (match["architectures"] or "").split()) and not _applies(restriction, architecture):
        return None
    return Relation(match["name"], match["qualifier"] or "", match["operator"] or "", match["version"] or "")


def _applies(restriction: list[str], architecture: str) -> bool:
    mine = {architecture, "any", "linux-any", f"any-{architecture}"}
    if restriction[0].startswith("!"):
        return not any(name.removeprefix("!") in mine for name in restriction)
    return any(name in mine for name in restriction)
