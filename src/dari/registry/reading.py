"""Reading from a registry: manifests, configs, small blobs, and images whose layers are opened later.

Whatever is named by a digest is kept in the cache, so that a pinned base costs no network the second time.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from dari.errors import IntegrityError, OutsideError, UsageError
from dari.registry.layers import RemoteLayer
from dari.registry.refusals import NOT_FOUND, is_page, not_a_registry
from dari.registry.session import Session
from dari.registry.streams import verified
from dari.registry.transport import Response
from dari.registry.wire import length
from dari.system import Store
from dari.values import media
from dari.values.config import ImageConfig
from dari.values.digest import Digest
from dari.values.image import Image
from dari.values.malformed import Malformed
from dari.values.manifest import Descriptor, Index, Manifest, parse_manifest
from dari.values.platform import Platform
from dari.values.reference import Reference

# OCI distribution-spec, "Pulling manifests": registries should take at least 4 MiB; nobody takes much more.
MANIFEST_LIMIT: Final = 4 << 20
CONFIG_LIMIT: Final = 8 << 20
_ACCEPT: Final = {"Accept": ", ".join((*media.INDEXES, *media.MANIFESTS))}
_OK: Final = 200


def manifest(session: Session, reference: Reference) -> Manifest | Index:
    """Read a manifest or an index, from the cache where the reference has a digest and it is there.

    Raises `UsageError` (DARI-REGISTRY-TAG), `OutsideError`, `IntegrityError` (DARI-REGISTRY-DIGEST).
    """
    store = Store(session.settings.cache)
    raw, media_type = _cached(store, reference.digest), ""
    if raw is None:
        raw, media_type = session.persist(lambda: _fetch(session, reference))
    with readable(f"reading the manifest of {reference}"):
        found = parse_manifest(raw, media_type)
    store.put(raw)
    return found


def head(session: Session, reference: Reference) -> Descriptor | None:
    """Ask what a reference points at, without reading it; None where there is no such manifest. Not from the cache."""
    purpose = f"looking up {reference}"
    request = session.request("HEAD", reference, f"manifests/{reference.selector}", purpose, headers=_ACCEPT)

    def attempt() -> Descriptor | Response | None:
        with session.answered(request, reference, _OK, NOT_FOUND) as response:
            if response.status == NOT_FOUND:
                return None
            digest, size = _named_digest(response, purpose), length(response)
            media_type = response.header("Content-Type").partition(";")[0].strip()
            known = size >= 0 and media_type in (*media.MANIFESTS, *media.INDEXES)
            return Descriptor(media_type, digest, size) if digest and known else response

    found = session.persist(attempt)
    if isinstance(found, Response):  # it exists, but the registry leaves out what it is
        raw, media_type = session.persist(lambda: _fetch(session, reference))
        with readable(purpose):
            return parse_manifest(raw, media_type).descriptor
    return found


def image(session: Session, reference: Reference, platform: Platform) -> Image:
    """Read an image's manifest and config; its layers are described, not read.

    Raises as `manifest`, and `UsageError`: DARI-REGISTRY-PLATFORM where the image isn't there for `platform`,
    DARI-REGISTRY-ARTIFACT where the reference is something else than an image.
    """
    found = manifest(session, reference)
    if isinstance(found, Index):
        entry = found.select(platform)
        if entry is None:
            raise _other_platform(reference, platform, tuple(entry.platform for entry in found.manifests))
        reference = reference.at(entry.digest)
        found = manifest(session, reference)
    if isinstance(found, Index) or found.config.media_type not in {media.OCI_CONFIG, media.DOCKER_CONFIG}:
        kind = (
            "an index inside an index" if isinstance(found, Index) else found.artifact_type or found.config.media_type
        )
        raise UsageError(
            "DARI-REGISTRY-ARTIFACT",
            f"reading {reference}: it is not an image but {kind!r}",
            hint="name an image; dari inspect REF shows what a reference is",
        )
    raw = blob(session, reference, found.config, CONFIG_LIMIT)
    with readable(f"reading the config of {reference}"):
        config = ImageConfig.parse(raw)
    if not platform.runs(config.platform):
        raise _other_platform(reference, platform, (config.platform,))
    if len(config.diff_ids) != len(found.layers):
        raise _unreadable(
            f"reading {reference}",
            f"its manifest lists {len(found.layers)} layers, its config {len(config.diff_ids)}",
        )
    pinned = reference.at(found.digest)
    layers = zip(found.layers, config.diff_ids, strict=True)
    return Image(found, config, tuple(RemoteLayer(layer, diff_id, pinned, session) for layer, diff_id in layers))


def blob(session: Session, reference: Reference, descriptor: Descriptor, limit: int) -> bytes:
    """Read a small blob whole, verified; from the cache where it is there.

    Raises `OutsideError` (DARI-REGISTRY-TOO-LARGE) for one of more than `limit` bytes, before it is read.
    """
    purpose = f"reading {descriptor.digest} of {reference.name}"
    if descriptor.size > limit:
        raise _too_large(purpose, limit)
    store = Store(session.settings.cache)
    if content := _cached(store, descriptor.digest):
        return content
    content = b"".join(RemoteLayer(descriptor, descriptor.digest, reference, session).chunks())
    store.put(content)
    return content


def _fetch(session: Session, reference: Reference) -> tuple[bytes, str]:
    purpose = f"reading the manifest of {reference}"
    request = session.request("GET", reference, f"manifests/{reference.selector}", purpose, headers=_ACCEPT)
    with session.answered(request, reference, _OK, NOT_FOUND) as response:
        if is_page(response):
            raise not_a_registry(purpose, reference.registry, response.status)
        if response.status == NOT_FOUND:
            raise _unknown(reference)
        raw = limited(response, purpose, MANIFEST_LIMIT)
        if expected := reference.digest or _named_digest(response, purpose):
            raw = b"".join(verified(iter((raw,)), expected, len(raw), purpose))
        return raw, response.header("Content-Type").partition(";")[0].strip()


def limited(response: Response, purpose: str, limit: int) -> bytes:
    """Read a body of `limit` bytes at most. Raises `OutsideError` (DARI-REGISTRY-TOO-LARGE) as soon as it is more."""
    parts, size = [], 0
    for chunk in response.chunks():
        size += len(chunk)
        if size > limit:
            raise _too_large(purpose, limit)
        parts.append(chunk)
    return b"".join(parts)


@contextlib.contextmanager
def readable(purpose: str) -> Iterator[None]:
    """Say of a document that can't be read whose it is and what for. Raises `OutsideError` (DARI-REGISTRY-DOCUMENT)."""
    try:
        yield
    except Malformed as error:
        raise _unreadable(purpose, str(error)) from error


def _unreadable(purpose: str, reason: str) -> OutsideError:
    return OutsideError(
        "DARI-REGISTRY-DOCUMENT",
        f"{purpose}: {reason}",
        hint="the image has to be pushed again, by a tool that writes what the OCI image specification says",
    )


def _named_digest(response: Response, purpose: str) -> Digest | None:
    """Return the digest that the registry names, or None where it names none."""
    text = response.header("Docker-Content-Digest")
    try:
        return Digest.parse(text) if text else None
    except Malformed as error:
        raise _unreadable(purpose, f"the registry names as its digest: {error}") from error


def _cached(store: Store, digest: Digest | None) -> bytes | None:
    if digest is None or not store.holds(digest):
        return None
    try:
        return store.read(digest)
    except (FileNotFoundError, IntegrityError):  # swept away meanwhile, or rotten and thrown away: read it again
        return None


def _too_large(purpose: str, limit: int) -> OutsideError:
    return OutsideError(
        "DARI-REGISTRY-TOO-LARGE",
        f"{purpose}: it is larger than the {limit >> 20} MiB that such a document may have",
        hint="no image needs that much; check that the address is a registry's, and whose",
    )


def _unknown(reference: Reference) -> UsageError:
    if reference.digest:
        return UsageError(
            "DARI-REGISTRY-TAG",
            f"reading the manifest of {reference}: {reference.name} has nothing with this digest",
            hint="it may have been deleted, or have been pushed to another repository",
        )
    return UsageError(
        "DARI-REGISTRY-TAG",
        f"reading the manifest of {reference}: {reference.registry} knows no tag {reference.tag!r} of "
        f"{reference.repository!r}, or no such repository",
        hint="check the spelling of both; a private repository may need a login to be seen",
    )


def _other_platform(reference: Reference, platform: Platform, there: tuple[Platform | None, ...]) -> UsageError:
    names = ", ".join(sorted({str(known) for known in there if known and known.os not in {"", "unknown"}}))
    return UsageError(
        "DARI-REGISTRY-PLATFORM",
        f"reading {reference}: it is not there for {platform}, only for {names or 'no named platform'}",
        hint="choose one of those with --platform, or another base",
    )
