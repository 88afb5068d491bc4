"""What refers to an image: listing and attaching (OCI distribution-spec 1.1, "Listing Referrers").

A registry without the referrers API keeps the list as an index under the tag `sha256-HEX` ("Referrers Tag Schema").
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode, urljoin

from dari.errors import OutsideError, UsageError
from dari.registry.pushing import put_manifest
from dari.registry.reading import MANIFEST_LIMIT, head, limited, manifest, readable
from dari.registry.session import Session
from dari.registry.uploads import Content, bring
from dari.registry.wire import origin
from dari.values import media
from dari.values.digest import Digest
from dari.values.manifest import Descriptor, Index, Manifest
from dari.values.progress import Silent
from dari.values.reference import Reference

_OK: Final = 200
# 404 is the spec's answer of a registry that doesn't have the API; the others are seen of proxies and older ones.
_NO_API: Final = (400, 404, 405, 406, 501)
_EMPTY: Final = b"{}"
_MOST_PAGES: Final = 100
_TRIES: Final = 3


def referrers(session: Session, reference: Reference, artifact_type: str = "") -> tuple[Descriptor, ...]:
    """Return what refers to `reference` (which must have a digest), of one artifact type where that is given.

    Raises `UsageError` (DARI-REGISTRY-SUBJECT) for a reference without a digest, and what reading raises.
    """
    if reference.digest is None:
        raise UsageError(
            "DARI-REGISTRY-SUBJECT",
            f"listing what refers to {reference}: only a digest can be referred to",
            hint="write REPOSITORY@sha256:DIGEST",
        )
    found = tuple(_listed(session, reference, reference.digest, artifact_type))
    return tuple(entry for entry in found if artifact_type in {"", entry.artifact_type})


def attach(
    session: Session, reference: Reference, subject: Descriptor, artifact: Manifest, content: bytes
) -> Descriptor:
    """Push an artifact that refers to `subject`, and enter it in the list where the registry doesn't."""
    empty = Content(Descriptor(media.OCI_EMPTY, Digest.of(_EMPTY), len(_EMPTY)), _EMPTY)
    for blob in (empty, Content(artifact.layers[0], content)):
        bring(session, blob, reference, Silent().task(""))
    descriptor = replace(artifact.descriptor, annotations=artifact.annotations)
    if not put_manifest(session, artifact, reference.at(artifact.digest)):
        _enter(session, reference.tagged(_tag(subject.digest)), descriptor)
    return descriptor


def artifact(
    subject: Descriptor, artifact_type: str, media_type: str, content: bytes, annotations: Mapping[str, str]
) -> Manifest:
    """Make the manifest of an artifact of one blob (image-spec manifest.md, "Guidelines for Artifact Usage")."""
    return Manifest.build(
        Descriptor(media.OCI_EMPTY, Digest.of(_EMPTY), len(_EMPTY)),
        (Descriptor(media_type, Digest.of(content), len(content)),),
        annotations=annotations,
        subject=Descriptor(subject.media_type, subject.digest, subject.size),
        artifact_type=artifact_type,
    )


def _listed(session: Session, reference: Reference, digest: Digest, artifact_type: str) -> Iterator[Descriptor]:
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    path = f"referrers/{digest}{query}"
    for _ in range(_MOST_PAGES):
        page, following = _page(session, reference, path)
        if page is None:
            yield from _tagged(session, reference.tagged(_tag(digest)))
            return
        yield from page.manifests
        if not following:
            return
        path = following
    raise OutsideError("DARI-REGISTRY-PAGES", f"listing what refers to {reference}: the list has no end")


def _page(session: Session, reference: Reference, path: str) -> tuple[Index | None, str]:
    """Return one page of the list, None where the registry has no such API, and the next page's address."""
    purpose = f"listing what refers to {reference}"
    request = session.request("GET", reference, path, purpose, headers={"Accept": media.OCI_INDEX})

    def attempt() -> tuple[Index | None, str]:
        with session.answered(request, reference, _OK, *_NO_API) as response:
            if response.status != _OK:
                return None, ""
            link = response.header("Link")
            with readable(purpose):
                index = Index.parse(limited(response, purpose, MANIFEST_LIMIT))
            target = urljoin(request.url, link[link.find("<") + 1 : link.find(">")]) if 'rel="next"' in link else ""
            return index, target if target and origin(target) == origin(request.url) else ""

    return session.persist(attempt)


def _tagged(session: Session, tag: Reference) -> tuple[Descriptor, ...]:
    there = head(session, tag)
    found = manifest(session, tag.at(there.digest)) if there else None
    return found.manifests if isinstance(found, Index) else ()


def _enter(session: Session, tag: Reference, descriptor: Descriptor) -> None:
    """Add a descriptor to the index under the tag, and look whether somebody else's entry didn't replace it."""
    for _ in range(_TRIES):
        entries = _tagged(session, tag)
        if any(entry.digest == descriptor.digest for entry in entries):
            return
        put_manifest(session, Index.build((*entries, descriptor)), tag)
    if not any(entry.digest == descriptor.digest for entry in _tagged(session, tag)):
        raise OutsideError(
            "DARI-REGISTRY-REFERRERS",
            f"attaching to {tag}: others keep replacing the list of what refers to it",
            hint="try again",
            temporary=True,
        )


def _tag(digest: Digest) -> str:
    return f"{digest.algorithm}-{digest.hex[:64]}"
