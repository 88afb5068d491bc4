"""Where images come from: any location, opened for one platform."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from dari.errors import OutsideError, UsageError
from dari.flow.session import Session
from dari.image import read_archive, read_layout, read_layout_index
from dari.values.image import Image
from dari.values.manifest import Descriptor, Index, Manifest
from dari.values.platform import Platform
from dari.values.project import Project
from dari.values.reference import Archive, Layout, Location, Reference, parse_location


def open_image(location: Location, platform: Platform, session: Session) -> Image:
    """Open one platform's image: manifest and config are read, layers only described."""
    match location:
        case Reference():
            return session.client.image(location, platform)
        case Layout():
            return read_layout(location, platform, remote=blob_opener(session))
        case Archive():
            return read_archive(location)


def blob_opener(session: Session) -> Callable[[Reference, Descriptor], AbstractContextManager[Iterator[bytes]]]:
    """Return what opens the layers that a sparse layout leaves in a registry; no client is made before one is asked."""

    def opened(reference: Reference, descriptor: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        return session.client.open_blob(reference, descriptor)

    return opened


def platforms_of(location: Location, session: Session) -> tuple[Platform, ...]:
    """List the platforms that an image exists for; empty where it is a single manifest."""
    top = _top(location, session)
    if not isinstance(top, Index):
        return ()
    return tuple(entry.platform for entry in top.manifests if entry.platform and entry.platform.os == "linux")


def _top(location: Location, session: Session) -> Manifest | Index | None:
    match location:
        case Reference():
            return session.client.manifest(location)
        case Layout():
            return read_layout_index(location)
        case Archive():
            return None


def base_location(project: Project, text: str) -> Location:
    """Read where a base is; a path on this disk is relative to the project."""
    location = parse_location(text)
    match location:
        case Reference():
            return location
        case Layout() | Archive():
            return replace(location, path=project.folder / location.path)


def pin(location: Location, session: Session) -> Location:
    """Return the location with the digest its tag has now. Raises `UsageError` where it doesn't exist."""
    if not isinstance(location, Reference) or location.digest:
        return location
    return location.at(session.client.manifest(location).digest)


def open_pinned(location: Location, platform: Platform, session: Session) -> Image:
    """Open a base as it was locked. Raises `OutsideError` (DARI-BASE-GONE) where the registry has lost it."""
    try:
        return open_image(location, platform, session)
    except UsageError as error:
        if not isinstance(location, Reference) or location.digest is None or error.id != "DARI-REGISTRY-TAG":
            raise
        raise OutsideError(
            "DARI-BASE-GONE",
            f"opening the locked base {location}: {error}",
            hint="`dari lock --upgrade` locks what the tag is now",
        ) from error
