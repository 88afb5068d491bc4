"""What must be installed beside what was asked for: depth first, as apt does, with a way back.

For every dependency: what is there already satisfies it; else the first alternative that can be installed. A
candidate whose own needs can't be met gives way to an older one, then to the next alternative. Recommends don't
count. What the base has is never upgraded or removed.
"""

from collections.abc import Iterable, Iterator, Mapping

from dari.debian.index import Candidate
from dari.debian.universe import Universe, stands_in
from dari.values.debian import Relation
from dari.values.finding import Finding, Severity

Chosen = Mapping[str, Candidate]
_WAYS_OUT = (
    "build the image with a container engine, where apt itself installs it",
    "a newer tag of the base",
    "leave the package out of `apt`",
)


class Blocked(Exception):  # noqa: N818 - it reads as what it is, and never leaves this room
    """A candidate can't be installed; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def with_candidate(
    universe: Universe, chosen: Chosen, candidate: Candidate, failed: dict[Candidate, Blocked]
) -> Chosen:
    """Return `chosen` with `candidate` and everything it needs. Raises `Blocked`."""
    if candidate.name in chosen:
        return chosen
    if candidate in failed:
        raise failed[candidate]
    try:
        _check_beside(universe, chosen, candidate)
        grown: Chosen = {**chosen, candidate.name: candidate}
        for alternatives in candidate.depends():
            grown = _with_one_of(universe, grown, candidate, alternatives, failed)
    except Blocked as blocked:
        failed[candidate] = blocked
        raise
    return grown


def edges(chosen: Chosen) -> Mapping[str, frozenset[str]]:
    """Return, for each chosen package, the chosen ones that satisfy its dependencies."""
    providers: dict[str, set[str]] = {}
    for candidate in chosen.values():
        for name in (candidate.name, *(relation.name for relation in candidate.provides())):
            providers.setdefault(name, set()).add(candidate.name)
    return {
        name: frozenset(
            provider
            for alternatives in candidate.depends()
            for relation in alternatives
            for provider in providers.get(relation.name, ())
        )
        for name, candidate in chosen.items()
    }


def _with_one_of(
    universe: Universe,
    chosen: Chosen,
    dependent: Candidate,
    alternatives: tuple[Relation, ...],
    failed: dict[Candidate, Blocked],
) -> Chosen:
    if any(universe.has(relation) or _chosen_has(chosen, relation) for relation in alternatives):
        return chosen
    first: Blocked | None = None
    for candidate in _candidates(universe, chosen, alternatives):
        try:
            return with_candidate(universe, chosen, candidate, failed)
        except Blocked as blocked:
            first = first or blocked
    raise first or Blocked(_unsatisfied(universe, chosen, dependent, alternatives))


def _candidates(universe: Universe, chosen: Chosen, alternatives: Iterable[Relation]) -> Iterator[Candidate]:
    for relation in alternatives:
        if not universe.installed_as(relation.name) and relation.name not in chosen:
            yield from (each for each in universe.named(relation.name) if relation.admits(each.version.text))
        for provider in universe.providing(relation):
            if not universe.installed_as(provider.name) and provider.name not in chosen:
                yield provider


def _chosen_has(chosen: Chosen, relation: Relation) -> bool:
    named = chosen.get(relation.name)
    if named and relation.admits(named.version.text):
        return True
    return any(stands_in(candidate.provides(), relation) for candidate in chosen.values())


def _check_beside(universe: Universe, chosen: Chosen, candidate: Candidate) -> None:
    for relation in candidate.excludes():
        other = universe.installed_matching(relation)
        if other and other.name != candidate.name:
            raise Blocked(_conflict(candidate, f"the base's {other.name} {other.version}", relation))
        for each in chosen.values():
            if each.name != candidate.name and _is(each, relation):
                raise Blocked(_conflict(candidate, f"{each.name} {each.version}", relation))
    for each in chosen.values():
        for relation in each.excludes():
            if _is(candidate, relation):
                raise Blocked(_conflict(each, f"{candidate.name} {candidate.version}", relation))


def _is(candidate: Candidate, relation: Relation) -> bool:
    if candidate.name == relation.name:
        return relation.admits(candidate.version.text)
    return stands_in(candidate.provides(), relation)


def _conflict(candidate: Candidate, other: str, relation: Relation) -> Finding:
    return Finding(
        "DARI-APT-CONFLICT",
        Severity.ERROR,
        f"{candidate.name} {candidate.version} can't be installed beside {other}: it excludes {relation}",
        cause=candidate.name,
        ways_out=_WAYS_OUT,
    )


def _unsatisfied(
    universe: Universe, chosen: Chosen, dependent: Candidate, alternatives: tuple[Relation, ...]
) -> Finding:
    wanted = " | ".join(map(str, alternatives))
    present = next(filter(None, (universe.installed_as(relation.name) for relation in alternatives)), None)
    if present:
        return Finding(
            "DARI-APT-UPGRADE",
            Severity.ERROR,
            f"{dependent.name} {dependent.version} needs {wanted}, but the base has {present.name} {present.version}",
            cause=dependent.name,
            ways_out=_WAYS_OUT,
        )
    picked = next(filter(None, (chosen.get(relation.name) for relation in alternatives)), None)
    reason = f"but {picked.name} {picked.version} was chosen" if picked else "which no source has"
    return Finding(
        "DARI-APT-UNSATISFIABLE",
        Severity.ERROR,
        f"{dependent.name} {dependent.version} needs {wanted}, {reason}",
        cause=dependent.name,
        ways_out=_WAYS_OUT,
    )
