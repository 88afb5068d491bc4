"""From a project and a base to what has to be added: read, compare, ask uv, choose files, explain."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name

from dari.errors import ConflictError
from dari.lock.addresses import relative_address
from dari.lock.case import Case
from dari.lock.checks import broken_consumers, check_hashes, check_protected
from dari.lock.clash import own_clashes
from dari.lock.comparison import raise_with_reason, what_is_held_back
from dari.lock.files import File, Release
from dari.lock.given import base_python
from dari.lock.graph import Graph, applies, environment, walk
from dari.lock.metadata import requirements_of
from dari.lock.plan import Delta, delta_on, releases
from dari.lock.refusal import refusal
from dari.lock.requirements import Requested, read_requirements
from dari.lock.sdist import built, refused, sdist_from
from dari.lock.unwritten import kept_older, left_unmet, unmet
from dari.lock.uv import Uv
from dari.lock.workbench import Workbench
from dari.values.finding import Finding, Severity
from dari.values.inventory import Inventory
from dari.values.lock import Given, LockedWheel, PythonResolution
from dari.values.project import LockRules, Project
from dari.values.python import PythonTarget


def resolve(project: Project, target: PythonTarget, inventory: Inventory, bench: Workbench) -> PythonResolution:
    """Resolve a project's Python requirements on a base: what is added, what the base gives, what it holds back.

    The base's distributions are given: never installed, upgraded or shadowed, unless `allow` names them. An inventory
    without distributions (scratch) protects nothing. No network is used where `bench.offline`.

    Raises `UsageError`: DARI-LOCK-REQUIREMENT, DARI-LOCK-INCLUDE, DARI-LOCK-SOURCE, DARI-LOCK-UNKNOWN.
    `ConflictError`: DARI-LOCK-CLASH, DARI-LOCK-TOUCHED, DARI-LOCK-PROTECTED, DARI-LOCK-SDIST, DARI-LOCK-COMPILES,
    DARI-LOCK-BUILD. `IntegrityError`: DARI-LOCK-HASH, DARI-LOCK-WHEEL. `OutsideError`: DARI-LOCK-INDEX,
    DARI-LOCK-OFFLINE, DARI-LOCK-UV, DARI-LOCK-PYLOCK, DARI-PROGRAM-TIMEOUT.
    """
    requested, notes = _wanted(read_requirements(project), project.lock, environment(target))
    base = base_python(inventory, target, project.lock)
    if clashes := own_clashes(requested, base):
        raise refusal("resolving the requirements", clashes)
    if not requested.lines:
        return PythonResolution((), (), (), notes)
    bench.work.mkdir(parents=True, exist_ok=True)
    permitted = tuple(canonicalize_name(name) for name in project.lock.build)
    with tempfile.TemporaryDirectory(dir=bench.work) as folder:
        uv = Uv(project.folder, Path(folder).resolve(), bench.offline, permitted, project.lock.exclude_newer)
        found = _resolved(Case(project, target, base, requested, bench, uv))
    return replace(found, findings=(*notes, *found.findings))


def _resolved(case: Case) -> PythonResolution:
    try:
        delta = delta_on(case.base, case.requested, case.target, case.uv)
    except ConflictError as error:
        raise_with_reason(case, error)
        raise
    delta = _as_it_runs(case, delta)
    chosen = releases(delta.versions, case.requested, case.target, case.uv)
    known = {release.name: release.wheel for release in chosen if release.wheel}
    graph = _graph(case, known)
    check_protected(tuple(delta.versions), case.base, case.rules, graph)
    try:
        files = _files(case, chosen, graph)
    except ConflictError as error:
        raise_with_reason(case, error)
        raise
    if files.keys() != known.keys():
        graph = _graph(case, files)
    check_hashes(case.requested.lines, files)
    held, held_notes = what_is_held_back(case, delta.versions, files)
    return PythonResolution(
        tuple(_wheel(case, name, delta.versions[name], file, graph) for name, file in sorted(files.items())),
        _given(case, delta),
        held,
        (*delta.findings, *broken_consumers(case.base, delta.versions, environment(case.target)), *held_notes),
    )


def _as_it_runs(case: Case, delta: Delta) -> Delta:
    """Go back to older versions of what needs more than its metadata says, where the requirements leave any."""
    found = unmet(delta.versions, case.base)
    if not found:
        return delta
    lines = (*case.base.constraints, *(each.constraint for each in found))
    try:
        older = delta_on(replace(case.base, constraints=lines), case.requested, case.target, case.uv)
    except ConflictError:
        return replace(delta, findings=(*delta.findings, *(left_unmet(each, case.base) for each in found)))
    notes = (kept_older(each, older.versions.get(each.need.name, "")) for each in found)
    return replace(older, findings=(*older.findings, *notes))


def _wanted(requested: Requested, rules: LockRules, values: Mapping[str, str]) -> tuple[Requested, tuple[Finding, ...]]:
    """Leave out what is skipped and what its marker leaves out."""
    skip = {canonicalize_name(name) for name in rules.skip}
    lines = tuple(line for line in requested.lines if applies(line.requirement, values))
    notes = tuple(
        Finding(
            "DARI-LOCK-SKIPPED",
            Severity.NOTE,
            f"{line.text} is left out",
            where=line.where,
            cause=f"skip names {line.name}",
            ways_out=("take it out of `skip` in dari.toml to have it resolved",),
        )
        for line in lines
        if line.name in skip
    )
    kept = tuple(line for line in lines if line.name not in skip)
    return replace(requested, lines=kept), notes


def _graph(case: Case, files: Mapping[str, File]) -> Graph:
    requires = {name: held.requires for name, held in case.base.held.items()}
    optional = {name: tuple(line for line in lines if "extra" in line) for name, lines in requires.items()}
    return walk(case.requested.lines, {**optional, **requirements_of(files, case.bench)}, environment(case.target))


def _files(case: Case, chosen: tuple[Release, ...], graph: Graph) -> Mapping[str, File]:
    """Return the wheel of each release; sdists are built where they may be, and refused together where not."""
    missing = tuple(release for release in chosen if release.wheel is None)
    may_build = set(case.uv.permitted)
    findings = tuple(
        refused(release, case.target, ", ".join(graph.required_by.get(release.name, ())))
        for release in missing
        if release.name not in may_build or release.sdist is None
    )
    if findings:
        raise refusal("choosing wheels", findings)
    files = {release.name: release.wheel for release in chosen if release.wheel}
    for release in missing:
        sdist = sdist_from(release, case.rules.exclude_newer, case.project.folder)
        files[release.name] = built(sdist, case.bench, case.project.folder)
    return files


def _given(case: Case, delta: Delta) -> tuple[Given, ...]:
    present = {**case.base.held, **case.base.released}
    return tuple(
        sorted(
            Given(line.name, str(present[line.name].shown), line.text)
            for line in case.requested.lines
            if line.name in present and line.name not in delta.versions
        )
    )


def _wheel(case: Case, name: str, version: str, file: File, graph: Graph) -> LockedWheel:
    size = file.size
    if size < 0:
        size = case.bench.fetcher.fetch(file.url, file.digest, label=file.filename).stat().st_size
    url = relative_address(file.url, case.project.folder)
    return LockedWheel(name, version, file.filename, url, file.digest, size, graph.required_by.get(name, ()))
