"""Whether what a build adds leaves the base's GPU stack alone: no path replaced, removed, shadowed or outvoted.

Whiteouts are those of the OCI image-spec (layer.md): `.wh.NAME`, and `.wh..wh..opq` for a whole directory.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dari.proof.guard import NAMESPACES, Guard, guard, import_name, library_stem, metadata_name, parents
from dari.values.finding import Finding, Severity
from dari.values.inventory import Inventory
from dari.values.protection import is_gpu_library

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_STEERING: Final = re.compile(
    r"etc/ld\.so\.(?:preload|conf|conf\.d/.+)|etc/pip(?:\.conf|/(?:original_)?constraint\.txt)"
    r"|(?:.*/)?(?:site|user)customize(?:\.py|/__init__\.py)"
)
_PATH_FILE: Final = re.compile(r"[^/]+\.pth")
# Set-up code of setuptools, and namespace packages of old: neither reorders sys.path.
_HARMLESS_PATH_FILE: Final = re.compile(r"distutils-precedence\.pth|.+-nspkg\.pth")
_WAYS_OUT: Final = (
    "leave it out: `skip` in dari.toml for a requirement, else take it off `apt` or `files`",
    "replace the base's distribution on purpose: `allow` in dari.toml",
    "choose a base that has what you need",
)


@dataclass(frozen=True, slots=True)
class _Offence:
    """One path that does something to the base. `subject` says to what: offences alike are told together."""

    id: str
    severity: Severity
    subject: str
    path: str


def check_paths(
    parts: Mapping[str, tuple[str, ...]], inventory: Inventory, *, allow: tuple[str, ...] = ()
) -> tuple[Finding, ...]:
    """Judge what each cause (a requirement, an apt package, a file) puts into the image, one finding for each kind.

    Paths are relative to the root: of files, links and whiteouts. A directory ends with '/', or is seen to be one
    because the same cause puts something below it: making one that exists changes nothing. `allow` holds normalised
    names of distributions that the project replaces on purpose.

    Errors: DARI-PROOF-REPLACES, -REMOVES, -SHADOWS, -LOADER. Warnings: DARI-PROOF-STEERS, -PRIVATE, and -LOADER where
    the base has no such library. A base with nothing to protect has no findings.
    """
    kept = guard(inventory, allow)
    if not kept.owners:
        return ()
    findings: list[Finding] = []
    for cause, paths in sorted(parts.items()):
        groups: dict[tuple[str, Severity, str], list[str]] = {}
        for offence in _offences(paths, kept):
            groups.setdefault((offence.id, offence.severity, offence.subject), []).append(offence.path)
        findings += [_finding(cause, *group, sorted(found)) for group, found in sorted(groups.items())]
    return tuple(findings)


def _offences(paths: Iterable[str], kept: Guard) -> Iterator[_Offence]:
    plain = {path.strip("/") for path in paths if not path.endswith("/")}
    above = {parent for path in plain for parent in parents(path)}
    for path in sorted(plain - above):
        place = kept.links.place(path)
        judges: tuple[Callable[[str, Guard], _Offence | None], ...] = (_removes, _replaces, _shadows, _loads, _steers)
        first = next((found for judge in judges if (found := judge(place, kept))), None)
        if first:
            yield first


def _removes(place: str, kept: Guard) -> _Offence | None:
    folder, _, name = place.rpartition("/")
    if not name.startswith(_WHITEOUT):
        return None
    target = folder if name == _OPAQUE else f"{folder}/{name.removeprefix(_WHITEOUT)}".lstrip("/")
    hit = target in kept.owners or target in kept.directories or not target
    return _Offence("DARI-PROOF-REMOVES", Severity.ERROR, _whose(target, kept), place) if hit else None


def _replaces(place: str, kept: Guard) -> _Offence | None:
    if place in kept.owners or place in kept.directories:
        return _Offence("DARI-PROOF-REPLACES", Severity.ERROR, _whose(place, kept), place)
    under = next((top for top in parents(place) if top in kept.owners and top not in kept.directories), None)
    return _Offence("DARI-PROOF-REPLACES", Severity.ERROR, _whose(under, kept), place) if under else None


def _shadows(place: str, kept: Guard) -> _Offence | None:
    for rank, site in enumerate(kept.sites):
        if not place.startswith(site + "/"):
            continue
        inside = place.removeprefix(site + "/")
        owner = kept.distributions.get(metadata_name(inside), "")
        name = import_name(inside)
        if name in NAMESPACES:  # an __init__.py there hides every other part of the namespace
            owner = next((whose for key, (_, whose) in sorted(kept.imports.items()) if key.startswith(name + "/")), "")
        elif name in kept.imports and rank <= kept.imports[name][0]:
            owner = kept.imports[name][1]
        if owner:
            return _Offence("DARI-PROOF-SHADOWS", Severity.ERROR, f"the base's {owner}", place)
    return None


def _loads(place: str, kept: Guard) -> _Offence | None:
    folder, _, name = place.rpartition("/")
    if not is_gpu_library(name) or name.endswith(".a"):
        return None
    stem = library_stem(name)
    if folder not in kept.loader:
        return _Offence("DARI-PROOF-PRIVATE", Severity.WARNING, "", place) if stem in kept.libraries else None
    severity = Severity.ERROR if stem in kept.libraries else Severity.WARNING
    return _Offence("DARI-PROOF-LOADER", severity, stem, place)


def _steers(place: str, kept: Guard) -> _Offence | None:
    folder, _, name = place.rpartition("/")
    path_file = folder in kept.sites and _PATH_FILE.fullmatch(name) and not _HARMLESS_PATH_FILE.fullmatch(name)
    if path_file or _STEERING.fullmatch(place):
        return _Offence("DARI-PROOF-STEERS", Severity.WARNING, "", place)
    return None


def _whose(place: str, kept: Guard) -> str:
    """Name what a place of the base belongs to: its distribution, or that of the first thing below it."""
    if place in kept.owners:
        return f"the base's {kept.owners[place]}" if kept.owners[place] else "the base's GPU stack"
    owners = {owner for path, owner in kept.owners.items() if owner and path.startswith(place + "/")}
    return f"the base's {min(owners)}" if owners else "the base's GPU stack"


def _finding(cause: str, id: str, severity: Severity, subject: str, paths: list[str]) -> Finding:
    shown = repr(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    told = {
        "DARI-PROOF-REMOVES": f"would remove {subject}: {shown}",
        "DARI-PROOF-REPLACES": f"would replace {subject}: {shown}",
        "DARI-PROOF-SHADOWS": f"would be imported instead of {subject}: {shown}",
        "DARI-PROOF-LOADER": f"puts {subject} where the loader looks for the base's GPU libraries: {shown}",
        "DARI-PROOF-PRIVATE": f"brings GPU libraries of its own beside the base's: {shown}",
        "DARI-PROOF-STEERS": f"changes how Python, pip or the loader find things: {shown}",
    }
    return Finding(
        id, severity, f"{cause} {told[id]}", paths[0], cause, _WAYS_OUT if severity is Severity.ERROR else ()
    )
