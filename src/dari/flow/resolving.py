"""One platform's lock: the base's inventory, the Debian packages, the wheels, and whether their binaries fit."""

from dari.bases import scratch_inventory
from dari.debian import python_target
from dari.debian import resolve as resolve_debs
from dari.errors import ConflictError, UsageError
from dari.flow.inventories import inventory_of
from dari.flow.packages import refuse_scripts
from dari.flow.session import Session
from dari.flow.sources import open_pinned
from dari.flow.wheels import sound_wheel, wheel_files
from dari.lock import resolve
from dari.proof import check_binaries
from dari.survey import host_apt_sources
from dari.values.fact import Known
from dari.values.finding import Finding, Severity
from dari.values.image import Image
from dari.values.inventory import Inventory
from dari.values.lock import LockedDeb, PlatformLock, PythonResolution
from dari.values.platform import Platform
from dari.values.project import SCRATCH, Project
from dari.values.python import PythonTarget
from dari.values.reference import Location
from dari.wheels import inspect_wheel


def resolve_platform(
    project: Project, base: Location | None, platform: Platform, session: Session
) -> tuple[PlatformLock, tuple[Finding, ...]]:
    """Resolve what one platform's image needs on its base; the findings are warnings and notes."""
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
    if project.base != SCRATCH and not inventory.packages:
        raise UsageError(
            "DARI-BASE-NO-DPKG",
            f"locking `apt` for {project.base}: it has no record of Debian packages",
            hint="leave `apt` out, or choose a Debian or Ubuntu base",
        )
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
    wheel_files(project, resolution.wheels, session)
    contents = tuple(
        inspect_wheel(sound_wheel(project, wheel, session), filename=wheel.filename, target=target)
        for wheel in resolution.wheels
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
