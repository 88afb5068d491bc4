"""`dari push`: an image from anywhere to a registry."""

from collections.abc import Sequence

from dari.flow.session import Session
from dari.flow.sources import blob_opener, open_image, platforms_of
from dari.image import read_layout_images
from dari.registry import PushReport
from dari.survey import host_platform
from dari.values.amounts import bytes_text
from dari.values.image import Image
from dari.values.manifest import Descriptor, Index
from dari.values.reference import Layout, Location, Reference
from dari.values.report import Report, Section


def push(source: Location, destination: Reference, session: Session) -> Report:
    """Send an image (all its platforms, from a layout) to a registry; only what is missing there."""
    sent = send(_images(source, session), destination, session)
    return Report("push", f"{destination}@{sent.digest}", push_document(sent), (Section("", push_rows(sent)),))


def _images(source: Location, session: Session) -> tuple[Image, ...]:
    if isinstance(source, Layout):
        return read_layout_images(source, remote=blob_opener(session))
    offered = platforms_of(source, session) or (host_platform(),)
    return tuple(open_image(source, platform, session) for platform in offered)


def send(images: tuple[Image, ...], destination: Reference, session: Session) -> PushReport:
    """Send one image, or several platforms' under one index."""
    if len(images) == 1:
        return session.client.push(images[0], destination)
    return session.client.push_index(_index_of(images), images, destination)


def _index_of(images: Sequence[Image]) -> Index:
    """Return the index of several platforms' images."""
    return Index.build(
        tuple(
            Descriptor(image.manifest.media_type, image.digest, len(image.manifest.raw), platform=image.config.platform)
            for image in images
        )
    )


def push_document(sent: PushReport) -> dict[str, object]:
    """Return a push as JSON: blobs are counted, each once; bytes are what went over the wire."""
    return {
        "reference": str(sent.reference),
        "digest": str(sent.digest),
        "unchanged": sent.unchanged,
        "blobs": {
            "existing": sent.existing,
            "mounted": sent.mounted,
            "uploaded": sent.uploaded,
            "copied": sent.copied,
        },
        "sent_bytes": sent.sent_bytes,
    }


def push_rows(sent: PushReport) -> tuple[tuple[str, str], ...]:
    """Return a push as two columns."""
    if sent.unchanged:
        return (("sent", "nothing: the registry has this image already"),)
    counts = {
        "uploaded": sent.uploaded,
        "copied from the base's registry": sent.copied,
        "mounted from another repository": sent.mounted,
        "there already": sent.existing,
    }
    shown = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return (("blobs", shown), ("sent", bytes_text(sent.sent_bytes)))
