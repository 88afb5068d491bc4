"""Lock → Parts: the content of the image to be, by cause, each opened only when its layer isn't cached."""

import re
from dataclasses import dataclass
from functools import cached_property

from packaging.utils import canonicalize_name

from dari.debian import root_part
from dari.errors import UsageError
from dari.flow.inventories import inventory_of
from dari.flow.packages import package_parts
from dari.flow.session import Session
from dari.flow.wheels import part_of, wheel_files
from dari.survey import project_parts
from dari.values.entry import Part
from dari.values.image import Image
from dari.values.inventory import Inventory
from dari.values.lock import LockedWheel, PlatformLock
from dari.values.project import Project
from dari.values.reference import Location
from dari.wheels import replaced_part


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that goes on the base, lowest first: a root (for scratch), Debian packages, wheels, files."""

    root: tuple[Part, ...]
    debs: tuple[Part, ...]
    records: tuple[Part, ...]  # what configuring the Debian packages makes and changes
    replaced: tuple[Part, ...]  # whiteouts of base distributions that `allow` replaces
    wheels: tuple[Part, ...]
    files: tuple[Part, ...]
    causes: dict[str, str]  # part name → the requirement, apt package or file that brought it

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, lowest first."""
        return (*self.root, *self.debs, *self.records, *self.replaced, *self.wheels, *self.files)


@dataclass(frozen=True)
class Base:
    """The base to build on; its inventory is read only by what needs it."""

    location: Location | None
    image: Image | None
    session: Session

    @cached_property
    def inventory(self) -> Inventory | None:
        """What is in the base; None for scratch."""
        if self.image is None or self.location is None:
            return None
        return inventory_of(self.image, self.location, self.session)


def content(project: Project, lock: PlatformLock, base: Base, session: Session) -> Content:
    """Fetch what the lock names (from the cache, where it is there) and describe it as parts."""
    wheels = _wheels(project, lock, session)
    debs, records = package_parts(lock.debs, base.inventory if lock.debs else None, lock.platform, session)
    causes = {part.name: ", ".join(wheel.required_by) for part, wheel in zip(wheels, lock.wheels, strict=True)}
    return Content(
        root=(root_part(lock.platform),) if base.image is None else (),
        debs=debs,
        records=records,
        replaced=_replaced(project, lock, base),
        wheels=wheels,
        files=project_parts(project, session.store),
        causes=causes,
    )


def _wheels(project: Project, lock: PlatformLock, session: Session) -> tuple[Part, ...]:
    if not lock.wheels:
        return ()
    if lock.python is None:
        raise UsageError("DARI-BASE-NO-PYTHON", "dari.lock has wheels but no Python", hint="run `dari lock --upgrade`")
    wheel_files(project, lock.wheels, session)
    return tuple(part_of(project, wheel, lock.python, session, requested=_is_requested(wheel)) for wheel in lock.wheels)


def _replaced(project: Project, lock: PlatformLock, base: Base) -> tuple[Part, ...]:
    """Return the whiteouts of base distributions that the project replaces on purpose."""
    allowed = {canonicalize_name(name) for name in project.lock.allow}
    names = tuple(wheel.name for wheel in lock.wheels if canonicalize_name(wheel.name) in allowed)
    if not names or lock.python is None or base.inventory is None:
        return ()
    part = replaced_part(base.inventory, names, lock.python)
    return (part,) if part else ()


def _is_requested(wheel: LockedWheel) -> bool:
    """Say whether the project itself names this distribution (PEP 376's REQUESTED)."""
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in wheel.required_by)
    return any(name is not None and canonicalize_name(name[0]) == canonicalize_name(wheel.name) for name in names)
