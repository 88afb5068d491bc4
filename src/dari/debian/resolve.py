"""From the names a project asks for to the files to unpack."""

import re
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from typing import Final

from dari.debian.closure import Blocked, Chosen, edges, with_candidate
from dari.debian.index import Candidate, Index, fetch_indices
from dari.debian.release import fetch_release
from dari.debian.universe import Universe
from dari.errors import ConflictError, OutsideError, UsageError
from dari.system import Store
from dari.values.debian import Relation
from dari.values.fetch import Fetcher
from dari.values.inventory import AptSource, DebianPackage
from dari.values.lock import LockedDeb
from dari.values.platform import Platform
from dari.values.project import SCRATCH

_REQUEST: Final = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?:=(?P<version>[A-Za-z0-9.+~:-]+))?")
# Says that the root is merged-/usr, which a root made by dari is (root.py); without it usrmerge would be chosen,
# whose scripts move directories about.
_MERGED: Final = "usr-is-merged"


@dataclass(frozen=True, slots=True)
class _Request:
    text: str
    name: str
    version: str

    @property
    def relation(self) -> Relation:
        return Relation(self.name, "", "=" if self.version else "", self.version)


def resolve(
    requests: tuple[str, ...],
    *,
    sources: tuple[AptSource, ...],
    installed: tuple[DebianPackage, ...],
    platform: Platform,
    fetcher: Fetcher,
    store: Store,
) -> tuple[LockedDeb, ...]:
    """Return what to unpack so that `requests` work beside `installed`, sorted by name.

    A request is `name` or `name=version`. With nothing installed (an image from scratch) every Essential package
    comes along, as Debian Policy 3.8 lets all others rely on them; their `required_by` says 'scratch'.
    Raises `UsageError` (DARI-APT-REQUEST, DARI-APT-UNKNOWN, DARI-APT-NO-SOURCE), `ConflictError` (DARI-APT-CONFLICT,
    DARI-APT-UPGRADE, DARI-APT-UNSATISFIABLE), `OutsideError` and `IntegrityError` as `fetch_release` does.
    """
    wanted = tuple(_parsed(text) for text in requests)
    if not wanted and installed:
        return ()
    if not sources:
        raise UsageError(
            "DARI-APT-NO-SOURCE",
            "resolving Debian packages: no apt source is known",
            hint="neither the base nor (for scratch) this machine names one: add [[apt-sources]] to dari.toml",
        )
    universe = Universe(_indices(sources, platform, fetcher, store), installed, platform.debian)
    named = tuple((request, _named(universe, request)) for request in wanted)
    chosen = _chosen(universe, tuple((request, candidate) for request, candidate in named if candidate))
    return _locked(chosen, {request.name: each.name for request, each in named if each}, scratch=not installed)


def _parsed(text: str) -> _Request:
    match = _REQUEST.fullmatch(text)
    if not match:
        foreign = re.fullmatch(r"([a-z0-9][a-z0-9+.-]*):[a-z0-9-]+", text)
        hint = f"packages are of the image's own architecture: write {foreign[1]!r}" if foreign else ""
        raise UsageError(
            "DARI-APT-REQUEST",
            f"reading `apt`: {text!r} is neither 'name' nor 'name=version'",
            hint=hint or "lower-case letters, digits and + . - as Debian names its packages",
        )
    return _Request(text, match["name"], match["version"] or "")


def _indices(sources: tuple[AptSource, ...], platform: Platform, fetcher: Fetcher, store: Store) -> tuple[Index, ...]:
    """Fetch all sources side by side. A third party's archive that doesn't answer is passed over, as apt does.

    A third party is one that shares no keyring with any archive that did answer.
    """

    def one(source: AptSource) -> tuple[Index, ...] | OutsideError:
        try:
            return fetch_indices(fetch_release(source, fetcher=fetcher, store=store), platform.debian, fetcher)
        except OutsideError as error:
            return error

    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = tuple(zip(sources, pool.map(one, sources), strict=True))
    answering = {source.keyring for source, answer in answers if not isinstance(answer, OutsideError)}
    indices: list[Index] = []
    for source, answer in answers:
        if not isinstance(answer, OutsideError):
            indices.extend(answer)
        elif not answering or source.keyring in answering:
            raise answer
    return tuple(indices)


def _named(universe: Universe, request: _Request) -> Candidate | None:
    """Return the package that a request means; None where the base has it."""
    if present := universe.installed_as(request.name):
        if request.version and request.version != present.version:
            raise ConflictError(
                "DARI-APT-UPGRADE",
                f"installing {request.text}: the base has {present.name} {present.version}",
                hint="leave the version out, use another base, or build with a container engine",
            )
        return None
    candidates = universe.named(request.name) or _only_provider(universe, request)
    if not candidates:
        raise UsageError(
            "DARI-APT-UNKNOWN", f"resolving {request.text!r}: no source has this package", hint=_hint(universe, request)
        )
    for candidate in candidates:
        if not request.version or candidate.version.text == request.version:
            return candidate
    offered = ", ".join(dict.fromkeys(candidate.version.text for candidate in candidates))
    raise UsageError(
        "DARI-APT-UNKNOWN", f"resolving {request.text!r}: no source has this version", hint=f"there is {offered}"
    )


def _only_provider(universe: Universe, request: _Request) -> tuple[Candidate, ...]:
    providers = universe.providing(request.relation)
    if len(providers) > 1:
        raise UsageError(
            "DARI-APT-UNKNOWN",
            f"resolving {request.text!r}: this is a virtual package",
            hint=f"choose one of {', '.join(provider.name for provider in providers[:12])}",
        )
    return providers


def _hint(universe: Universe, request: _Request) -> str:
    table = tomllib.loads(resources.files("dari.debian").joinpath("data/renamed.toml").read_text("utf-8"))
    known = table.get(request.name)
    if known and (there := [name for name in known["use"] if universe.named(name)]):
        return f"use {there[0]!r}: {known['why']}"
    names = {
        name
        for index in universe.indices
        for name in index.names()
        if name[:2] == request.name[:2] and abs(len(name) - len(request.name)) < 4  # noqa: PLR2004 - a few letters
    }
    near = get_close_matches(request.name, sorted(names), n=3, cutoff=0.7)
    return f"did you mean {', '.join(near)}?" if near else "search for it on packages.debian.org or packages.ubuntu.com"


def _chosen(universe: Universe, named: tuple[tuple[_Request, Candidate], ...]) -> Chosen:
    wanted = [candidate for _, candidate in named]
    if not universe.installed:
        wanted = [*universe.named(_MERGED)[:1], *universe.essential(), *wanted]
    chosen: Chosen = {}
    failed: dict[Candidate, Blocked] = {}
    pinned = {candidate.name for request, candidate in named if request.version}
    for first in sorted(wanted, key=lambda candidate: candidate.name not in pinned):
        offered = (first,) if first.name in pinned else (first, *universe.named(first.name)[1:])
        chosen = _with_first(universe, chosen, offered, failed)
    return chosen


def _with_first(
    universe: Universe, chosen: Chosen, offered: tuple[Candidate, ...], failed: dict[Candidate, Blocked]
) -> Chosen:
    reasons: list[Blocked] = []
    for candidate in offered:
        try:
            return with_candidate(universe, chosen, candidate, failed)
        except Blocked as blocked:
            reasons.append(blocked)
    first = reasons[0].finding
    raise ConflictError(
        first.id,
        f"installing {offered[0].name}: {first.message}",
        hint=f"ways out: {'; '.join(first.ways_out)}",
        findings=(first,),
    ) from reasons[0]


def _locked(chosen: Chosen, requested: Mapping[str, str], *, scratch: bool) -> tuple[LockedDeb, ...]:
    """`requested` maps what the project asked for to the package that answers it."""
    causes: dict[str, set[str]] = {name: set() for name in chosen}
    graph = edges(chosen)
    for request, start in sorted(requested.items()):
        pending = [start]
        while pending:
            name = pending.pop()
            if name in causes and request not in causes[name]:
                causes[name].add(request)
                pending.extend(graph[name])
    return tuple(
        LockedDeb(
            candidate.name,
            candidate.version.text,
            candidate.architecture,
            candidate.url,
            candidate.digest,
            candidate.size,
            tuple(sorted(causes[candidate.name])) or ((SCRATCH,) if scratch else ()),
        )
        for candidate in sorted(chosen.values(), key=lambda candidate: candidate.name)
    )
