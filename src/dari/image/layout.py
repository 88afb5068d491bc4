"""Writing images into an OCI layout directory (image-spec image-layout.md), whole or sparse.

A sparse layout leaves out layers that a registry has already. Where they are is said in index.json, on the entry of
the tag, in the annotation `dev.dari.layer-origins`: a JSON object from reference to the digests of layers it holds.
It stands there, not in the manifest, so that an image has one digest, sparse or whole.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dari.errors import OutsideError, UsageError
from dari.image.assembly import OnDisk, as_oci
from dari.image.blobs import put_document, put_layer
from dari.system import locked, write_atomically
from dari.values import media
from dari.values.documents import canonical_json, json_object
from dari.values.image import Image, Layer
from dari.values.malformed import Malformed
from dari.values.manifest import Descriptor, Index
from dari.values.progress import Progress
from dari.values.reference import Layout, Reference

REF_NAME: Final = "org.opencontainers.image.ref.name"
LAYER_ORIGINS: Final = "dev.dari.layer-origins"
DEFAULT_TAG: Final = "latest"
LAYOUT_VERSION: Final = canonical_json({"imageLayoutVersion": "1.0.0"})


def write_layout(layout: Layout, images: Sequence[Image], *, complete: bool, progress: Progress) -> Descriptor:
    """Write one image, or several platforms' images under one index, as `layout.tag` ('latest' where it is empty).

    With `complete`, every layer's bytes are brought in; without, those with a registry as their origin are only
    referenced. An image in Docker's flavour is written in OCI's (`as_oci`), since neither skopeo nor umoci reads the
    other in a layout. Layers from the cache are cloned or hard-linked where the file system can. Other tags stay; the
    same tag is replaced; any number of processes may write at once. Returns what the tag now names. Raises
    `UsageError` (DARI-LAYOUT-NOT-ONE), `OutsideError` (DARI-LAYOUT-UNWRITABLE).
    """
    if not images:
        raise UsageError("DARI-LAYOUT-NOT-ONE", f"writing {layout}: there is no image to write")
    root, images = layout.path, [as_oci(image) for image in images]
    try:
        _begin(root)
        for layer in _distinct(layer for image in images for layer in image.layers):
            if complete or not isinstance(layer.origin, Reference):
                with progress.task(f"layer {layer.descriptor.digest.short}", layer.descriptor.size) as task:
                    put_layer(root, layer, layer.file if isinstance(layer, OnDisk) else None, task)
        for image in images:
            put_document(root, image.manifest.config, image.config.raw)
            put_document(root, image.manifest.descriptor, image.manifest.raw)
        entry = _entry(root, images)
        with locked(root / "oci-layout"):
            _publish(root, entry, layout.tag or DEFAULT_TAG, _origins(images))
    except OSError as error:
        raise OutsideError(
            "DARI-LAYOUT-UNWRITABLE",
            f"writing {layout}: {error.strerror or error}",
            hint="make room there, or choose another place; the tag still names what it named before",
        ) from error
    return entry


def _begin(root: Path) -> None:
    names = {path.name for path in root.iterdir()} if root.is_dir() else set()
    if root.is_file() or (names and "oci-layout" not in names):
        raise UsageError(
            "DARI-LAYOUT-NOT-ONE",
            f"writing an image to {str(root)!r}: it is there, and no OCI layout",
            hint="name a folder that is new, empty or a layout",
        )
    root.mkdir(parents=True, exist_ok=True)
    version = root / "oci-layout"
    with locked(version):
        if not _is_version(version.read_bytes()):
            version.write_bytes(LAYOUT_VERSION)  # in place: this file is the lock, another inode would be another lock


def _distinct(layers: Iterator[Layer]) -> Iterator[Layer]:
    seen = set()
    for layer in layers:
        if layer.descriptor.digest not in seen:
            seen.add(layer.descriptor.digest)
            yield layer


def _entry(root: Path, images: Sequence[Image]) -> Descriptor:
    entries = tuple(
        Descriptor(image.manifest.media_type, image.digest, len(image.manifest.raw), platform=image.config.platform)
        for image in images
    )
    if len(entries) == 1:
        return entries[0]
    index = Index.build(entries)
    put_document(root, index.descriptor, index.raw)
    return index.descriptor


def _origins(images: Sequence[Image]) -> Mapping[str, Sequence[str]]:
    origins: dict[str, dict[str, None]] = {}
    for layer in (layer for image in images for layer in image.layers):
        if isinstance(layer.origin, Reference):
            origins.setdefault(str(layer.origin), {})[str(layer.descriptor.digest)] = None
    return {reference: list(digests) for reference, digests in sorted(origins.items())}


def _publish(root: Path, entry: Descriptor, tag: str, origins: Mapping[str, Sequence[str]]) -> None:
    """Put the entry into index.json. Entries of other tags are kept as they are, members unknown here included."""
    path = root / "index.json"
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": media.OCI_INDEX}
    if path.exists():
        document = _index_document(path)
    annotations = {REF_NAME: tag} | ({LAYER_ORIGINS: canonical_json(origins).decode()} if origins else {})
    written = entry.to_json() | {"annotations": annotations}
    kept = list(document.get("manifests") or [])
    places = [number for number, other in enumerate(kept) if (other.get("annotations") or {}).get(REF_NAME) == tag]
    if places:
        kept[places[0]] = written
        kept = [other for number, other in enumerate(kept) if number not in places[1:]]
    else:
        kept.append(written)
    content = canonical_json(document | {"manifests": kept})
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)


def _index_document(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    try:
        Index.parse(raw)
    except Malformed as error:
        raise UsageError(
            "DARI-LAYOUT-NOT-ONE",
            f"writing into the layout {str(path.parent)!r}: its index.json can't be read: {error}",
            hint="choose another folder, or delete this one",
        ) from error
    return json_object(raw, "index.json", "DARI-MANIFEST-MALFORMED")


def _is_version(raw: bytes) -> bool:
    try:
        return bool(json.loads(raw)["imageLayoutVersion"] == "1.0.0")
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
