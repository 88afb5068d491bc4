"""Project → Lock: kept while nothing changes, else resolved anew and written down."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dari.errors import UsageError
from dari.flow.lock_report import lock_report
from dari.flow.resolving import resolve_platform
from dari.flow.session import Session
from dari.flow.sources import base_location, pin
from dari.lock import inputs_digest, read_lock, write_lock
from dari.survey import host_platform, read_project
from dari.system import write_atomically
from dari.values.digest import Digest
from dari.values.finding import Finding
from dari.values.lock import Lock, PlatformLock
from dari.values.platform import Platform
from dari.values.project import SCRATCH, Project
from dari.values.reference import Location, Reference
from dari.values.report import Report

FILE_NAME: Final = "dari.lock"


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock, and what resolving it found (warnings and notes): nothing where it was up to date."""

    lock: Lock
    findings: tuple[Finding, ...] = ()
    written: bool = False


def lock(folder: Path, platforms: tuple[Platform, ...], session: Session, *, upgrade: bool = False) -> Report:
    """Bring dari.lock up to date and tell what is in it."""
    project = read_project(folder)
    outcome = locked(project, wanted_platforms(project, platforms), session, upgrade=upgrade)
    return lock_report(folder / FILE_NAME, outcome.lock, written=outcome.written, findings=outcome.findings)


def wanted_platforms(project: Project, asked: tuple[Platform, ...]) -> tuple[Platform, ...]:
    """Return what to lock and build for: what was asked, else what the project says, else this machine's."""
    return asked or project.platforms or (host_platform(),)


def locked(
    project: Project,
    wanted: tuple[Platform, ...],
    session: Session,
    *,
    upgrade: bool = False,
    frozen: bool = False,
) -> Locked:
    """Return the project's lock, resolving only what isn't up to date: unchanged, it takes no network.

    A platform that the lock lacks is added to it; the others stay. Raises `UsageError` (DARI-LOCK-STALE) where the
    lock would have to be written and `frozen` forbids it.
    """
    path = project.folder / FILE_NAME
    inputs = _inputs(project)
    present = read_lock(path.read_bytes(), str(path)) if path.exists() else None
    kept = {one.platform: one for one in present.platforms} if present and present.inputs == inputs else {}
    if present and kept and kept.keys() >= set(wanted) and not upgrade:
        return Locked(present)
    if frozen:
        lacking = ", ".join(str(one) for one in wanted if one not in kept)
        state = f"lacks {lacking}" if kept else "belongs to other inputs" if present else "is missing"
        raise UsageError("DARI-LOCK-STALE", f"{path} {state}", hint="run `dari lock`, review the change, commit it")
    base = _base(project, None if upgrade else present, session)
    covered = {one.platform for one in present.platforms} if present else set()
    resolved: dict[Platform, tuple[PlatformLock, tuple[Finding, ...]]] = {}
    for one in sorted({*wanted, *project.platforms, *covered}):
        reuse = kept.get(one) if not upgrade else None
        resolved[one] = (reuse, ()) if reuse else resolve_platform(project, base, one, session)
    result = Lock(inputs, _name(project, base), tuple(one for one, _ in resolved.values()))
    write_atomically(path, write_lock(result))
    findings = tuple(finding for _, found in resolved.values() for finding in found)
    return Locked(result, findings, written=True)


def _base(project: Project, present: Lock | None, session: Session) -> Location | None:
    """Pin the base; a lock that was made for the same reference keeps its digest until --upgrade."""
    if project.base == SCRATCH:
        return None
    location = base_location(project, project.base)
    if present and present.base.startswith(f"{location}@"):
        return base_location(project, present.base)
    return pin(location, session)


def _name(project: Project, base: Location | None) -> str:
    """Return the base as the lock writes it: a pinned reference, or what dari.toml says of a place on this disk."""
    return str(base) if isinstance(base, Reference) else project.base


def _inputs(project: Project) -> Digest:
    """Digest what the lock is resolved from. Platforms don't count: a lock may cover more than today's."""
    sources = tuple(
        f"{source.uri} {source.suite} {' '.join(source.components)} {Digest.of(source.keyring)}"
        for source in project.apt_sources
    )
    return inputs_digest(replace(project, platforms=()), base=project.base, sources=sources)
