"""Which versions the base holds back: a resolver with pinned packages goes to older versions and says nothing."""

from collections import deque
from collections.abc import Mapping

from packaging.utils import canonicalize_name
from packaging.version import Version

from dari.lock.files import Release
from dari.lock.given import BasePython
from dari.lock.graph import applies, parsed_lines
from dari.lock.metadata import requirements_of
from dari.lock.unwritten import unwritten
from dari.lock.workbench import Workbench
from dari.values.lock import HeldBack


def lower_than(versions: Mapping[str, str], without: Mapping[str, str]) -> Mapping[str, str]:
    """Return the names that would have a newer version without the base, with that version."""
    return {
        name: without[name]
        for name, version in sorted(versions.items())
        if name in without and Version(without[name]) > Version(version)
    }


def causes(
    newer: Mapping[str, str],
    candidates: tuple[Release, ...],
    base: BasePython,
    values: Mapping[str, str],
    bench: Workbench,
) -> Mapping[str, str]:
    """Return, for each held-back name, the base's versions that its newer version can't live with.

    `candidates` are the releases that the project would get without the base: the reason may lie several
    requirements further on. Metadata is read only along those ways.
    """
    files = {release.name: release.wheel for release in candidates if release.wheel}
    versions = {release.name: release.version for release in candidates}
    requires: dict[str, tuple[str, ...]] = {}
    found: dict[str, str] = {}
    for name in newer:
        waiting, seen = deque([name]), {name}
        while waiting and name not in found:
            batch = {each: files[each] for each in waiting if each in files and each not in requires}
            for each, lines in requirements_of(batch, bench).items():
                requires[each] = (*lines, *unwritten(each, versions[each]))
            following: deque[str] = deque()
            for each in waiting:
                for requirement in parsed_lines(requires.get(each, ())):
                    if not applies(requirement, values):
                        continue
                    wanted = canonicalize_name(requirement.name)
                    held = base.held.get(wanted)
                    if held and not requirement.specifier.contains(held.version, prereleases=True):
                        by = "" if each == name else f" (through {each})"
                        found.setdefault(
                            name, f"{wanted} is {held.shown} in the base, and {requirement.specifier} is needed{by}"
                        )
                    elif held is None and wanted not in seen:
                        seen.add(wanted)
                        following.append(wanted)
            waiting = following
    return found


def held_back(
    versions: Mapping[str, str],
    newer: Mapping[str, str],
    because: Mapping[str, str],
    chosen: Mapping[str, tuple[str, ...]],
    later: Mapping[str, tuple[str, ...]],
) -> tuple[HeldBack, ...]:
    """Put together what is reported. `chosen` and `later` are what the old and the new versions require.

    Where the base isn't the reason by itself, it is another version that the base holds back.
    """
    found: list[HeldBack] = []
    for name, without in newer.items():
        reason = because.get(name) or _wants_old(name, without, chosen) or _wants_new(name, versions, newer, later)
        reason = reason or "the base's pins leave no newer one; which of them, its metadata doesn't say"
        found.append(HeldBack(name, versions[name], without, reason))
    return tuple(found)


def _wants_old(name: str, without: str, chosen: Mapping[str, tuple[str, ...]]) -> str:
    for other, lines in chosen.items():
        for requirement in parsed_lines(lines):
            wanted = canonicalize_name(requirement.name) == name
            if wanted and not requirement.specifier.contains(without, prereleases=True):
                return f"{other}, which is held back itself, needs {requirement.specifier}"
    return ""


def _wants_new(
    name: str, versions: Mapping[str, str], newer: Mapping[str, str], later: Mapping[str, tuple[str, ...]]
) -> str:
    for requirement in parsed_lines(later.get(name, ())):
        other = canonicalize_name(requirement.name)
        if other in newer and not requirement.specifier.contains(versions[other], prereleases=True):
            return f"{other}, which is held back itself, is {versions[other]}, and {requirement.specifier} is needed"
    return ""
