"""The client: one door to registries for a whole run."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from dari.registry import pushing, reading
from dari.registry import referrers as referring
from dari.registry.hosts import Hosts
from dari.registry.layers import RemoteLayer
from dari.registry.patience import Patience
from dari.registry.pushing import PushReport
from dari.registry.session import Session
from dari.registry.transport import Transport
from dari.values.image import Image
from dari.values.manifest import Descriptor, Index, Manifest
from dari.values.platform import Platform
from dari.values.progress import Progress
from dari.values.reference import Reference
from dari.values.settings import Settings


class Client:
    """Reads from registries and pushes to them. A context manager; safe from several threads.

    Every method raises `OutsideError` for what fails outside (DARI-NETWORK-…, DARI-REGISTRY-…), with `temporary` where
    it may pass (it was tried `patience.tries` times by then); `IntegrityError` for bytes that aren't what their digest
    says; `UsageError` for what the user named and isn't there.
    """

    def __init__(self, settings: Settings, progress: Progress, patience: Patience | None = None) -> None:
        self._progress = progress
        self._transport = Transport(connections=2 * settings.uploads + 2)
        hosts = Hosts(settings.insecure_registries)
        self._session = Session(settings, self._transport, hosts, patience or Patience())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def manifest(self, reference: Reference) -> Manifest | Index:
        """Read a manifest or an index (4 MiB at most), from the cache where it is named by digest and there."""
        return reading.manifest(self._session, reference)

    def head(self, reference: Reference) -> Descriptor | None:
        """Ask the registry what a reference points at; None where nothing."""
        return reading.head(self._session, reference)

    def image(self, reference: Reference, platform: Platform) -> Image:
        """Read manifest and config of the image for `platform`. Its layers are read when they are opened."""
        return reading.image(self._session, reference, platform)

    def blob(self, reference: Reference, descriptor: Descriptor, limit: int) -> bytes:
        """Read a blob of at most `limit` bytes whole, verified, and kept in the cache."""
        return reading.blob(self._session, reference, descriptor, limit)

    def open_blob(self, reference: Reference, descriptor: Descriptor) -> AbstractContextManager[Iterator[bytes]]:
        """Open a blob of any size as verified chunks."""
        return RemoteLayer(descriptor, descriptor.digest, reference, self._session).open()

    def push(self, image: Image, reference: Reference) -> PushReport:
        """Push an image: only what the registry lacks, the manifest last. Ctrl-C leaves nothing half-published."""
        return pushing.push(self._session, self._progress, image, reference)

    def push_index(self, index: Index, images: tuple[Image, ...], reference: Reference) -> PushReport:
        """Push an index and the images that it names, by their digests, the index last."""
        return pushing.push_index(self._session, self._progress, index, images, reference)

    def referrers(self, reference: Reference, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Return what refers to an image that is named by digest, of one artifact type where that is given."""
        return referring.referrers(self._session, reference, artifact_type)

    def attach(
        self,
        reference: Reference,
        subject: Descriptor,
        *,
        artifact_type: str,
        media_type: str,
        content: bytes,
        annotations: Mapping[str, str] | None = None,
    ) -> Descriptor:
        """Push `content` as an artifact that refers to `subject`, into the reference's repository."""
        made = referring.artifact(subject, artifact_type, media_type, content, annotations or {})
        return referring.attach(self._session, reference, subject, made, content)
