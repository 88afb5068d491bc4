"""A project as dari.toml (or [tool.dari] in pyproject.toml) describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dari.values.inventory import AptSource
from dari.values.media import Codec
from dari.values.platform import Platform

SCRATCH = "scratch"
WORKDIR = "/workspace"  # where NGC's images already work


@dataclass(frozen=True, slots=True)
class LockRules:
    """What the project decides about its requirements; each list holds normalised distribution names."""

    allow: tuple[str, ...] = ()  # may be installed although the base has (and protects) another version
    skip: tuple[str, ...] = ()  # left out, though a requirements file names them
    accept_prerelease: tuple[str, ...] = ()  # the base's 2.6.0a0 counts as 2.6.0
    build: tuple[str, ...] = ()  # sdists that may be built to a pure-Python wheel on this host
    exclude_newer: str = ""  # an RFC 3339 date: ignore files uploaded later


@dataclass(frozen=True, slots=True)
class Project:
    """A project folder and what is to become of it. Paths in `requirements` and `files` are relative to `folder`."""

    folder: Path
    source: Path  # the file that was read, for messages
    base: str  # a reference, or 'scratch'
    requirements: tuple[str, ...] = ()  # requirements files
    dependencies: tuple[str, ...] = ()  # requirement lines (pyproject's project.dependencies)
    apt: tuple[str, ...] = ()  # 'name' or 'name=version'
    apt_sources: tuple[AptSource, ...] = ()  # instead of the base's own (or, for scratch, the host's)
    files: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()  # path patterns, or 'env.NAME', 'labels.NAME', 'cmd', 'entrypoint'
    workdir: str = WORKDIR  # absolute; the project's files go here
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    user: str | None = None
    registry: str = ""
    tag: str = ""
    platforms: tuple[Platform, ...] = ()
    codec: Codec = Codec.GZIP
    lock: LockRules = LockRules()
