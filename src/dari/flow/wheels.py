"""Locked wheels → files in the cache: downloaded, or built once where the project allows it."""

from collections.abc import Sequence
from pathlib import Path

from dari.flow.session import Session
from dari.lock import build_wheel, is_built, wheel_address
from dari.values.lock import LockedWheel
from dari.values.project import Project


def wheel_files(project: Project, wheels: Sequence[LockedWheel], session: Session) -> tuple[Path, ...]:
    """Return each wheel's path in the cache; what isn't there is fetched, several at once."""

    def fetched(wheel: LockedWheel) -> Path:
        if session.store.holds(wheel.digest, wheel.size):
            return session.store.path(wheel.digest)
        if is_built(wheel):
            return build_wheel(wheel, project.folder, session.bench)
        address = wheel_address(wheel, project.folder)
        return session.downloads.fetch(address, wheel.digest, size=wheel.size, label=wheel.filename)

    return session.together(fetched, wheels)
