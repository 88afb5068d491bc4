"""Descriptors, manifests and indexes (OCI image-spec: descriptor.md, manifest.md, image-index.md).

Parsing checks what the rest of the program relies on and keeps the exact bytes: a digest is a digest of bytes,
so a manifest that was read is never written again in other words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dari.values import media
from dari.values.digest import Digest
from dari.values.documents import canonical_json, json_object, member
from dari.values.malformed import Malformed
from dari.values.platform import Platform


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Points at content: media type, digest, size in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str = ""

    @classmethod
    def from_json(cls, document: Mapping[str, Any], where: str) -> Self:
        """Read one descriptor. Raises `Malformed` (DARI-MANIFEST-MALFORMED)."""
        size = member(document, "size", int, where)
        if size < 0:
            raise Malformed("DARI-MANIFEST-MALFORMED", f"{where}: a size below zero ({size})")
        return cls(
            member(document, "mediaType", str, where),
            Digest.parse(member(document, "digest", str, where)),
            size,
            _annotations(document, where),
            _platform(document.get("platform")),
            document.get("artifactType") or "",
        )

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor as the spec writes it; empty members are left out."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.platform:
            document["platform"] = {"architecture": self.platform.architecture, "os": self.platform.os} | (
                {"variant": self.platform.variant} if self.platform.variant else {}
            )
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image (or artifact): its config and its layers, lowest first. `raw` is what the digest covers."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    raw: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: Descriptor | None = None
    artifact_type: str = ""

    @classmethod
    def parse(cls, raw: bytes, media_type: str = "") -> Self:
        """Read a manifest. Raises `Malformed` (DARI-MANIFEST-MALFORMED)."""
        where = "the manifest"
        document = json_object(raw, where, "DARI-MANIFEST-MALFORMED")
        if member(document, "schemaVersion", int, where) != 2:  # noqa: PLR2004 - the spec's only value
            raise Malformed(
                "DARI-MANIFEST-MALFORMED",
                "the manifest is of schema version 1",
                hint="push the image again with a tool of this decade",
            )
        declared = document.get("mediaType") or media_type or media.OCI_MANIFEST
        if declared not in media.MANIFESTS:
            raise Malformed("DARI-MANIFEST-MALFORMED", f"{declared!r} is not an image manifest's media type")
        subject = document.get("subject")
        return cls(
            declared,
            Descriptor.from_json(member(document, "config", dict, where), f"{where}'s config"),
            tuple(
                Descriptor.from_json(layer, f"{where}'s layer {number}")
                for number, layer in enumerate(member(document, "layers", list, where))
            ),
            raw,
            _annotations(document, where),
            Descriptor.from_json(subject, f"{where}'s subject") if subject else None,
            document.get("artifactType") or "",
        )

    @classmethod
    def build(
        cls,
        config: Descriptor,
        layers: tuple[Descriptor, ...],
        *,
        annotations: Mapping[str, str] | None = None,
        media_type: str = media.OCI_MANIFEST,
        subject: Descriptor | None = None,
        artifact_type: str = "",
    ) -> Self:
        """Write a manifest; the same arguments give the same bytes."""
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type}
        if artifact_type:
            document["artifactType"] = artifact_type
        document |= {"config": config.to_json(), "layers": [layer.to_json() for layer in layers]}
        if subject:
            document["subject"] = subject.to_json()
        if annotations:
            document["annotations"] = dict(sorted(annotations.items()))
        raw = canonical_json(document)
        return cls(media_type, config, layers, raw, dict(annotations or {}), subject, artifact_type)

    @property
    def digest(self) -> Digest:
        """The digest of the manifest's bytes."""
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """A descriptor that points at this manifest."""
        return Descriptor(self.media_type, self.digest, len(self.raw), artifact_type=self.artifact_type)


@dataclass(frozen=True, slots=True)
class Index:
    """Several manifests, usually one a platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    raw: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: bytes, media_type: str = "") -> Self:
        """Read an index. Raises `Malformed` (DARI-MANIFEST-MALFORMED)."""
        where = "the index"
        document = json_object(raw, where, "DARI-MANIFEST-MALFORMED")
        declared = document.get("mediaType") or media_type or media.OCI_INDEX
        if declared not in media.INDEXES:
            raise Malformed("DARI-MANIFEST-MALFORMED", f"{declared!r} is not an index's media type")
        entries = tuple(
            Descriptor.from_json(entry, f"{where}'s entry {number}")
            for number, entry in enumerate(member(document, "manifests", list, where))
        )
        return cls(declared, entries, raw, _annotations(document, where))

    @classmethod
    def build(cls, manifests: tuple[Descriptor, ...], *, annotations: Mapping[str, str] | None = None) -> Self:
        """Write an index; the same arguments give the same bytes."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": media.OCI_INDEX,
            "manifests": [entry.to_json() for entry in manifests],
        }
        if annotations:
            document["annotations"] = dict(sorted(annotations.items()))
        return cls(media.OCI_INDEX, manifests, canonical_json(document), dict(annotations or {}))

    @property
    def digest(self) -> Digest:
        """The digest of the index's bytes."""
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """A descriptor that points at this index."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    def select(self, platform: Platform) -> Descriptor | None:
        """Return the entry for `platform`, the first one that fits."""
        return next((entry for entry in self.manifests if entry.platform and platform.runs(entry.platform)), None)


def parse_manifest(raw: bytes, media_type: str = "") -> Manifest | Index:
    """Read either kind, by its own mediaType, else the transport's, else its members. Raises `Malformed`."""
    document = json_object(raw, "the manifest", "DARI-MANIFEST-MALFORMED")
    kind = document.get("mediaType") or media_type
    if kind in media.INDEXES or (kind not in media.MANIFESTS and "manifests" in document):
        return Index.parse(raw, kind if kind in media.INDEXES else "")
    return Manifest.parse(raw, kind if kind in media.MANIFESTS else "")


def _annotations(document: Mapping[str, Any], where: str) -> Mapping[str, str]:
    annotations = document.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise Malformed("DARI-MANIFEST-MALFORMED", f"{where}: annotations must map text to text")
    return annotations


def _platform(document: object) -> Platform | None:
    """Read a platform leniently: an index may list platforms dari doesn't build for (windows, attestations)."""
    if not isinstance(document, dict):
        return None
    return Platform(
        str(document.get("os", "")), str(document.get("architecture", "")), str(document.get("variant") or "")
    )
