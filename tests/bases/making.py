"""Images made by hand: layers from lists of members, written with the standard library's tarfile."""

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

from dari.values import media
from dari.values.config import ImageConfig
from dari.values.digest import Digest
from dari.values.image import Image
from dari.values.manifest import Descriptor, Manifest
from dari.values.media import Codec
from dari.values.reference import Location

TYPES = {
    "file": tarfile.REGTYPE,
    "folder": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


@dataclass(frozen=True, slots=True)
class Item:
    """One member: `kind` is a key of TYPES, `text` the content of a file or the target of a link."""

    path: str
    kind: str = "file"
    text: str | bytes = ""

    @property
    def content(self) -> bytes:
        """The file's bytes; none for anything else."""
        if self.kind != "file":
            return b""
        return self.text if isinstance(self.text, bytes) else self.text.encode("utf-8", "surrogateescape")


def link(path: str, target: str) -> Item:
    """Return a symlink."""
    return Item(path, "link", target)


def hardlink(path: str, target: str) -> Item:
    """Return a hardlink."""
    return Item(path, "hardlink", target)


def folder(path: str) -> Item:
    """Return a directory."""
    return Item(path, "folder")


def tar(items: Sequence[Item], *, format: int = tarfile.PAX_FORMAT) -> bytes:
    """Write a tar of the items, in their order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format, errors="surrogateescape") as archive:
        for item in items:
            info = tarfile.TarInfo(item.path)
            info.type, info.size, info.mode = TYPES[item.kind], len(item.content), 0o755
            if item.kind in {"link", "hardlink"}:
                info.linkname = str(item.text)
            archive.addfile(info, io.BytesIO(item.content) if item.kind == "file" else None)
    return stream.getvalue()


def compress(content: bytes, codec: Codec) -> bytes:
    """Compress a layer."""
    match codec:
        case Codec.NONE:
            return content
        case Codec.GZIP:
            return gzip.compress(content, 1, mtime=0)
        case Codec.ZSTD:
            return zstandard.ZstdCompressor(1).compress(content)


@dataclass(frozen=True, slots=True)
class MadeLayer:
    """A layer in memory; `opened` counts how often it was read."""

    content: bytes
    descriptor: Descriptor
    diff_id: Digest
    opened: list[None]
    chunk: int = 1 << 16
    origin: Location | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the compressed bytes in chunks."""
        self.opened.append(None)
        yield (self.content[at : at + self.chunk] for at in range(0, len(self.content), self.chunk))


def layer(content: bytes, codec: Codec = Codec.GZIP, *, chunk: int = 1 << 16) -> MadeLayer:
    """Return a layer of a tar's bytes."""
    packed = compress(content, codec)
    descriptor = Descriptor(media.layer_type(codec), Digest.of(packed), len(packed))
    return MadeLayer(packed, descriptor, Digest("sha256", hashlib.sha256(content).hexdigest()), [], chunk)


def image(
    *layers: MadeLayer,
    environment: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    history: Sequence[str] = (),
    created: str = "2024-12-17T00:00:00Z",
) -> Image:
    """Return an image of these layers, lowest first."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {
            "Env": [f"{name}={value}" for name, value in (environment or {}).items()],
            "Labels": dict(labels or {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [str(one.diff_id) for one in layers]},
        "history": [{"created_by": line} for line in history],
    }
    config = ImageConfig.parse(json.dumps(document).encode())
    descriptor = Descriptor(media.OCI_CONFIG, config.digest, len(config.raw))
    return Image(Manifest.build(descriptor, tuple(one.descriptor for one in layers)), config, layers)


def image_of(*contents: Sequence[Item], environment: Mapping[str, str] | None = None) -> Image:
    """Return an image whose layers hold these items."""
    return image(*(layer(tar(items)) for items in contents), environment=environment)


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer in a layout's blobs folder."""

    path: Path
    descriptor: Descriptor
    diff_id: Digest
    origin: Location | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the compressed bytes in chunks."""
        with self.path.open("rb") as stream:
            yield iter(lambda: stream.read(1 << 20), b"")


def opened_layout(layout: Path) -> Image:
    """Open the only image of an OCI layout, without dari's own reader."""
    blobs = layout / "blobs/sha256"
    index = json.loads((layout / "index.json").read_bytes())
    manifest = Manifest.parse((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_bytes())
    config = ImageConfig.parse((blobs / manifest.config.digest.hex).read_bytes())
    layers = zip(manifest.layers, config.diff_ids, strict=True)
    return Image(manifest, config, tuple(StoredLayer(blobs / one.digest.hex, one, diff) for one, diff in layers))
