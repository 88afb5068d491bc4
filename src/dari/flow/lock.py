"""Project → Lock: what the base lacks, resolved, looked into, and written down."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dari.bases import scratch_inventory
from dari.debian import python_target
from dari.debian import resolve as resolve_debs
from dari.errors import ConflictError, UsageError
from dari.flow.inventories import inventory_of
from dari.flow.packages import refuse_scripts
from dari.flow.session import Session
from dari.flow.sources import open_pinned, pin
from dari.flow.wheels import wheel_files
from dari.lock import inputs_digest, read_lock, resolve, write_lock
from dari.proof import check_binaries
from dari.survey import host_apt_sources, host_platform, read_project
from dari.system import write_atomically
from dari.values.amounts import bytes_text, plural
from dari.values.digest import Digest
from dari.values.fact import Known
from dari.values.finding import Finding, Severity
from dari.values.image import Image
from dari.values.inventory import Inventory
from dari.values.lock import Lock, LockedDeb, PlatformLock, PythonResolution
from dari.values.platform import Platform
from dari.values.project import SCRATCH, Project
from dari.values.python import PythonTarget
from dari.values.reference import Location, parse_location
from dari.values.report import Report, Section
from dari.wheels import inspect_wheel

FILE_NAME: Final = "dari.lock"


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock, and what resolving it found; nothing was found where it was up to date."""

    lock: Lock
    written: bool = False
    findings: tuple[Finding, ...] = ()


def lock(folder: Path, platforms: tuple[Platform, ...], session: Session, *, upgrade: bool = False) -> Report:
    """Bring dari.lock up to date and tell what is in it."""
    project = read_project(folder)
    return _report(project, locked(project, platforms, session, upgrade=upgrade))


def locked(
    project: Project,
    platforms: tuple[Platform, ...],
    session: Session,
    *,
    upgrade: bool = False,
    frozen: bool = False,
) -> Locked:
    """Return the project's lock, resolving it only where it isn't up to date: unchanged, it takes no network.

    Raises `UsageError` (DARI-LOCK-STALE) where it would have to be written and `frozen` forbids it.
    """
    wanted = platforms or project.platforms or (host_platform(),)
    path = project.folder / FILE_NAME
    inputs = _inputs(project)
    present = read_lock(path.read_bytes(), str(path)) if path.exists() else None
    covered = {one.platform for one in present.platforms} if present else set()
    if present and present.inputs == inputs and covered >= set(wanted) and not upgrade:
        return Locked(present)
    if frozen:
        state = "belongs to other inputs" if present else "is missing"
        raise UsageError("DARI-LOCK-STALE", f"{path} {state}", hint="run `dari lock`, review the change, commit it")
    base = _base(project, present if present and not upgrade else None, session)
    everything = tuple(sorted({*wanted, *project.platforms}))
    resolved = tuple(_platform(project, base, one, session) for one in everything)
    result = Lock(inputs, str(base or SCRATCH), tuple(one for one, _ in resolved))
    write_atomically(path, write_lock(result))
    return Locked(result, written=True, findings=tuple(finding for _, findings in resolved for finding in findings))


def _base(project: Project, present: Lock | None, session: Session) -> Location | None:
    """Pin the base; a lock that was made for the same reference keeps its digest until --upgrade."""
    if project.base == SCRATCH:
        return None
    location = parse_location(project.base)
    if present and present.base.startswith(f"{location}@"):
        return parse_location(present.base)
    return pin(location, session)


def _platform(
    project: Project, base: Location | None, platform: Platform, session: Session
) -> tuple[PlatformLock, tuple[Finding, ...]]:
    image = open_pinned(base, platform, session) if base else None
    inventory = _inventory(project, base, image, platform, session)
    debs = _debs(project, inventory, platform, session)
    target = inventory.python.value if isinstance(inventory.python, Known) else python_target(debs, platform)
    python = target if isinstance(target, PythonTarget) else None
    result, findings = _resolved(project, python, inventory, session)
    return PlatformLock(
        platform=platform,
        manifest=image.digest if image else None,
        python=python,
        wheels=result.wheels,
        debs=debs,
        given=result.given,
        held_back=result.held_back,
    ), findings


def _inventory(
    project: Project, base: Location | None, image: Image | None, platform: Platform, session: Session
) -> Inventory:
    if base and image:
        return inventory_of(image, base, session)
    return scratch_inventory(platform, project.apt_sources or host_apt_sources())


def _debs(project: Project, inventory: Inventory, platform: Platform, session: Session) -> tuple[LockedDeb, ...]:
    if not project.apt:
        return ()
    debs = resolve_debs(
        project.apt,
        sources=project.apt_sources or inventory.apt_sources,
        installed=inventory.packages,
        platform=platform,
        fetcher=session.downloads,
        store=session.store,
    )
    refuse_scripts(debs, inventory, session, scratch=project.base == SCRATCH)
    return debs


def _resolved(
    project: Project, python: PythonTarget | None, inventory: Inventory, session: Session
) -> tuple[PythonResolution, tuple[Finding, ...]]:
    if not project.requirements and not project.dependencies:
        return PythonResolution((), (), ()), ()
    if python is None:
        raise UsageError(
            "DARI-BASE-NO-PYTHON",
            f"locking requirements for {project.base}: it has no Python",
            hint='add "python3" to `apt`, or choose a base with Python',
        )
    session.progress.say(f"resolving for Python {python.dotted} on {python.platform}")
    result = resolve(project, python, inventory, session.bench)
    return result, (*result.findings, *_binary_findings(project, result, inventory, python, session))


def _binary_findings(
    project: Project, resolution: PythonResolution, inventory: Inventory, target: PythonTarget, session: Session
) -> tuple[Finding, ...]:
    """Look into the wheels: what links against the base's GPU libraries must fit them."""
    if not inventory.libraries:
        return ()
    paths = wheel_files(project, resolution.wheels, session)
    contents = tuple(
        inspect_wheel(path, filename=wheel.filename, target=target)
        for path, wheel in zip(paths, resolution.wheels, strict=True)
    )
    findings = tuple(
        finding
        for number, one in enumerate(contents)
        for finding in check_binaries(
            one, resolution.wheels[number].required_by, inventory, contents[:number] + contents[number + 1 :]
        )
    )
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise ConflictError(
            "DARI-LOCK-BINARY",
            "a wheel's binaries do not fit the base's libraries",
            hint="the findings name the requirement and the ways out",
            findings=findings,
        )
    return findings


def _inputs(project: Project) -> Digest:
    """Digest what the lock is resolved from. Platforms don't count: a lock may cover more than today's."""
    sources = tuple(
        f"{source.uri} {source.suite} {' '.join(source.components)} {Digest.of(source.keyring)}"
        for source in project.apt_sources
    )
    return inputs_digest(replace(project, platforms=()), base=project.base, sources=sources)


def _report(project: Project, outcome: Locked) -> Report:
    found = outcome.lock
    sections = tuple(section for one in found.platforms for section in _sections(one))
    findings = tuple(
        Finding(
            "DARI-LOCK-HELD-BACK",
            Severity.WARNING,
            f"{held.name} {held.without_base} → {held.version}: {held.because}",
            ways_out=(f'allow = ["…"] for what holds it, or accept {held.version}',),
        )
        for one in found.platforms
        for held in one.held_back
    )
    document = {"path": str(project.folder / FILE_NAME), "changed": outcome.written, "base": found.base} | {
        "platforms": [_document(one) for one in found.platforms]
    }
    state = "written" if outcome.written else "up to date"
    return Report(
        "lock",
        f"{project.folder / FILE_NAME}: {state}, on {found.base}",
        document,
        sections,
        (*outcome.findings, *findings),
    )


def _sections(one: PlatformLock) -> tuple[Section, ...]:
    adds = (
        (plural(len(one.wheels), "wheel"), bytes_text(sum(wheel.size for wheel in one.wheels))),
        (plural(len(one.debs), "Debian package"), bytes_text(sum(deb.size for deb in one.debs))),
    )
    given = tuple((given.requirement, f"{given.name} {given.version}") for given in one.given)
    return (
        Section(f"{one.platform} adds", adds),
        *([Section("the base already satisfies", given)] if given else []),
    )


def _document(one: PlatformLock) -> dict[str, object]:
    return {
        "platform": str(one.platform),
        "manifest": str(one.manifest) if one.manifest else None,
        "python": one.python.dotted if one.python else None,
        "wheels": [{"name": w.name, "version": w.version, "size": w.size, "sha256": w.digest.hex} for w in one.wheels],
        "debs": [{"name": d.name, "version": d.version, "size": d.size, "sha256": d.digest.hex} for d in one.debs],
        "given": [{"requirement": g.requirement, "name": g.name, "version": g.version} for g in one.given],
        "held_back": [
            {"name": h.name, "version": h.version, "without_base": h.without_base, "because": h.because}
            for h in one.held_back
        ],
    }
