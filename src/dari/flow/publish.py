"""Images → their destination: a registry, a layout, an archive."""

from collections.abc import Sequence
from dataclasses import dataclass

from dari.errors import UsageError
from dari.flow.push import send
from dari.flow.session import Session
from dari.image import write_archive, write_layout
from dari.registry import PushReport
from dari.values.digest import Digest
from dari.values.image import Image
from dari.values.platform import Platform
from dari.values.reference import Archive, Layout, Location, Reference


@dataclass(frozen=True, slots=True)
class Publication:
    """Where an image went; `pushed` for a registry, `sparse` for a layout without the base's layers."""

    location: Location
    digest: Digest
    pushed: PushReport | None = None
    sparse: bool = False


def publish(images: Sequence[Image], to: Location, session: Session, *, complete: bool) -> Publication:
    """Write images (one a platform) to their destination; several become an index."""
    match to:
        case Reference():
            sent = send(tuple(images), to, session)
            return Publication(to, sent.digest, sent)
        case Layout():
            written = write_layout(to, tuple(images), complete=complete, progress=session.progress)
            sparse = not complete and any(layer.origin for image in images for layer in image.layers)
            return Publication(to, written.digest, sparse=sparse)
        case Archive():
            write_archive(to, images[0], session.progress)
            return Publication(to, images[0].config.digest)


def refuse_platforms(to: Location, platforms: Sequence[Platform]) -> None:
    """Raise `UsageError` (DARI-PLATFORM-ARCHIVE) where the destination can't hold so many platforms."""
    if isinstance(to, Archive) and len(set(platforms)) > 1:
        raise UsageError(
            "DARI-PLATFORM-ARCHIVE",
            f"writing {to}: an archive holds one platform, not {len(set(platforms))}",
            hint="build one an archive, or all of them to oci:PATH",
        )
