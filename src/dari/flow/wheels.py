"""Locked wheels → files in the cache, and parts: downloaded, or built once where the project allows it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dari.errors import IntegrityError
from dari.flow.session import Session
from dari.lock import build_wheel, is_built, wheel_address
from dari.values.entry import Entry, Part
from dari.values.lock import LockedWheel
from dari.values.project import Project
from dari.values.python import PythonTarget
from dari.wheels import wheel_part


def wheel_files(project: Project, wheels: Sequence[LockedWheel], session: Session) -> tuple[Path, ...]:
    """Return each wheel's path in the cache; what isn't there is fetched, several at once."""

    def fetched(wheel: LockedWheel) -> Path:
        if session.store.holds(wheel.digest, wheel.size):
            return session.store.path(wheel.digest)
        path = _fetched(project, wheel, session)
        session.sound.add(wheel.digest)
        return path

    return session.together(fetched, wheels)


def _fetched(project: Project, wheel: LockedWheel, session: Session) -> Path:
    if is_built(wheel):
        return build_wheel(wheel, project.folder, session.bench)
    address = wheel_address(wheel, project.folder)
    return session.downloads.fetch(address, wheel.digest, size=wheel.size, label=wheel.filename)


def sound_wheel(project: Project, wheel: LockedWheel, session: Session) -> Path:
    """Return the wheel's path in the cache after its bytes were seen to be right: a rotten one is fetched again.

    Each is read once a run at most, and not at all where it has just been downloaded.
    """
    if wheel.digest not in session.sound:
        try:
            with session.store.open(wheel.digest) as chunks:
                for _ in chunks:
                    pass
        except (IntegrityError, FileNotFoundError):
            _fetched(project, wheel, session)
        session.sound.add(wheel.digest)
    return session.store.path(wheel.digest)


def part_of(project: Project, wheel: LockedWheel, target: PythonTarget, session: Session, *, requested: bool) -> Part:
    """Return what a wheel puts into the image; its bytes are verified when it is opened, for a layer to be made."""

    def described() -> Part:
        path = session.store.path(wheel.digest)
        return wheel_part(path, filename=wheel.filename, digest=wheel.digest, target=target, requested=requested)

    def entries() -> tuple[Entry, ...]:
        sound_wheel(project, wheel, session)
        return described().entries()

    try:
        part = described()
    except IntegrityError:  # of the wheel itself, or of this machine's copy
        sound_wheel(project, wheel, session)
        part = described()
    return replace(part, entries=entries)
