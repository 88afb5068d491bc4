"""Which files of a layer are worth keeping: by their names, before anyone knows what the merged image looks like."""

import re
from enum import StrEnum
from typing import Final

from dari.values.debian import is_install_state
from dari.values.protection import is_gpu_library


class Interest(StrEnum):
    """What is kept of a file."""

    NOTHING = "nothing"
    TEXT = "text"  # its bytes
    HEADERS = "headers"  # its first paragraph: the fields of core metadata, not the description
    GLIBC = "glibc"  # the version that the C library says of itself
    LIBRARY = "library"  # soname and exported symbols


_SITES: Final = ("site-packages", "dist-packages")
_INFORMATION: Final = {
    "METADATA": Interest.HEADERS,
    "PKG-INFO": Interest.HEADERS,
    "RECORD": Interest.TEXT,
    "top_level.txt": Interest.TEXT,
    "requires.txt": Interest.TEXT,
    "installed-files.txt": Interest.TEXT,
}
_TEXTS: Final = frozenset({
    "etc/os-release", "usr/lib/os-release", "var/lib/dpkg/status", "etc/pip.conf", "etc/pip/constraint.txt",
    "root/.config/pip/pip.conf", "root/.pip/pip.conf", "etc/apt/sources.list", "etc/apt/trusted.gpg",
})  # fmt: skip
_TEXT_FOLDERS: Final = (
    "etc/apt/sources.list.d/",
    "etc/apt/trusted.gpg.d/",
    "etc/apt/keyrings/",
    "usr/share/keyrings/",
    "var/lib/dpkg/status.d/",
)
_STATE_FOLDERS: Final = ("etc/", "var/lib/")
_IN_SITES: Final = {"egg-info": Interest.HEADERS, "egg-link": Interest.TEXT}
_GLIBC: Final = re.compile(r"libc(?:\.so\.6|-2\.\d+\.so)")


def interest_in(path: str) -> Interest:
    """Say what is kept of the regular file at `path` (relative, normalised)."""
    folder, _, name = path.rpartition("/")
    if path.startswith(_STATE_FOLDERS) and is_install_state(path):
        return Interest.TEXT
    if name.startswith("lib"):
        return _of_library(name)
    if folder.endswith((".dist-info", ".egg-info", "/EGG-INFO")):
        return _INFORMATION.get(name, Interest.NOTHING)
    if folder.endswith(_SITES):
        return _IN_SITES.get(name.rpartition(".")[2], Interest.NOTHING)
    wanted = name == "pyvenv.cfg" or path in _TEXTS or path.startswith(_TEXT_FOLDERS)
    return Interest.TEXT if wanted else Interest.NOTHING


def _of_library(name: str) -> Interest:
    if _GLIBC.fullmatch(name):
        return Interest.GLIBC
    # A static archive has no dynamic symbols, and nothing installed later links against it.
    return Interest.LIBRARY if is_gpu_library(name) and not name.endswith(".a") else Interest.NOTHING
