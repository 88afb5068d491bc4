"""docker-archive files: what `docker save` writes and `docker load`, `podman load` and skopeo read.

One tar with the config, each layer, and last a manifest.json that names them (moby image/spec/v1.2.md). Layers stay
gzip where they are; the readers unpack that, but older ones no zstd, so zstd layers go in as gzip.
"""

import contextlib
import hashlib
import json
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from dari.errors import IntegrityError, OutsideError, UsageError
from dari.image.blobs import LARGEST_DOCUMENT, checked
from dari.image.blocks import BLOCK_SIZE, block_compressor
from dari.image.tar import END, header, padding
from dari.image.tar_reading import Member, TarFault, members
from dari.system import CHUNK, atomic_file, codec_of, decompressed
from dari.values import media
from dari.values.config import ImageConfig
from dari.values.digest import Digest
from dari.values.documents import canonical_json
from dari.values.entry import Entry, Kind
from dari.values.image import Image, Layer
from dari.values.malformed import Malformed
from dari.values.manifest import Descriptor, Manifest
from dari.values.media import Codec
from dari.values.progress import Progress
from dari.values.reference import Archive, Reference

_MOST_LINKS: Final = 8


def write_archive(archive: Archive, image: Image, progress: Progress) -> None:
    """Write the image, whole, as `archive.name` (untagged where that is empty); replaces the file at the end.

    Raises `Malformed` for a name that is no reference, `OutsideError` (DARI-ARCHIVE-UNWRITABLE), and what opening
    the layers raises.
    """
    names = [_tagged(archive.name)] if archive.name else []
    config = f"{image.config.digest.hex}.json"
    paths = [f"{layer.diff_id.hex}/layer.tar" for layer in image.layers]
    manifest = canonical_list([{"Config": config, "RepoTags": names, "Layers": paths}])
    try:
        with atomic_file(archive.path) as stream:
            _member(stream, config, image.config.raw)
            for path, layer in dict(zip(paths, image.layers, strict=True)).items():
                with progress.task(f"layer {layer.descriptor.digest.short}", layer.descriptor.size) as task:
                    for chunk in _layer_member(path, layer, archive.path.parent):
                        stream.write(chunk)
                        task.advance(len(chunk))
            _member(stream, "manifest.json", manifest)
            stream.write(END)
    except OSError as error:
        raise OutsideError(
            "DARI-ARCHIVE-UNWRITABLE",
            f"writing {archive}: {error.strerror or error}",
            hint="make room there, or choose another place; nothing half-written was kept",
        ) from error


def canonical_list(documents: list[dict[str, Any]]) -> bytes:
    """Write a JSON array as `canonical_json` writes objects."""
    return b"[" + b",".join(canonical_json(document) for document in documents) + b"]"


@dataclass(frozen=True, slots=True)
class ArchiveLayer:
    """A layer inside a docker-archive: `size` bytes from `offset`."""

    path: Path
    offset: int
    descriptor: Descriptor
    diff_id: Digest
    origin: None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the layer's bytes, verified. Raises `IntegrityError` (DARI-LAYOUT-BLOB, DARI-ARCHIVE-MALFORMED)."""
        try:
            stream = self.path.open("rb")
        except OSError as error:
            raise IntegrityError(
                "DARI-ARCHIVE-MALFORMED",
                f"reading {str(self.path)!r}: {error.strerror or error}",
                hint="it was there a moment ago; put it back and run again",
            ) from error
        with stream:
            yield checked(_range(stream, self.offset, self.descriptor.size), self.descriptor, str(self.path))


def read_archive(archive: Archive) -> Image:
    """Read the image of a docker-archive: `archive.name`'s, else its only one. Layers are read when opened.

    A layer that is stored compressed is read once here, since only its uncompressed digest is known. Raises
    `UsageError` (DARI-ARCHIVE-NAME), `IntegrityError` (DARI-ARCHIVE-MALFORMED), `Malformed`.
    """
    try:
        with archive.path.open("rb") as stream:
            contents = _Contents(
                stream, {member.name.decode(errors="replace"): member for member in members(_Seeking(stream))}
            )
            chosen = _chosen(archive, contents.documents())
            config = ImageConfig.parse(contents.read(str(chosen["Config"])))
            paths = [str(path) for path in chosen["Layers"]]
            if len(paths) != len(config.diff_ids):
                raise TarFault(f"{len(paths)} layers, {len(config.diff_ids)} diffIDs")
            layers = tuple(_layer(archive, contents, *pair) for pair in zip(paths, config.diff_ids, strict=True))
    except Malformed:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(
            "DARI-ARCHIVE-MALFORMED",
            f"reading {archive}: it is not what `docker save` writes: {error}",
            hint="make it again; if it is compressed as a whole, decompress it first",
        ) from error
    descriptor = Descriptor(media.OCI_CONFIG, config.digest, len(config.raw))
    return Image(Manifest.build(descriptor, tuple(layer.descriptor for layer in layers)), config, layers)


@dataclass(frozen=True, slots=True)
class _Contents:
    stream: BinaryIO
    members: Mapping[str, Member]

    def documents(self) -> list[dict[str, Any]]:
        documents = json.loads(self.read("manifest.json"))
        if not isinstance(documents, list) or not all(isinstance(document, dict) for document in documents):
            raise TypeError("manifest.json is not a list of objects")
        return documents

    def read(self, path: str) -> bytes:
        member = self.file(path)
        if member.size > LARGEST_DOCUMENT:
            raise TarFault(f"{path} has {member.size} bytes")
        return b"".join(self.chunks(member))

    def chunks(self, member: Member) -> Iterator[bytes]:
        return _range(self.stream, member.offset, member.size)

    def file(self, path: str) -> Member:
        """Return the member of this name; docker and skopeo once wrote repeated layers as links (../HEX/layer.tar)."""
        for _ in range(_MOST_LINKS):
            member = self.members.get(path)
            if member is None:
                raise TarFault(f"it has no {path!r}")
            if member.is_file:
                return member
            link = member.link.decode(errors="replace")
            path = posixpath.normpath(link if member.kind == b"1" else posixpath.join(posixpath.dirname(path), link))
        raise TarFault(f"{path!r} is no file")


class _Seeking:
    """A file as a tar's source: contents are passed over without reading."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, 2)
        stream.seek(0)

    def read(self, size: int) -> bytes:
        return self._stream.read(size)

    def skip(self, size: int) -> int:
        before = self._stream.tell()
        self._stream.seek(min(before + size, self._size))
        return self._stream.tell() - before


def _chosen(archive: Archive, documents: list[dict[str, Any]]) -> dict[str, Any]:
    names = [name for document in documents for name in document.get("RepoTags") or ()]
    wanted = str(Reference.parse(archive.name)) if archive.name else ""
    fitting = [
        document for document in documents if not wanted or wanted in map(_whole, document.get("RepoTags") or ())
    ]
    if len(fitting) != 1:
        raise UsageError(
            "DARI-ARCHIVE-NAME",
            f"reading {archive}: " + (f"it has no image {wanted!r}" if wanted else "which of its images?"),
            hint=f"write docker-archive:{archive.path}:NAME; it has: {', '.join(names) or 'one without a name'}",
        )
    return fitting[0]


def _layer(archive: Archive, contents: _Contents, path: str, diff_id: Digest) -> ArchiveLayer:
    member = contents.file(path)
    codec = codec_of(next(contents.chunks(member), b""))
    digest = diff_id
    if codec is not Codec.NONE:
        running = hashlib.sha256()
        for chunk in contents.chunks(member):
            running.update(chunk)
        digest = Digest("sha256", running.hexdigest())
    descriptor = Descriptor(media.layer_type(codec), digest, member.size)
    return ArchiveLayer(archive.path, member.offset, descriptor, diff_id)


def _range(stream: IO[bytes], offset: int, size: int) -> Iterator[bytes]:
    stream.seek(offset)
    while size and (chunk := stream.read(min(size, CHUNK))):
        size -= len(chunk)
        yield chunk


def _tagged(name: str) -> str:
    Reference.parse(name)
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _whole(name: object) -> str:
    """Return a name as skopeo writes it: docker.io/library/app:1 for docker's app:1."""
    try:
        return str(Reference.parse(str(name)))
    except Malformed:
        return ""


def _member(stream: IO[bytes], path: str, content: bytes) -> None:
    stream.write(header(Entry(path, Kind.FILE, size=len(content))) + content + padding(len(content)))


def _layer_member(path: str, layer: Layer, folder: Path) -> Iterator[bytes]:
    codec = media.layer_codec(layer.descriptor.media_type)
    with contextlib.ExitStack() as stack:
        chunks, size = stack.enter_context(layer.open()), layer.descriptor.size
        if codec is Codec.ZSTD:
            spool = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            for member in _regzipped(decompressed(chunks, codec)):
                spool.write(member)
            size = spool.tell()
            chunks = _range(spool, 0, size)
        yield header(Entry(path, Kind.FILE, size=size))
        yield from chunks
        yield padding(size)


def _regzipped(pieces: Iterator[bytes]) -> Iterator[bytes | bytearray]:
    compress, block = block_compressor(Codec.GZIP), bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK_SIZE:
            yield compress(block)
            block = bytearray()
    if block:
        yield compress(block)
