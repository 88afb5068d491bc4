"""A layer that lies in a registry: described now, read when opened."""

import contextlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from dari.errors import OutsideError
from dari.registry.refusals import NOT_FOUND, is_page, not_a_registry
from dari.registry.session import Session
from dari.registry.streams import resumed, verified
from dari.registry.transport import Response
from dari.registry.wire import Request
from dari.values.digest import Digest
from dari.values.manifest import Descriptor
from dari.values.reference import Reference

_STATUSES: Final = (200, 206, 416, NOT_FOUND)


@dataclass(frozen=True, slots=True)
class RemoteLayer:
    """One blob of `origin`'s repository; a `values.image.Layer`."""

    descriptor: Descriptor
    diff_id: Digest
    origin: Reference
    session: Session = field(repr=False, compare=False)

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the compressed bytes as verified chunks.

        The last chunk comes only when size and digest are seen to match. Raises `OutsideError` (DARI-REGISTRY-…,
        DARI-NETWORK-…), `IntegrityError` (DARI-REGISTRY-DIGEST).
        """
        with contextlib.closing(self.chunks()) as chunks:
            yield chunks

    def chunks(self) -> Generator[bytes]:
        """Yield what `open` opens."""
        purpose = f"reading {self.descriptor.digest} of {self.origin.name}"
        request = self.session.request("GET", self.origin, f"blobs/{self.descriptor.digest}", purpose)
        body = resumed(self._answered, request, self.session.patience, self.session.wait)
        with contextlib.closing(body):
            yield from verified(body, self.descriptor.digest, self.descriptor.size, purpose)

    def _answered(self, request: Request) -> AbstractContextManager[Response]:
        return _found(self.session, request, self.origin)


@contextlib.contextmanager
def _found(session: Session, request: Request, reference: Reference) -> Iterator[Response]:
    with session.answered(request, reference, *_STATUSES) as response:
        if is_page(response):
            raise not_a_registry(request.purpose, reference.registry, response.status)
        if response.status == NOT_FOUND:
            raise OutsideError(
                "DARI-REGISTRY-BLOB",
                f"{request.purpose}: the registry has a manifest that names it, but not the content itself",
                hint="it was deleted or never pushed whole; push the image again",
            )
        yield response
