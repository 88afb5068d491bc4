"""Reading images out of an OCI layout directory: documents verified at once, layers when they are opened."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dari.errors import UsageError
from dari.image.blobs import LARGEST_DOCUMENT, blob_path, has_blob, open_blob, read_document
from dari.image.layout import LAYER_ORIGINS, REF_NAME
from dari.values import media
from dari.values.config import ImageConfig
from dari.values.digest import Digest
from dari.values.image import Image
from dari.values.malformed import Malformed
from dari.values.manifest import Descriptor, Index, Manifest, parse_manifest
from dari.values.platform import Platform
from dari.values.reference import Layout, Reference

Remote = Callable[[Reference, Descriptor], AbstractContextManager[Iterator[bytes]]]


@dataclass(frozen=True, slots=True)
class LayoutLayer:
    """A layer of a layout. `origin` is the registry that has it too; a sparse layout has it only there."""

    root: Path
    descriptor: Descriptor
    diff_id: Digest
    origin: Reference | None = None
    remote: Remote | None = None

    @property
    def file(self) -> Path | None:
        """Where the compressed bytes lie, None where the layout is sparse."""
        return blob_path(self.root, self.descriptor) if has_blob(self.root, self.descriptor) else None

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the compressed bytes, verified. Raises `IntegrityError` (DARI-LAYOUT-BLOB), or `UsageError`.

        DARI-LAYOUT-SPARSE: the layout only says where the bytes are, and nobody was given to fetch them.
        """
        if self.origin is None or self.file is not None:
            with open_blob(self.root, self.descriptor) as chunks:
                yield chunks
        elif self.remote is not None:
            with self.remote(self.origin, self.descriptor) as chunks:
                yield chunks
        else:
            raise UsageError(
                "DARI-LAYOUT-SPARSE",
                f"reading the layer {self.descriptor.digest.short} of {str(self.root)!r}: the layout leaves it in "
                f"{self.origin}",
                hint="push it to a registry (the layer is mounted or copied there), or make the layout whole",
            )


def read_layout(layout: Layout, platform: Platform | None = None, *, remote: Remote | None = None) -> Image:
    """Read the image that `layout.tag` names, of `platform` where there are several.

    Without a tag, the layout's only one. `remote` opens layers that a sparse layout leaves in a registry. Raises
    `UsageError` (DARI-LAYOUT-NOT-ONE, DARI-LAYOUT-TAG, DARI-LAYOUT-PLATFORM), `IntegrityError` (DARI-LAYOUT-BLOB),
    `Malformed`.
    """
    images = _manifests(layout)
    if platform is None and len(images) == 1:
        return _image(layout, images[0], remote)
    fitting = [entry for entry in images if platform and entry.platform and platform.runs(entry.platform)]
    if not fitting and platform and len(images) == 1 and images[0].platform is None:
        image = _image(layout, images[0], remote)
        if platform.runs(image.config.platform):
            return image
    if not fitting:
        there = ", ".join(str(entry.platform or "unknown") for entry in images) or "none"
        raise UsageError(
            "DARI-LAYOUT-PLATFORM",
            f"reading {layout}: " + (f"no image for {platform}" if platform else "it holds several platforms"),
            hint=f"it has: {there}" if platform else f"choose one with --platform: {there}",
        )
    return _image(layout, fitting[0], remote)


def read_layout_images(layout: Layout, *, remote: Remote | None = None) -> tuple[Image, ...]:
    """Read every platform's image that `layout.tag` names, in the index's order. Raises what `read_layout` does."""
    return tuple(_image(layout, entry, remote) for entry in _manifests(layout))


def read_layout_index(layout: Layout) -> Manifest | Index:
    """Return what `layout.tag` itself names, as bytes and values: a manifest, or an index of several platforms."""
    named = _named(layout)
    return _document(layout.path, named[0]) if len(named) == 1 else Index.build(named)


def _manifests(layout: Layout) -> tuple[Descriptor, ...]:
    found: list[Descriptor] = []
    for entry in _named(layout):
        named = _document(layout.path, entry) if entry.media_type in media.INDEXES else entry
        found += named.manifests if isinstance(named, Index) else (entry,)
    return tuple(entry for entry in found if entry.media_type in media.MANIFESTS)


def _document(root: Path, entry: Descriptor) -> Manifest | Index:
    return parse_manifest(read_document(root, entry), entry.media_type)


def _named(layout: Layout) -> tuple[Descriptor, ...]:
    """Return the entries of index.json under the tag: one, or one a platform as some tools write them."""
    entries = _index(layout.path).manifests
    names = [entry.annotations.get(REF_NAME, "") for entry in entries]
    # containerd and buildx write whole references there
    found = {name for name in names if not layout.tag or name == layout.tag or name.endswith(f":{layout.tag}")}
    if len(found) != 1:
        there = ", ".join(sorted(filter(None, names))) or "none"
        raise UsageError(
            "DARI-LAYOUT-TAG",
            f"reading {layout}: " + (f"it has no image {layout.tag!r}" if layout.tag else "which of its images?"),
            hint=f"write oci:{layout.path}:TAG; its tags: {there}",
        )
    return tuple(entry for entry, name in zip(entries, names, strict=True) if name in found)


def _index(root: Path) -> Index:
    path = root / "index.json"
    try:
        if path.stat().st_size > LARGEST_DOCUMENT:
            raise Malformed("DARI-MANIFEST-MALFORMED", "it is too long")
        return Index.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(
            "DARI-LAYOUT-NOT-ONE",
            f"reading {str(root)!r}: it is no OCI layout ({path.name}: {error.strerror or error})",
            hint="name a folder that holds oci-layout, index.json and blobs/",
        ) from error


def _image(layout: Layout, entry: Descriptor, remote: Remote | None) -> Image:
    root = layout.path
    manifest = Manifest.parse(read_document(root, entry), entry.media_type)
    config = ImageConfig.parse(read_document(root, manifest.config))
    if len(config.diff_ids) != len(manifest.layers):
        raise Malformed(
            "DARI-CONFIG-MALFORMED",
            f"the config of {entry.digest} names {len(config.diff_ids)} layers, the manifest {len(manifest.layers)}",
        )
    origins = {digest: origin for named in _named(layout) for digest, origin in _origins(named).items()}
    layers = tuple(
        LayoutLayer(root, descriptor, diff_id, origins.get(str(descriptor.digest)), remote)
        for descriptor, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
    )
    return Image(manifest, config, layers)


def _origins(entry: Descriptor) -> Mapping[str, Reference]:
    """Return where layers are, by digest. Raises `Malformed` for an annotation that isn't what dari writes."""
    text = entry.annotations.get(LAYER_ORIGINS, "{}")
    try:
        document = json.loads(text)
        return {str(digest): Reference.parse(name) for name, digests in document.items() for digest in digests}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(
            "DARI-MANIFEST-MALFORMED", f"the annotation {LAYER_ORIGINS} of {entry.digest} is not dari's: {error}"
        ) from error
