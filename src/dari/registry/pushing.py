"""Pushing images and indexes: blobs side by side, then the manifests of an index, then what the tag will name."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from dari.errors import IntegrityError, OutsideError, UsageError
from dari.registry.patience import PassingError
from dari.registry.reading import head
from dari.registry.refusals import NOT_FOUND, codes
from dari.registry.session import Session
from dari.registry.uploads import Blob, Content, Outcome, bring, no_repository
from dari.registry.workers import in_parallel
from dari.values.digest import Digest
from dari.values.image import Image
from dari.values.manifest import Index, Manifest
from dari.values.progress import Progress
from dari.values.reference import Reference

_CREATED: Final = 201


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push did. The counts are of blobs, layers and configs together; each blob counts once.

    `unchanged` says that the registry had this very manifest there already: then nothing else was asked or sent.
    """

    reference: Reference
    digest: Digest
    unchanged: bool = False
    existing: int = 0
    mounted: int = 0
    uploaded: int = 0
    copied: int = 0
    sent_bytes: int = 0  # uploaded and copied together


def push(session: Session, progress: Progress, image: Image, target: Reference) -> PushReport:
    """Push one image. Raises `OutsideError`, `IntegrityError`, `UsageError` (DARI-REGISTRY-PUSH-DIGEST)."""
    _check_target(image.manifest, target)
    if _is_there(session, image.manifest, target):
        return PushReport(target, image.digest, unchanged=True)
    session = session.apart()
    report = _bring_all(session, progress, (image,), target)
    put_manifest(session, image.manifest, target)
    return report


def push_index(
    session: Session, progress: Progress, index: Index, images: tuple[Image, ...], target: Reference
) -> PushReport:
    """Push an index: the blobs of all images, each image by its digest, the index last.

    Raises as `push`, and `IntegrityError` (DARI-REGISTRY-INDEX) where the index names other images than those given.
    """
    _check_target(index, target)
    if {entry.digest for entry in index.manifests} != {image.digest for image in images}:
        raise IntegrityError(
            "DARI-REGISTRY-INDEX",
            f"pushing {target}: the index names other images than those that go with it",
            hint="build the index again",
        )
    if _is_there(session, index, target):
        return PushReport(target, index.digest, unchanged=True)
    session = session.apart()
    report = _bring_all(session, progress, images, target)
    for image in images:
        put_manifest(session, image.manifest, target.at(image.digest))
    put_manifest(session, index, target)
    return replace(report, digest=index.digest)


def put_manifest(session: Session, manifest: Manifest | Index, target: Reference) -> bool:
    """Publish a manifest at what `target` selects: its digest where it has one, else its tag.

    Returns whether the registry keeps the manifest's subject in mind (it answers OCI-Subject). Raises
    `IntegrityError` (DARI-REGISTRY-PUBLISHED) where it published something else than it was sent.
    """
    request = session.request(
        "PUT",
        target,
        f"manifests/{target.selector}",
        f"publishing {target}",
        headers={"Content-Type": manifest.media_type},
        body=manifest.raw,
    )

    def attempt() -> bool:
        with session.exchange(request, target) as response:
            if response.status != _CREATED and "MANIFEST_BLOB_UNKNOWN" in codes(response):
                raise _late(request.purpose)
            if response.status == NOT_FOUND:
                raise no_repository(request.purpose, target)
            if response.status != _CREATED:
                raise session.refused(response, request, target)
            published = response.header("Docker-Content-Digest")
            if published.startswith("sha256:") and published != str(manifest.digest):
                raise IntegrityError(
                    "DARI-REGISTRY-PUBLISHED",
                    f"{request.purpose}: the registry says it published {published[:100]!r}, not {manifest.digest}",
                    hint="something between here and the registry changes what is sent; look for a proxy",
                )
            return bool(response.header("OCI-Subject"))

    return session.persist(attempt)


def _late(purpose: str) -> PassingError:
    """Return the fault of a registry that doesn't see yet what it has just taken.

    docker-registry 2.8 does so for a moment where two clients send one blob to one repository at the same time (its
    links are not written atomically); registries whose storage is eventually consistent do so too.
    """
    return PassingError(
        OutsideError(
            "DARI-REGISTRY-LATE",
            f"{purpose}: the registry took every layer, and says now that it lacks one",
            hint="try again; if it stays, the registry's storage or its clean-up (garbage collection) is at fault",
            temporary=True,
        )
    )


def _is_there(session: Session, manifest: Manifest | Index, target: Reference) -> bool:
    there = head(session, target)
    return there is not None and there.digest == manifest.digest


def _check_target(manifest: Manifest | Index, target: Reference) -> None:
    if target.digest and target.digest != manifest.digest:
        raise UsageError(
            "DARI-REGISTRY-PUSH-DIGEST",
            f"pushing {target}: the image's digest is {manifest.digest}",
            hint=f"push to a tag: {target.tagged(target.tag or 'latest')}",
        )


def _bring_all(session: Session, progress: Progress, images: tuple[Image, ...], target: Reference) -> PushReport:
    """Bring every blob of the images, the largest first: a big one begun last would keep the others waiting."""
    blobs: dict[Digest, Blob] = {}
    for image in images:
        blobs[image.config.digest] = Content(image.manifest.config, image.config.raw)
        blobs |= {layer.descriptor.digest: layer for layer in image.layers}
    ordered = sorted(blobs.values(), key=lambda blob: (-blob.descriptor.size, str(blob.descriptor.digest)))
    configs = {image.config.digest for image in images}

    def one(blob: Blob) -> Outcome:
        kind = "config" if blob.descriptor.digest in configs else "layer"
        with progress.task(f"{kind} {blob.descriptor.digest.short}", blob.descriptor.size) as task:
            outcome = bring(session, blob, target, task)
            task.finish(outcome.value)
        return outcome

    outcomes = in_parallel([partial(one, blob) for blob in ordered], session.settings.uploads, session.cancelled)
    counts = Counter(outcomes)
    sent = sum(
        blob.descriptor.size
        for blob, outcome in zip(ordered, outcomes, strict=True)
        if outcome in {Outcome.UPLOADED, Outcome.COPIED}
    )
    return PushReport(
        target,
        images[0].digest,
        existing=counts[Outcome.EXISTS],
        mounted=counts[Outcome.MOUNTED],
        uploaded=counts[Outcome.UPLOADED],
        copied=counts[Outcome.COPIED],
        sent_bytes=sent,
    )
