"""What can be chosen from: every candidate of every source, and what is installed already."""

from dataclasses import dataclass, field

from dari.debian.index import Candidate, Index
from dari.values.debian import DebianVersion, Relation, relations
from dari.values.inventory import DebianPackage


@dataclass(frozen=True)
class Universe:
    """Candidates by name, and the packages of the base. Look-ups are remembered."""

    indices: tuple[Index, ...]
    installed: tuple[DebianPackage, ...]
    architecture: str
    _candidates: dict[str, tuple[Candidate, ...]] = field(default_factory=dict, repr=False)
    _installed: dict[str, tuple[DebianPackage, ...]] = field(default_factory=dict, repr=False)
    _standing_in: dict[str, tuple[tuple[DebianPackage, Relation], ...]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for package in self.installed:
            self._installed[package.name] = (*self._installed.get(package.name, ()), package)
            for group in relations(", ".join(package.provides), self.architecture):
                provided = (package, group[0])
                self._standing_in[group[0].name] = (*self._standing_in.get(group[0].name, ()), provided)

    def named(self, name: str) -> tuple[Candidate, ...]:
        """Return the candidates called `name`: automatic sources first, then the newest, then the source's order."""
        if name not in self._candidates:
            found = (candidate for index in self.indices for candidate in index.named(name))
            native = (candidate for candidate in found if candidate.architecture in {self.architecture, "all"})
            self._candidates[name] = tuple(sorted(native, key=_newest_first, reverse=True))
        return self._candidates[name]

    def providing(self, relation: Relation) -> tuple[Candidate, ...]:
        """Return the newest of each name that stands in for what `relation` asks, in the order apt prefers them."""
        names = sorted({candidate.name for index in self.indices for candidate in index.providing(relation.name)})
        newest = [self.named(name)[0] for name in names if self.named(name)]
        fitting = [candidate for candidate in newest if stands_in(candidate.provides(), relation)]
        return tuple(sorted(fitting, key=lambda candidate: (candidate.rank, candidate.name)))

    def essential(self) -> tuple[Candidate, ...]:
        """Return the newest of every package that a Debian system may not lack (Policy 3.8)."""
        names = {candidate.name for index in self.indices for candidate in index.essential()}
        newest = (self.named(name)[0] for name in sorted(names))
        return tuple(candidate for candidate in newest if candidate.fields.get("essential") == "yes")

    def has(self, relation: Relation) -> bool:
        """Say whether the base satisfies `relation`, itself or by a package that provides it."""
        named = any(
            relation.admits(package.version)
            for package in self._installed.get(relation.name, ())
            if self._serves(package, relation)
        )
        return named or any(
            stands_in((provided,), relation)
            for package, provided in self._standing_in.get(relation.name, ())
            if self._serves(package, relation)
        )

    def installed_as(self, name: str) -> DebianPackage | None:
        """Return the base's package of this name, for this architecture."""
        for package in self._installed.get(name, ()):
            if package.architecture in {self.architecture, "all"}:
                return package
        return None

    def installed_matching(self, relation: Relation) -> DebianPackage | None:
        """Return a package of the base that a Conflicts or Breaks relation hits."""
        for package in self._installed.get(relation.name, ()):
            if relation.admits(package.version):
                return package
        for package, provided in self._standing_in.get(relation.name, ()):
            if stands_in((provided,), relation):
                return package
        return None

    def _serves(self, package: DebianPackage, relation: Relation) -> bool:
        """Multi-Arch: a package of another architecture serves where it is 'foreign', or 'allowed' and asked ':any'."""
        if package.architecture in {self.architecture, "all"}:
            return True
        return package.multi_arch == "foreign" or (package.multi_arch == "allowed" and relation.qualifier == "any")


def stands_in(provides: tuple[Relation, ...], relation: Relation) -> bool:
    """Say whether Provides answers `relation`: a versioned one only by a versioned Provides (Policy 7.5)."""
    return any(
        provided.name == relation.name
        and (not relation.operator or (bool(provided.version) and relation.admits(provided.version)))
        for provided in provides
    )


def _newest_first(candidate: Candidate) -> tuple[bool, DebianVersion]:
    return candidate.automatic, candidate.version
