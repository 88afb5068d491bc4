"""dari.lock: exactly what a build puts on which base, per platform, each file with its digest."""

from dataclasses import dataclass

from dari.values.digest import Digest
from dari.values.finding import Finding
from dari.values.platform import Platform
from dari.values.python import PythonTarget


@dataclass(frozen=True, slots=True, order=True)
class LockedWheel:
    """One wheel to install.

    `url` is https:, or file: (relative to the project's folder where the file lies in it), or
    `sdist+URL#sha256=HEX[&before=TIME]`: an sdist built on the host to a pure-Python wheel with this `digest`, its
    build requirements as the index knew them before TIME.
    """

    name: str
    version: str
    filename: str
    url: str
    digest: Digest
    size: int
    required_by: tuple[str, ...]  # the project's own requirement lines that lead here


@dataclass(frozen=True, slots=True, order=True)
class LockedDeb:
    """One Debian package to unpack."""

    name: str
    version: str
    architecture: str
    url: str
    digest: Digest
    size: int
    required_by: tuple[str, ...]  # names of the project's apt list that lead here


@dataclass(frozen=True, slots=True, order=True)
class Given:
    """A requirement that the base already satisfies."""

    name: str
    version: str
    requirement: str


@dataclass(frozen=True, slots=True, order=True)
class HeldBack:
    """A distribution whose version the base's own pins hold below what it would be without them."""

    name: str
    version: str
    without_base: str
    because: str


@dataclass(frozen=True, slots=True)
class PythonResolution:
    """What the project's requirements come to on one platform; `findings` are warnings and notes, never errors."""

    wheels: tuple[LockedWheel, ...]
    given: tuple[Given, ...]
    held_back: tuple[HeldBack, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class PlatformLock:
    """The lock of one platform. `manifest` is the base's, absent for scratch."""

    platform: Platform
    manifest: Digest | None
    python: PythonTarget | None
    wheels: tuple[LockedWheel, ...]
    debs: tuple[LockedDeb, ...]
    given: tuple[Given, ...]
    held_back: tuple[HeldBack, ...]


@dataclass(frozen=True, slots=True)
class Lock:
    """The whole lock. `inputs` is the digest of everything it was resolved from; a change makes it stale."""

    inputs: Digest
    base: str
    platforms: tuple[PlatformLock, ...]
