"""An image: manifest and config in hand, layers described now and opened later."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dari.values.config import ImageConfig
from dari.values.digest import Digest
from dari.values.manifest import Descriptor, Manifest
from dari.values.reference import Location


class Layer(Protocol):
    """One layer's compressed bytes, wherever they are. Gigabytes flow; they are not held."""

    @property
    def descriptor(self) -> Descriptor:
        """Media type, digest and size of the compressed bytes."""
        ...

    @property
    def diff_id(self) -> Digest:
        """The digest of the uncompressed tar stream."""
        ...

    @property
    def origin(self) -> Location | None:
        """Where the bytes lie already (a registry can mount them), or None for bytes made here."""
        ...

    def open(self) -> AbstractContextManager[Iterator[bytes]]:
        """Open the compressed bytes as chunks, verified against the descriptor's size and digest at their end."""
        ...


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image. `layers` are lowest first, one for each of the config's diffIDs."""

    manifest: Manifest
    config: ImageConfig
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> Digest:
        """The manifest's digest: what `@sha256:…` names."""
        return self.manifest.digest

    @property
    def size(self) -> int:
        """Compressed size in bytes of config and layers together."""
        return self.manifest.config.size + sum(layer.descriptor.size for layer in self.layers)
