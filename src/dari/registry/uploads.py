"""Bringing one blob into a repository: it is there, it is mounted from a neighbour, or it is sent.

Source: OCI distribution-spec, "Pushing blobs": HEAD, then POST with mount and from, then POST and one PUT whose body
flows from wherever the blob is. A fault that may pass starts over with a new POST.
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol
from urllib.parse import urlencode, urljoin

from dari.errors import IntegrityError, OutsideError, UsageError
from dari.registry.patience import PassingError
from dari.registry.refusals import NOT_FOUND, temporary_refusal
from dari.registry.session import CancelledError, Session
from dari.registry.wire import CHUNK, Stream
from dari.values.manifest import Descriptor
from dari.values.progress import Task
from dari.values.reference import Location, Reference

_OK: Final = 200
_CREATED: Final = 201
_ACCEPTED: Final = 202
# A registry may check or move a finished upload for a while before it answers.
_COMMIT_SECONDS: Final = 600.0


class Outcome(StrEnum):
    """How a blob came to be in the repository."""

    EXISTS = "exists"
    MOUNTED = "mounted"
    UPLOADED = "uploaded"
    COPIED = "copied"


class Blob(Protocol):
    """What is to be brought: a `values.image.Layer` is one, and so is a config."""

    @property
    def descriptor(self) -> Descriptor:
        """Media type, digest and size."""
        ...

    @property
    def origin(self) -> Location | None:
        """Where it lies already."""
        ...

    def open(self) -> AbstractContextManager[Iterator[bytes]]:
        """Open its bytes as chunks."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """A blob whose bytes are at hand."""

    descriptor: Descriptor
    content: bytes
    origin: Location | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the bytes as one chunk."""
        yield iter((self.content,))


def bring(session: Session, blob: Blob, target: Reference, task: Task) -> Outcome:
    """See to it that `target`'s repository has the blob. Raises `OutsideError`, `IntegrityError`, `UsageError`."""
    if session.persist(lambda: _exists(session, blob, target)):
        return Outcome.EXISTS
    source = blob.origin if isinstance(blob.origin, Reference) else None
    neighbour = source if source and source.registry == target.registry else None
    if neighbour and neighbour.repository == target.repository:
        neighbour = None  # the registry has just said that it isn't there
    sent = _Sent(session, blob, task)

    def attempt() -> Outcome:
        place = _begin(session, blob, target, neighbour)
        if place is None:
            return Outcome.MOUNTED
        _send(session, sent, target, place)
        return Outcome.COPIED if source else Outcome.UPLOADED

    return session.persist(attempt)


def _exists(session: Session, blob: Blob, target: Reference) -> bool:
    digest = blob.descriptor.digest
    request = session.request("HEAD", target, f"blobs/{digest}", f"looking for {digest} in {target.name}")
    with session.answered(request, target, _OK, NOT_FOUND) as response:
        return response.status == _OK


def _begin(session: Session, blob: Blob, target: Reference, neighbour: Reference | None) -> str | None:
    """Begin an upload and return its address, or None where the registry mounted the blob instead."""
    digest = blob.descriptor.digest
    wanted = {"mount": str(digest), "from": neighbour.repository} if neighbour else {}
    query = f"?{urlencode(wanted)}" if wanted else ""
    request = session.request("POST", target, f"blobs/uploads/{query}", f"sending {digest} to {target.name}", body=b"")
    if neighbour:
        request = replace(request, scopes=(*request.scopes, f"repository:{neighbour.repository}:pull"))
    with session.exchange(request, target) as response:
        if neighbour and response.status == _CREATED:
            return None
        if response.status == _ACCEPTED and (place := response.header("Location")):
            return urljoin(request.url, place)
        if neighbour and not temporary_refusal(response, request.purpose):
            return _begin(session, blob, target, None)  # it won't mount: it may not, or doesn't know the neighbour
        if response.status == NOT_FOUND:
            raise no_repository(request.purpose, target)
        raise session.refused(response, request, target)


def _send(session: Session, sent: "_Sent", target: Reference, place: str) -> None:
    digest = sent.blob.descriptor.digest
    joint = "&" if "?" in place else "?"
    request = session.request(
        "PUT",
        target,
        f"{place}{joint}{urlencode({'digest': str(digest)})}",
        f"sending {digest} to {target.name}",
        headers={"Content-Type": "application/octet-stream"},
        body=Stream(sent.blob.descriptor.size, sent.open),
    )
    request = replace(request, patience=_COMMIT_SECONDS)
    with session.exchange(request, target) as response:
        if response.status == NOT_FOUND:  # the upload's session was lost, not the repository: begin again
            raise PassingError(
                OutsideError(
                    "DARI-REGISTRY-UPLOAD",
                    f"{request.purpose}: the registry forgot the upload while it was under way",
                    hint="try again; where several registries share a name, they must share their storage too",
                    temporary=True,
                )
            )
        if response.status != _CREATED:
            raise session.refused(response, request, target)


class _Sent:
    """A blob as a body: counted, shown, called off between two chunks, and opened again where it is sent again."""

    def __init__(self, session: Session, blob: Blob, task: Task) -> None:
        self.blob = blob
        self._session = session
        self._task = task
        self._count = 0

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the body from its start; what was shown of an earlier try is taken back."""
        self._task.advance(-self._count)
        self._count = 0
        with self.blob.open() as chunks:
            yield self._counted(chunks)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        size = self.blob.descriptor.size
        for chunk in _readable(chunks, self.blob):
            for start in range(0, len(chunk), CHUNK):
                if self._session.cancelled.is_set():
                    raise CancelledError
                part = chunk[start : start + CHUNK] if len(chunk) > CHUNK else chunk
                if self._count + len(part) > size:
                    raise _wrong_size(self.blob, f"more than {size}")
                self._count += len(part)
                yield part
                self._task.advance(len(part))
        if self._count != size:
            raise _wrong_size(self.blob, str(self._count))


def _readable(chunks: Iterator[bytes], blob: Blob) -> Iterator[bytes]:
    """Yield the chunks; a file that can't be read must not look like a network that broke."""
    try:
        yield from chunks
    except OSError as error:
        raise OutsideError(
            "DARI-REGISTRY-SOURCE",
            f"reading {blob.descriptor.digest} to send it: {error.strerror or error}",
            hint="the file may have been removed, or its disk is failing; build the image again",
        ) from error


def _wrong_size(blob: Blob, got: str) -> IntegrityError:
    return IntegrityError(
        "DARI-REGISTRY-SOURCE-SIZE",
        f"reading {blob.descriptor.digest} to send it: {got} bytes came, its descriptor says {blob.descriptor.size}",
        hint="the image was changed or torn while it lay here; build it again",
    )


def no_repository(purpose: str, target: Reference) -> UsageError:
    """Return the error of a push to a repository that the registry doesn't have (most make it; ECR doesn't)."""
    hint = f"create the repository {target.repository!r} first"
    if ".dkr.ecr." in target.registry:
        hint += f": aws ecr create-repository --repository-name {target.repository}"
    return UsageError(
        "DARI-REGISTRY-REPOSITORY",
        f"{purpose}: {target.registry} has no repository {target.repository!r} to push to",
        hint=hint,
    )
