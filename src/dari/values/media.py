"""Media types of manifests, configs and layers (OCI image-spec media-types.md; Docker's schema 2)."""

from enum import StrEnum
from typing import Final


class Codec(StrEnum):
    """How a layer's tar stream is compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DARI_INVENTORY: Final = "application/vnd.dari.inventory.v1+json"

MANIFESTS: Final = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES: Final = (OCI_INDEX, DOCKER_INDEX)

_LAYER_CODECS: Final = {
    "application/vnd.oci.image.layer.v1.tar": Codec.NONE,
    "application/vnd.oci.image.layer.v1.tar+gzip": Codec.GZIP,
    "application/vnd.oci.image.layer.v1.tar+zstd": Codec.ZSTD,
    "application/vnd.oci.image.layer.nondistributable.v1.tar": Codec.NONE,
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": Codec.GZIP,
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": Codec.ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": Codec.NONE,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": Codec.GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": Codec.ZSTD,
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": Codec.GZIP,
}

_DOCKER_LAYERS: Final = {
    Codec.NONE: "application/vnd.docker.image.rootfs.diff.tar",
    Codec.GZIP: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    Codec.ZSTD: "application/vnd.docker.image.rootfs.diff.tar.zstd",
}
_OCI_LAYERS: Final = {
    Codec.NONE: "application/vnd.oci.image.layer.v1.tar",
    Codec.GZIP: "application/vnd.oci.image.layer.v1.tar+gzip",
    Codec.ZSTD: "application/vnd.oci.image.layer.v1.tar+zstd",
}


def layer_codec(media_type: str) -> Codec | None:
    """Return the codec of a layer's media type, or None where the type isn't a layer's."""
    return _LAYER_CODECS.get(media_type)


def layer_type(codec: Codec, *, docker: bool = False) -> str:
    """Return the media type of a layer compressed with `codec`, in OCI's or Docker's spelling."""
    return (_DOCKER_LAYERS if docker else _OCI_LAYERS)[codec]
