"""Small images made by hand: layers of given bytes, a config and a manifest that fit."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from dari.values import media
from dari.values.config import History, ImageConfig
from dari.values.digest import Digest
from dari.values.image import Image
from dari.values.manifest import Descriptor, Manifest
from dari.values.platform import Platform
from dari.values.reference import Location

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


@dataclass(frozen=True, slots=True)
class BytesLayer:
    """A layer whose bytes are at hand, handed out in chunks of 64 KiB; `opened` counts how often."""

    descriptor: Descriptor
    diff_id: Digest
    content: bytes
    origin: Location | None = None
    opened: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the bytes."""
        self.opened.append("open")
        step = 1 << 16
        yield (self.content[start : start + step] for start in range(0, len(self.content), step))


def layer(content: bytes, origin: Location | None = None) -> BytesLayer:
    """Make a layer that claims to be an uncompressed tar."""
    digest = Digest.of(content)
    return BytesLayer(Descriptor(media.layer_type(media.Codec.NONE), digest, len(content)), digest, content, origin)


def image(*contents: bytes, platform: Platform = AMD64, docker: bool = False) -> Image:
    """Make an image of layers with these contents."""
    return image_of(tuple(layer(content) for content in contents), platform, docker=docker)


def image_of(layers: tuple[BytesLayer, ...], platform: Platform = AMD64, *, docker: bool = False) -> Image:
    """Make an image of these layers."""
    lines = tuple((part.diff_id, History("made for a test")) for part in layers)
    config = ImageConfig.empty(platform, "1970-01-01T00:00:00Z").with_layers(lines)
    descriptor = Descriptor(media.DOCKER_CONFIG if docker else media.OCI_CONFIG, config.digest, len(config.raw))
    kind = media.DOCKER_MANIFEST if docker else media.OCI_MANIFEST
    manifest = Manifest.build(descriptor, tuple(part.descriptor for part in layers), media_type=kind)
    return Image(manifest, config, layers)


def noise(size: int, seed: str = "") -> bytes:
    """Return bytes that don't repeat, the same for the same seed."""
    return hashlib.shake_128(seed.encode()).digest(size)
