"""What the Debian room's tests share: a store, a downloader, the host's sources, real roots."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dari.registry import Downloads
from dari.system import Store
from dari.values.apt import apt_sources
from dari.values.debian import is_install_state
from dari.values.inventory import AptSource
from dari.values.platform import Platform
from dari.values.progress import Silent
from dari.values.settings import Settings
from tests.support.debian_root import CACHE, debian_root, host_apt_files

AMD64 = Platform.parse("linux/amd64")


@dataclass(frozen=True, slots=True)
class Workshop:
    """A cache and what fills it."""

    store: Store
    downloads: Downloads


@dataclass(frozen=True, slots=True)
class Base:
    """An unpacked root: what an inventory of it would say."""

    folder: Path
    status: bytes
    files: Mapping[str, bytes]
    links: Mapping[str, str]


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """Open an empty cache."""
    settings = Settings(tmp_path / "cache")
    with Downloads(settings, Silent()) as downloads:
        yield Workshop(Store(settings.cache), downloads)


@pytest.fixture(scope="session")
def kept_workshop() -> Iterator[Workshop]:
    """Open the cache that real packages stay in from run to run."""
    settings = Settings(CACHE / "debian-cache")
    with Downloads(settings, Silent()) as downloads:
        yield Workshop(Store(settings.cache), downloads)


@pytest.fixture(scope="session")
def host_sources() -> tuple[AptSource, ...]:
    """Return bookworm's sources as the host has them."""
    suites = {"bookworm", "bookworm-updates", "bookworm-security"}
    return tuple(source for source in apt_sources(host_apt_files()) if source.suite in suites)


@pytest.fixture(scope="session")
def minbase(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Unpack a real minbase root of bookworm."""
    folder = tmp_path_factory.mktemp("minbase")
    subprocess.run(["tar", "-xf", debian_root(), "-C", folder, "--exclude=./dev/*"], check=True)
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return Base(
        folder,
        (folder / "var/lib/dpkg/status").read_bytes(),
        {name: path.read_bytes() for name, path in files.items() if is_install_state(name) and not path.is_symlink()},
        {path.name: str(path.readlink()) for path in folder.iterdir() if path.is_symlink()},
    )


Inside = Callable[[Path, str], subprocess.CompletedProcess[str]]


@pytest.fixture
def inside() -> Inside:
    """Run a shell command inside a root: a mount and process namespace of its own, the host's /dev."""

    def run(root: Path, command: str) -> subprocess.CompletedProcess[str]:
        for name in ("proc", "dev"):
            with contextlib.suppress(FileExistsError):
                (root / name).mkdir()
        script = (
            f'mount --rbind /dev "{root}/dev" && exec unshare --fork --pid --mount-proc --root="{root}" /bin/sh -c "$0"'
        )
        return subprocess.run(
            ["unshare", "--mount", "/bin/sh", "-c", script, command],
            env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
