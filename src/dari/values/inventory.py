"""What is inside a base image: its OS, Debian packages, Python and Python distributions, GPU libraries.

Made once by streaming the layers (`dari bases scan`), then kept by the manifest's digest, so that locking and
building never read the base again. Paths are relative to the root, without a leading slash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dari.values.digest import Digest
from dari.values.fact import Fact, Missing
from dari.values.platform import Platform
from dari.values.python import PythonTarget


@dataclass(frozen=True, slots=True)
class OsRelease:
    """/etc/os-release: `id` 'ubuntu', `version` '24.04', `codename` 'noble'. Empty where the file says nothing."""

    id: str
    version: str
    codename: str
    name: str


@dataclass(frozen=True, slots=True)
class AptSource:
    """One entry of /etc/apt: where packages of this OS release come from, and who signs them."""

    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: bytes  # OpenPGP certificates, binary or armored, as the base holds them; empty where none was found


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """One installed package of /var/lib/dpkg/status. `provides` as written: 'name' or 'name (= version)'."""

    name: str
    version: str
    architecture: str
    provides: tuple[str, ...] = ()
    multi_arch: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed Python distribution (core metadata).

    `location` is the site directory it lies in; `paths` are what it owns below the root: every file for a
    protected distribution, only its top-level names there for any other. `requires` are Requires-Dist lines.
    """

    name: str
    version: str
    location: str
    requires: tuple[str, ...]
    paths: tuple[str, ...]
    protected: bool


@dataclass(frozen=True, slots=True)
class SharedLibrary:
    """A GPU or framework library of the base. `exports` says whether symbols can be looked up in it."""

    path: str
    soname: str
    exports: Fact["SymbolSet"]


@dataclass(frozen=True, slots=True)
class SymbolSet:
    """Names of exported dynamic symbols, kept as the first six bytes of their sha256, sorted and joined.

    Small enough to keep for libtorch (10^5 names, 0.6 MB); a false 'present' happens once in 10^9 look-ups.
    """

    packed: bytes


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything dari knows of a base without running it. `manifest` is the digest of the manifest scanned."""

    manifest: Digest
    platform: Platform
    os_release: OsRelease
    packages: tuple[DebianPackage, ...]
    apt_sources: tuple[AptSource, ...]
    python: Fact[PythonTarget]
    distributions: tuple[Distribution, ...]
    constraints: tuple[str, ...]
    libraries: tuple[SharedLibrary, ...]
    protected_paths: tuple[str, ...]
    directory_links: Mapping[str, str] = field(default_factory=dict)  # 'lib' → 'usr/lib': links to directories
    environment: Mapping[str, str] = field(default_factory=dict)
    dpkg_status: bytes = b""  # the file itself: a layer with new packages carries it whole
    install_state: Mapping[str, bytes] = field(default_factory=dict)  # small files that installing packages changes
    missing: Mapping[str, Missing] = field(default_factory=dict)  # 'os_release', 'packages', 'glibc', 'python': why not
