"""A new image from a base and layers: config, history and manifest in the base's own flavour."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from dari.errors import UsageError
from dari.values import media
from dari.values.config import ConfigChange, History, ImageConfig
from dari.values.digest import Digest
from dari.values.documents import canonical_json, json_object
from dari.values.image import Image, Layer
from dari.values.manifest import Descriptor, Manifest
from dari.values.media import Codec
from dari.values.platform import Platform
from dari.values.reference import Location

# The most a registry (ECR's quota) and overlay2 take. dockerd's own store runs no more than 125 (moby,
# layer/layer_store.go, maxLayerDepth: 127 less two for the container), so who groups parts had better aim for that.
MOST_LAYERS: Final = 127
MOST_LAYERS_THAT_DOCKER_RUNS: Final = 125
EPOCH: Final = "1970-01-01T00:00:00Z"
_NONDISTRIBUTABLE: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
_FOREIGN: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@runtime_checkable
class OnDisk(Protocol):
    """A layer that can name a file of this machine that holds exactly its compressed bytes."""

    @property
    def file(self) -> Path | None:
        """The file, None where the bytes are elsewhere."""
        ...


@dataclass(frozen=True, slots=True)
class Retyped:
    """A layer under another name of its media type; the bytes, and so the digest, are the same."""

    layer: Layer
    descriptor: Descriptor

    @property
    def diff_id(self) -> Digest:
        """The digest of the uncompressed tar stream."""
        return self.layer.diff_id

    @property
    def origin(self) -> Location | None:
        """Where the bytes lie already."""
        return self.layer.origin

    @property
    def file(self) -> Path | None:
        """Where the bytes lie on this machine, if they do."""
        return self.layer.file if isinstance(self.layer, OnDisk) else None

    def open(self) -> AbstractContextManager[Iterator[bytes]]:
        """Open the compressed bytes."""
        return self.layer.open()


def assemble(
    base: Image | None,
    layers: Sequence[Layer],
    change: ConfigChange,
    *,
    platform: Platform,
    history: Sequence[str],
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Put `layers` on `base` (None: on nothing) and change its config; `history` is one line for each layer.

    Everything is said to be created at `change.created`, 1970 where that is None. The manifest keeps the base's
    flavour, OCI's or Docker's, except that a zstd layer turns Docker's into OCI's (Docker's has no type for it that
    engines read); Docker's manifests have no annotations, so there `annotations` are left out. A base whose history
    is shorter than its layers gets empty lines for the rest, at the bottom. Raises `UsageError`: DARI-LAYER-LIMIT,
    DARI-BASE-PLATFORM.
    """
    _check(base, layers, platform)
    created = change.created or EPOCH
    config = _with_whole_history(base.config) if base else ImageConfig.empty(platform, created)
    lines = (History(line, created) for line in history)
    config = config.with_layers(tuple((layer.diff_id, line) for layer, line in zip(layers, lines, strict=True)))
    config = config.changed(replace(change, created=created))
    together = (*(base.layers if base else ()), *layers)
    docker = base is not None and base.manifest.media_type == media.DOCKER_MANIFEST
    docker = docker and not any(media.layer_codec(layer.descriptor.media_type) is Codec.ZSTD for layer in together)
    return _image(config, together, docker=docker, annotations=annotations)


def as_oci(image: Image) -> Image:
    """Return the image with OCI's media types. Config, layers and image id stay; a Docker manifest's digest changes."""
    if image.manifest.media_type != media.DOCKER_MANIFEST:
        return image
    return _image(image.config, image.layers, docker=False, annotations=None)


def _image(
    config: ImageConfig, layers: Sequence[Layer], *, docker: bool, annotations: Mapping[str, str] | None
) -> Image:
    typed = tuple(_retyped(layer, docker=docker) for layer in layers)
    manifest = Manifest.build(
        Descriptor(media.DOCKER_CONFIG if docker else media.OCI_CONFIG, config.digest, len(config.raw)),
        tuple(layer.descriptor for layer in typed),
        annotations=None if docker else annotations,
        media_type=media.DOCKER_MANIFEST if docker else media.OCI_MANIFEST,
    )
    return Image(manifest, config, typed)


def _check(base: Image | None, layers: Sequence[Layer], platform: Platform) -> None:
    below = len(base.layers) if base else 0
    if below + len(layers) > MOST_LAYERS:
        raise UsageError(
            "DARI-LAYER-LIMIT",
            f"putting {len(layers)} layers on a base of {below}: an image has {MOST_LAYERS} at most",
            hint="group the parts into fewer layers, or use a base with fewer",
        )
    if base and not platform.runs(base.config.platform):
        raise UsageError(
            "DARI-BASE-PLATFORM",
            f"putting layers for {platform} on a base for {base.config.platform}",
            hint="choose the base's manifest of that platform",
        )


def _with_whole_history(config: ImageConfig) -> ImageConfig:
    missing = len(config.diff_ids) - sum(not line.empty for line in config.history)
    if missing <= 0:
        return config
    document = json_object(config.raw, "the base's config", "DARI-CONFIG-MALFORMED")
    lines: list[dict[str, Any]] = [{"created_by": "", "comment": "the base doesn't say"}] * missing
    document["history"] = lines + list(document.get("history") or [])
    return ImageConfig.parse(canonical_json(document))


def _retyped(layer: Layer, *, docker: bool) -> Layer:
    present = layer.descriptor.media_type
    codec = media.layer_codec(present)
    if codec is None:
        return layer
    if codec is Codec.GZIP and present in {_NONDISTRIBUTABLE, _FOREIGN}:
        wanted = _FOREIGN if docker else _NONDISTRIBUTABLE
    elif "nondistributable" in present:
        wanted = present
    else:
        wanted = media.layer_type(codec, docker=docker)
    if wanted == present:
        return layer
    return Retyped(layer, replace(layer.descriptor, media_type=wanted))
