"""The judge of OCI layouts: everything that is wrong with one, told at once. Product code, and the tests' oracle."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Final

from dari.errors import DariError
from dari.image.blobs import LARGEST_DOCUMENT, blob_path
from dari.image.layout import LAYER_ORIGINS
from dari.image.tar_reading import Member, TarFault, members
from dari.system import CHUNK, decompressed
from dari.values import media
from dari.values.config import ImageConfig
from dari.values.digest import Digest
from dari.values.finding import Finding, Severity
from dari.values.malformed import Malformed
from dari.values.manifest import Descriptor, Index, Manifest, parse_manifest
from dari.values.media import Codec
from dari.values.reference import Layout

_DEEPEST_INDEX: Final = 4
# plain (three spellings), hard link, symbolic link, directory
_KINDS: Final = frozenset({b"0", b"\0", b"7", b"1", b"2", b"5"})
_CONFIGS: Final = (media.OCI_CONFIG, media.DOCKER_CONFIG)


@dataclass(slots=True)
class _Inspection:
    """What was found so far. The only mutable thing here: findings are collected, not raised."""

    root: Path
    origins: str = ""
    findings: list[Finding] = field(default_factory=list)
    read: set[Digest] = field(default_factory=set)
    unpacked: dict[Digest, Digest | None] = field(default_factory=dict)

    def tell(self, id: str, where: object, message: str, *, severity: Severity = Severity.ERROR) -> None:
        self.findings.append(Finding(id, severity, message, where=str(where)))


def validate(layout: Layout) -> tuple[Finding, ...]:
    """Check a layout through and through; no findings means sound.

    Checked: oci-layout and index.json; size and digest of every blob, unreferenced ones too; media types; that
    platform, diffIDs and history of each config agree with its manifest; that each layer decompresses to its diffID;
    that each is a tar whose paths stay below the root, without device nodes. A layer left out of a sparse layout is
    a note, not an error. Reads everything once, in constant memory; raises nothing for any content.
    """
    inspection = _Inspection(layout.path)
    _version(inspection)
    index = _index(inspection)
    if index:
        inspection.origins = "".join(entry.annotations.get(LAYER_ORIGINS, "") for entry in index.manifests)
        for entry in index.manifests:
            _entry(inspection, entry, 0)
    _unreferenced(inspection)
    return tuple(inspection.findings)


def _version(inspection: _Inspection) -> None:
    path = inspection.root / "oci-layout"
    try:
        sound = b'"imageLayoutVersion"' in path.read_bytes() and b'"1.0.0"' in path.read_bytes()
    except OSError:
        sound = False
    if not sound:
        inspection.tell("DARI-LAYOUT-UNSOUND", path, "oci-layout is missing, or names no version 1.0.0")


def _index(inspection: _Inspection) -> Index | None:
    path = inspection.root / "index.json"
    try:
        return Index.parse(path.read_bytes())
    except (OSError, Malformed) as error:
        inspection.tell("DARI-LAYOUT-UNSOUND", path, f"index.json can't be read: {error}")
        return None


def _entry(inspection: _Inspection, entry: Descriptor, depth: int) -> None:
    raw = _document(inspection, entry)
    if raw is None:
        return
    if entry.media_type not in {*media.INDEXES, *media.MANIFESTS}:
        inspection.tell("DARI-LAYOUT-MEDIA-TYPE", entry.digest, f"{entry.media_type!r} is no manifest's media type")
        return
    try:
        document = parse_manifest(raw, entry.media_type)
    except Malformed as error:
        inspection.tell("DARI-LAYOUT-DOCUMENT", entry.digest, str(error))
        return
    if document.media_type != entry.media_type:
        inspection.tell(
            "DARI-LAYOUT-MEDIA-TYPE", entry.digest, f"pointed at as {entry.media_type}, is {document.media_type}"
        )
    if isinstance(document, Manifest):
        _image(inspection, entry, document)
    elif depth == _DEEPEST_INDEX:
        inspection.tell("DARI-LAYOUT-DOCUMENT", entry.digest, "indexes within indexes, too deep")
    else:
        for other in document.manifests:
            _entry(inspection, other, depth + 1)


def _image(inspection: _Inspection, entry: Descriptor, manifest: Manifest) -> None:
    raw = _document(inspection, manifest.config)
    if manifest.config.media_type not in _CONFIGS:  # an artifact: its layers are no file systems
        for layer in manifest.layers:
            _drain(_blob(inspection, layer))
        return
    config = None
    if raw is not None:
        try:
            config = ImageConfig.parse(raw)
        except Malformed as error:
            inspection.tell("DARI-LAYOUT-DOCUMENT", manifest.config.digest, str(error))
    if config:
        _agreement(inspection, entry, manifest, config)
    diff_ids = config.diff_ids if config else ()
    for layer, diff_id in zip_longest(manifest.layers, diff_ids[: len(manifest.layers)]):
        _layer(inspection, layer, diff_id)


def _agreement(inspection: _Inspection, entry: Descriptor, manifest: Manifest, config: ImageConfig) -> None:
    where, layers = manifest.config.digest, len(manifest.layers)
    docker = manifest.media_type == media.DOCKER_MANIFEST
    if docker != (manifest.config.media_type == media.DOCKER_CONFIG):
        inspection.tell(
            "DARI-LAYOUT-MEDIA-TYPE", where, f"a config {manifest.config.media_type} in a {manifest.media_type}"
        )
    if len(config.diff_ids) != layers:
        inspection.tell("DARI-LAYOUT-DIFF-ID", where, f"{len(config.diff_ids)} diffIDs for {layers} layers")
    lines = sum(not line.empty for line in config.history)
    if config.history and lines != layers:
        inspection.tell("DARI-LAYOUT-HISTORY", where, f"{lines} lines of history for {layers} layers")
    if entry.platform and not entry.platform.runs(config.platform):
        inspection.tell("DARI-LAYOUT-DOCUMENT", where, f"listed for {entry.platform}, made for {config.platform}")


def _layer(inspection: _Inspection, layer: Descriptor, diff_id: Digest | None) -> None:
    if media.layer_codec(layer.media_type) is None:
        inspection.tell("DARI-LAYOUT-MEDIA-TYPE", layer.digest, f"{layer.media_type!r} is no layer's media type")
    if not blob_path(inspection.root, layer).exists() and str(layer.digest) in inspection.origins:
        inspection.tell(
            "DARI-LAYOUT-LEFT-OUT", layer.digest, "the layout leaves this layer in a registry", severity=Severity.NOTE
        )
        return
    if layer.digest not in inspection.unpacked:
        inspection.unpacked[layer.digest] = _unpacked(inspection, layer)
    found = inspection.unpacked[layer.digest]
    if found and diff_id and found != diff_id:
        inspection.tell("DARI-LAYOUT-DIFF-ID", layer.digest, f"decompresses to {found}, not {diff_id}")


def _unpacked(inspection: _Inspection, layer: Descriptor) -> Digest | None:
    """Return a layer's diffID, telling on the way what is wrong with its blob, its compression and its tar."""
    blob = _blob(inspection, layer)
    stream = _Hashed(decompressed(blob, media.layer_codec(layer.media_type) or Codec.NONE))
    try:
        for member in members(stream):
            problem = _member_problem(member)
            if problem:
                inspection.tell("DARI-LAYOUT-LAYER", layer.digest, f"{member.name[:200]!r} {problem}")
    except TarFault as fault:
        inspection.tell("DARI-LAYOUT-LAYER", layer.digest, f"is not a sound tar: {fault}")
    except DariError as error:
        inspection.tell("DARI-LAYOUT-LAYER", layer.digest, str(error))
        _drain(blob)
        return None
    try:
        stream.drain()
    except DariError as error:
        inspection.tell("DARI-LAYOUT-LAYER", layer.digest, str(error))
        _drain(blob)
        return None
    return stream.digest


def _member_problem(member: Member) -> str:
    if not member.name or member.name.startswith(b"/") or b".." in member.name.split(b"/"):
        return "leaves the root"
    if member.kind == b"1" and (member.link.startswith(b"/") or b".." in member.link.split(b"/")):
        return f"is a hard link to {member.link[:200]!r}, outside the root"
    if member.kind not in _KINDS:
        return "is a device, a fifo or of an unknown kind"
    if b"\0" in member.name or b"\0" in member.link:
        return "has a NUL in its name"
    return ""


class _Hashed:
    """Chunks as a tar's source that hashes all that passes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._at = 0
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> Digest:
        return Digest("sha256", self._hash.hexdigest())

    def read(self, size: int) -> bytes:
        pieces = []
        while size and self._filled():
            piece = self._rest[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        passed = 0
        while passed < size and self._filled():
            step = min(size - passed, len(self._rest) - self._at)
            self._at += step
            passed += step
        return passed

    def drain(self) -> None:
        self._at = len(self._rest)
        while self._filled():
            self._at = len(self._rest)

    def _filled(self) -> bool:
        """Say whether there are more bytes, taking the next chunk where this one is used up."""
        while self._at == len(self._rest):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._hash.update(chunk)
            self._rest, self._at = chunk, 0
        return True


def _document(inspection: _Inspection, descriptor: Descriptor) -> bytes | None:
    """Return a small blob's content, None where it can't be trusted; says why once."""
    if descriptor.size > LARGEST_DOCUMENT:
        inspection.tell("DARI-LAYOUT-DOCUMENT", descriptor.digest, f"{descriptor.size} bytes are too many")
        return None
    before = len(inspection.findings)
    content = b"".join(_blob(inspection, descriptor))
    return content if len(inspection.findings) == before else None


def _blob(inspection: _Inspection, descriptor: Descriptor) -> Iterator[bytes]:
    """Yield a blob, hashing it; tells at its end whether size and digest are right."""
    inspection.read.add(descriptor.digest)
    running, size = hashlib.new(descriptor.digest.algorithm), 0
    try:
        with blob_path(inspection.root, descriptor).open("rb") as stream:
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                running.update(chunk)
                size += len(chunk)
                yield chunk
    except OSError as error:
        inspection.tell("DARI-LAYOUT-BLOB", descriptor.digest, f"can't be read: {error.strerror or error}")
        return
    if size != descriptor.size:
        inspection.tell("DARI-LAYOUT-BLOB", descriptor.digest, f"has {size} bytes, not {descriptor.size}")
    if running.hexdigest() != descriptor.digest.hex:
        inspection.tell("DARI-LAYOUT-BLOB", descriptor.digest, f"its bytes have the digest {running.hexdigest()}")


def _drain(chunks: Iterator[bytes]) -> None:
    for _ in chunks:
        pass


def _unreferenced(inspection: _Inspection) -> None:
    for path in sorted(inspection.root.glob("blobs/*/*")):
        try:
            digest = Digest.parse(f"{path.parent.name}:{path.name}")
        except Malformed:
            if not path.name.startswith("."):  # a write that was killed leaves a dot file
                inspection.tell("DARI-LAYOUT-BLOB", path, "is no digest's name")
            continue
        if digest not in inspection.read:
            _drain(_blob(inspection, Descriptor("", digest, path.stat().st_size)))
