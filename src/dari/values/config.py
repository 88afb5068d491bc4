"""The image configuration (OCI image-spec config.md): environment, command, history, diffIDs.

Members dari doesn't know (Docker's Healthcheck, OnBuild, Shell…) are carried over untouched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dari.values.digest import Digest
from dari.values.documents import canonical_json, json_object
from dari.values.malformed import Malformed
from dari.values.platform import Platform


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What a build sets in the config; None or empty leaves the base's own."""

    environment: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    working_directory: str | None = None
    user: str | None = None
    created: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """One line of an image's history; `empty` where it made no layer."""

    created_by: str
    created: str = ""
    comment: str = ""
    empty: bool = False


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """A config, as bytes and as what dari reads of it. Unchanged configs keep their bytes and digest."""

    raw: bytes
    platform: Platform
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    working_directory: str
    user: str
    created: str

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a config. Raises `Malformed` (DARI-CONFIG-MALFORMED)."""
        document = json_object(raw, "the image config", "DARI-CONFIG-MALFORMED")
        container = _object(document, "config")
        diff_ids = _object(document, "rootfs").get("diff_ids") or []
        history = document.get("history") or []
        if not isinstance(diff_ids, list) or not isinstance(history, list):
            raise Malformed("DARI-CONFIG-MALFORMED", "the image config's rootfs.diff_ids or history is not a list")
        return cls(
            raw,
            Platform(_text(document, "os"), _text(document, "architecture"), _text(document, "variant")),
            _environment(container),
            _labels(container),
            tuple(Digest.parse(str(digest)) for digest in diff_ids),
            tuple(_history(entry) for entry in history),
            _words(container, "Entrypoint"),
            _words(container, "Cmd"),
            _text(container, "WorkingDir"),
            _text(container, "User"),
            _text(document, "created"),
        )

    @classmethod
    def empty(cls, platform: Platform, created: str) -> Self:
        """Return the config of an image of nothing."""
        document: dict[str, Any] = {
            "created": created,
            "architecture": platform.architecture,
            "os": platform.os,
        }
        if platform.variant:
            document["variant"] = platform.variant
        return cls.parse(
            canonical_json({**document, "config": {}, "rootfs": {"type": "layers", "diff_ids": []}, "history": []})
        )

    @property
    def digest(self) -> Digest:
        """The digest of the config's bytes: what engines call the image id."""
        return Digest.of(self.raw)

    def with_layers(self, layers: tuple[tuple[Digest, History], ...]) -> "ImageConfig":
        """Return the config with `layers` (diffID and history line each) on top."""
        document = json_object(self.raw, "the image config", "DARI-CONFIG-MALFORMED")
        root = _object(document, "rootfs")
        root["type"] = "layers"
        root["diff_ids"] = [str(digest) for digest in self.diff_ids] + [str(digest) for digest, _ in layers]
        document["rootfs"] = root
        document["history"] = list(document.get("history") or []) + [_history_json(line) for _, line in layers]
        return ImageConfig.parse(canonical_json(document))

    def changed(self, change: ConfigChange) -> "ImageConfig":
        """Return the config with what `change` sets; variables and labels are added one by one."""
        document = json_object(self.raw, "the image config", "DARI-CONFIG-MALFORMED")
        container = _object(document, "config")
        if change.environment:
            container["Env"] = [f"{name}={value}" for name, value in {**self.environment, **change.environment}.items()]
        if change.labels:
            container["Labels"] = dict(sorted({**self.labels, **change.labels}.items()))
        if change.entrypoint is not None:
            container["Entrypoint"] = list(change.entrypoint)
        if change.command is not None:
            container["Cmd"] = list(change.command)
        if change.working_directory is not None:
            container["WorkingDir"] = change.working_directory
        if change.user is not None:
            container["User"] = change.user
        if change.created is not None:
            document["created"] = change.created
        document["config"] = container
        return ImageConfig.parse(canonical_json(document))


def _object(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name) or {}
    if not isinstance(value, dict):
        raise Malformed("DARI-CONFIG-MALFORMED", f"the image config's {name!r} is not an object")
    return dict(value)


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name) or ""
    if not isinstance(value, str):
        raise Malformed("DARI-CONFIG-MALFORMED", f"the image config's {name!r} is not text")
    return value


def _words(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = document.get(name) or []
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise Malformed("DARI-CONFIG-MALFORMED", f"the image config's {name!r} is not a list of words")
    return tuple(value)


def _environment(container: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in _words(container, "Env"))}


def _labels(container: Mapping[str, Any]) -> Mapping[str, str]:
    return {str(name): str(value) for name, value in _object(container, "Labels").items()}


def _history(entry: object) -> History:
    if not isinstance(entry, dict):
        raise Malformed("DARI-CONFIG-MALFORMED", "a line of the image config's history is not an object")
    return History(
        _text(entry, "created_by"),
        _text(entry, "created"),
        _text(entry, "comment"),
        bool(entry.get("empty_layer")),
    )


def _history_json(line: History) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if line.created:
        document["created"] = line.created
    document["created_by"] = line.created_by
    if line.comment:
        document["comment"] = line.comment
    if line.empty:
        document["empty_layer"] = True
    return document
