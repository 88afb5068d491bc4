"""The machine that dari runs on: its platform, and where its Debian packages come from."""

import os
import platform
from pathlib import Path
from typing import Final

from dari.values.inventory import AptSource
from dari.values.platform import Platform

_SOURCES: Final = ("etc/apt/sources.list", "etc/apt/sources.list.d/*.list", "etc/apt/sources.list.d/*.sources")
_KEYRINGS: Final = (
    "etc/apt/trusted.gpg",
    "etc/apt/trusted.gpg.d/*",
    "etc/apt/keyrings/*",
    "usr/share/keyrings/*",
)
_LARGEST: Final = 4 << 20  # bytes; Debian's whole keyring is 60 kB


def host_platform() -> Platform:
    """Return the platform whose images run here: linux on this machine's architecture, also under macOS.

    Raises `Malformed` (DARI-PLATFORM-UNKNOWN) on other architectures.
    """
    return Platform.parse(f"linux/{platform.machine()}")


def host_apt_sources(root: Path = Path("/")) -> tuple[AptSource, ...]:
    """Return where apt below `root` gets packages from, with the keys that sign them; none on other systems.

    Raises `Malformed` (DARI-APT-SOURCES) for sources that apt itself would refuse.
    """
    from dari.values.apt import apt_sources  # noqa: PLC0415 - only where packages are looked for

    files: dict[str, bytes] = {}
    for pattern in (*_SOURCES, *_KEYRINGS):
        for path in sorted(root.glob(pattern)):
            # A key that only root may read isn't one that apt's unprivileged download process would use.
            if path.is_file() and path.stat().st_size <= _LARGEST and os.access(path, os.R_OK):
                files[path.relative_to(root).as_posix()] = path.read_bytes()
    return apt_sources(files, architecture=host_platform().debian)
