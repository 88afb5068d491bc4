"""The Packages indices of all sources: 10^5 paragraphs, of which only those asked for are parsed."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from dari.debian.release import Release
from dari.errors import IntegrityError, OutsideError
from dari.values.debian import DebianVersion, Relation, paragraphs, relations
from dari.values.digest import Digest
from dari.values.fetch import Fetcher
from dari.values.malformed import Malformed

# Each begins with a literal line break: the search engine then runs at the speed of memchr.
_NAME: Final = re.compile(rb"\nPackage: *(\S+)")
_PROVIDES: Final = re.compile(rb"\nProvides: *(.+)")
_ESSENTIAL: Final = re.compile(rb"\nEssential: *yes")
# gzip first: ISA-L takes it apart five times faster than lzma does xz, for a third more bytes on the way.
_FORMS: Final = (".gz", ".xz", "")
_PRIORITIES: Final = ("required", "important", "standard", "optional", "extra")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One package that a source offers."""

    name: str
    version: DebianVersion
    architecture: str
    url: str
    digest: Digest
    size: int
    automatic: bool
    fields: Mapping[str, str] = field(repr=False, compare=False)

    def depends(self) -> tuple[tuple[Relation, ...], ...]:
        """Return what must be installed for it to work: Pre-Depends, then Depends."""
        return self._relations("pre-depends") + self._relations("depends")

    def excludes(self) -> tuple[Relation, ...]:
        """Return what may not be installed beside it: Conflicts and Breaks."""
        return tuple(group[0] for group in self._relations("conflicts") + self._relations("breaks"))

    def provides(self) -> tuple[Relation, ...]:
        """Return the names, with versions where given, that it stands in for."""
        return tuple(group[0] for group in self._relations("provides"))

    @property
    def rank(self) -> tuple[bool, int]:
        """How apt prefers one provider to another: essential first, then by priority (CompareProviders)."""
        priority = self.fields.get("priority", "optional")
        position = _PRIORITIES.index(priority) if priority in _PRIORITIES else len(_PRIORITIES)
        return self.fields.get("essential") != "yes", position

    def _relations(self, name: str) -> tuple[tuple[Relation, ...], ...]:
        return relations(self.fields.get(name, ""), self.architecture)


@dataclass(frozen=True)
class Index:
    """One Packages file: its text after one line break, and where each package name stands in it."""

    release: Release
    content: bytes

    @cached_property
    def _places(self) -> Mapping[bytes, tuple[int, ...]]:
        places: dict[bytes, tuple[int, ...]] = {}
        for match in _NAME.finditer(self.content):
            name = match[1]
            places[name] = (*places[name], match.start()) if name in places else (match.start(),)
        return places

    @cached_property
    def _providers(self) -> Mapping[bytes, tuple[int, ...]]:
        providers: dict[bytes, tuple[int, ...]] = {}
        for match in _PROVIDES.finditer(self.content):
            for entry in match[1].split(b","):
                name = entry.split(b"(")[0].strip().partition(b":")[0]
                providers[name] = (*providers.get(name, ()), match.start())
        return providers

    def named(self, name: str) -> Iterator[Candidate]:
        """Yield what is called `name`, in the file's order."""
        return (self._candidate(place) for place in self._places.get(name.encode(), ()))

    def providing(self, name: str) -> Iterator[Candidate]:
        """Yield what says that it provides `name`."""
        return (self._candidate(place) for place in self._providers.get(name.encode(), ()))

    def essential(self) -> Iterator[Candidate]:
        """Yield what is marked Essential."""
        found = (self._candidate(match.start()) for match in _ESSENTIAL.finditer(self.content))
        return (candidate for candidate in found if candidate.fields.get("essential") == "yes")

    def names(self) -> Iterator[str]:
        """Yield every name once."""
        return (name.decode("utf-8", "replace") for name in self._places)

    def _candidate(self, place: int) -> Candidate:
        start = self.content.rfind(b"\n\n", 0, place + 1) + 1
        end = self.content.find(b"\n\n", place)
        try:
            fields = next(paragraphs(self.content[start : end if end >= 0 else None]))
            return Candidate(
                fields["package"],
                DebianVersion.parse(fields["version"]),
                fields["architecture"],
                f"{self.release.source.uri}/{fields['filename'].removeprefix('./')}",
                Digest.parse(f"sha256:{fields['sha256']}"),
                int(fields["size"]),
                self.release.automatic,
                fields,
            )
        except (Malformed, ValueError, KeyError) as error:
            raise OutsideError(
                "DARI-APT-INDEX", f"reading the packages of {self.release.root}: an entry lacks or garbles {error}"
            ) from error


def fetch_indices(release: Release, architecture: str, fetcher: Fetcher) -> tuple[Index, ...]:
    """Fetch the Packages files of a release for Debian's `architecture`; none where it doesn't have them.

    Raises `OutsideError` (DARI-APT-INDEX and what the fetcher raises), `IntegrityError`.
    """
    folders = [""]
    if release.source.components:
        kinds = [architecture, "all"] if release.separate_all else [architecture]
        folders = [f"{component}/binary-{kind}/" for component in release.source.components for kind in kinds]
    return tuple(Index(release, b"\n" + content) for content in _contents(release, folders, fetcher))


def _contents(release: Release, folders: Iterable[str], fetcher: Fetcher) -> Iterator[bytes]:
    for folder in folders:
        forms = [form for form in _FORMS if release.files.get(f"{folder}Packages{form}", (None, 0))[1]]
        for form in forms:
            try:
                content = _content(release, folder, form, fetcher)
            except OutsideError:
                # Archives list forms that they don't keep (debian-security: only .xz is there).
                if form == forms[-1]:
                    raise
            else:
                yield content
                break


def _content(release: Release, folder: str, form: str, fetcher: Fetcher) -> bytes:
    path = f"{folder}Packages{form}"
    digest, size = release.files[path]
    place = f"{folder}by-hash/SHA256/{digest.hex}" if release.by_hash else path
    found = fetcher.fetch(f"{release.root}/{place}", digest, size=size, label=f"package list of {release.root}")
    plain = release.files.get(f"{folder}Packages")
    return _unpacked(found, form, digest, plain[1] if plain else 0)


def _unpacked(path: Path, form: str, digest: Digest, size: int) -> bytes:
    """Decompress no more than the Release file promises (`size`, where it says)."""
    raw = path.read_bytes()
    if Digest.of(raw) != digest:
        raise IntegrityError("DARI-APT-DIGEST", f"reading {path}: its bytes are not {digest}")
    if not form:
        return raw
    try:
        content = _decompressed(raw, form, (size or 512 << 20) + 1)
    except (OSError, ValueError, EOFError) as error:
        raise OutsideError("DARI-APT-INDEX", f"unpacking {path}: {error}") from error
    if size and len(content) != size:
        raise IntegrityError("DARI-APT-DIGEST", f"unpacking {path}: it holds not the {size} bytes promised")
    return content


def _decompressed(raw: bytes, form: str, most: int) -> bytes:
    if form == ".xz":
        import lzma  # noqa: PLC0415 - only where an archive has no gzip form

        try:
            return lzma.LZMADecompressor().decompress(raw, max_length=most)
        except lzma.LZMAError as error:
            raise ValueError(str(error)) from error
    from isal import igzip_lib, isal_zlib  # noqa: PLC0415 - a native library, loaded only where it is used

    try:
        decompressor = isal_zlib.decompressobj(31)
        parts = [decompressor.decompress(raw, most)]
        while decompressor.unused_data and sum(map(len, parts)) < most:
            rest, decompressor = decompressor.unused_data, isal_zlib.decompressobj(31)
            parts.append(decompressor.decompress(rest, most))
        return parts[0] if len(parts) == 1 else b"".join(parts)
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub declares an instance
        raise ValueError(str(error)) from error
