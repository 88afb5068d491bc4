"""What the merged view says of an image: OS, Debian packages, C library, constraint files, GPU libraries."""

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dari.bases.merged import Merged
from dari.bases.tree import File, Folder, Link
from dari.values.apt import apt_sources
from dari.values.debian import installed_packages, is_install_state
from dari.values.fact import Fact, Known, Missing
from dari.values.inventory import AptSource, DebianPackage, OsRelease, SharedLibrary
from dari.values.malformed import Malformed
from dari.values.platform import Platform
from dari.values.protection import is_gpu_library, is_protected_path

_OS_RELEASES: Final = ("etc/os-release", "usr/lib/os-release")
_STATUS: Final = "var/lib/dpkg/status"
_STATUS_FOLDER: Final = "var/lib/dpkg/status.d"  # distroless: one paragraph a file
_APT_FILES: Final = ("etc/apt/sources.list", "etc/apt/trusted.gpg")
_APT_FOLDERS: Final = ("etc/apt/sources.list.d", "etc/apt/trusted.gpg.d", "etc/apt/keyrings", "usr/share/keyrings")
_STATE_FOLDERS: Final = (
    "etc", "var/lib", "var/lib/apt", "var/lib/dpkg", "var/lib/dpkg/alternatives", "var/lib/dpkg/triggers",
)  # fmt: skip
_PIP_CONFIGURATIONS: Final = ("etc/pip.conf", "root/.config/pip/pip.conf", "root/.pip/pip.conf")
_PIP_CONSTRAINT: Final = "etc/pip/constraint.txt"  # NVIDIA's, whether or not a variable names it


def os_release(merged: Merged) -> Fact[OsRelease]:
    """Read os-release(5)."""
    for path in _OS_RELEASES:
        text = merged.text(path)
        if text is not None:
            fields = {
                name: re.sub(r"""\A(["'])(.*)\1\Z""", r"\2", value.strip()).replace("\\", "")
                for name, equals, value in (line.partition("=") for line in text.splitlines())
                if equals
            }
            codename = fields.get("VERSION_CODENAME", "") or fields.get("UBUNTU_CODENAME", "")
            release = OsRelease(
                fields.get("ID", "linux"), fields.get("VERSION_ID", ""), codename, fields.get("PRETTY_NAME", "")
            )
            return Known(release, f"/{path}")
    return Missing("the image has no os-release file", tuple(f"/{path}" for path in _OS_RELEASES))


def debian_packages(merged: Merged) -> tuple[Fact[tuple[DebianPackage, ...]], bytes]:
    """Return the installed Debian packages and the status file they were read from (empty for distroless).

    Raises `Malformed` (DARI-DEB822-MALFORMED, DARI-DPKG-STATUS).
    """
    status = merged.read(_STATUS)
    if status:
        return Known(installed_packages(status), f"/{_STATUS}"), status
    names = [name for name in merged.names(_STATUS_FOLDER) if not name.endswith(".md5sums")]
    if names:
        # These lack the field that says a package is installed: that they are there says it.
        texts = (merged.read(f"{_STATUS_FOLDER}/{name}") or b"" for name in names)
        paragraphs = b"".join(b"Status: install ok installed\n" + text.strip() + b"\n\n" for text in texts if text)
        return Known(installed_packages(paragraphs), f"/{_STATUS_FOLDER}"), b""
    return Missing("the image has no dpkg database", (f"/{_STATUS}", f"/{_STATUS_FOLDER}")), b""


def install_state(merged: Merged) -> Mapping[str, bytes]:
    """Return the small files that installing packages reads and changes: accounts, alternatives, dpkg's records."""
    below = (f"{folder}/{name}" for folder in _STATE_FOLDERS for name in merged.names(folder))
    paths = sorted(path for path in below if is_install_state(path))
    return {path: content for path in paths if (content := merged.read(path)) is not None}


def package_sources(merged: Merged, platform: Platform) -> tuple[AptSource, ...]:
    """Return the image's own package sources; a file that apt couldn't read is left out."""
    paths = (*_APT_FILES, *(f"{folder}/{name}" for folder in _APT_FOLDERS for name in merged.names(folder)))
    files = {path: content for path in paths if (content := merged.read(path)) is not None}
    while True:
        try:
            return apt_sources(files, architecture=platform.debian)
        except Malformed:
            readable = {path: content for path, content in files.items() if _is_readable(path, files)}
            if len(readable) == len(files):
                return ()
            files = readable


def _is_readable(path: str, files: Mapping[str, bytes]) -> bool:
    if not path.endswith((".list", ".sources")):
        return True
    try:
        apt_sources({name: content for name, content in files.items() if name == path})
    except Malformed:
        return False
    return True


def glibc_version(merged: Merged, platform: Platform) -> Fact[tuple[int, int]]:
    """Return the C library's version as it says it itself."""
    paths = tuple(
        f"{folder}/libc.so.6"
        for folder in (f"lib/{platform.triplet}", f"usr/lib/{platform.triplet}", "lib64", "usr/lib64", "lib", "usr/lib")
    )
    for path in paths:
        match = re.fullmatch(r"(\d+)\.(\d+)", merged.text(path) or "")
        if match:
            return Known((int(match[1]), int(match[2])), f"/{path}")
    looked_at = tuple(f"/{path}" for path in paths)
    if merged.is_file(f"lib/ld-musl-{platform.machine}.so.1"):
        return Missing("the C library is musl, not glibc", looked_at)
    return Missing("the image has no glibc", looked_at)


def constraint_lines(merged: Merged, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the pins of every pip constraint file that is there: requirement lines, comments and options left out."""
    named = [*environment.get("PIP_CONSTRAINT", "").split(), f"/{_PIP_CONSTRAINT}"]
    configurations = (*environment.get("PIP_CONFIG_FILE", "").split(), *_PIP_CONFIGURATIONS)
    for path in configurations:
        named += _configured_constraints(merged.text(path.strip("/")) or "")
    lines: dict[str, None] = {}
    for path in dict.fromkeys(name.removeprefix("file://").strip("/") for name in named):
        for line in (merged.text(path) or "").replace("\\\n", " ").splitlines():
            pin = " ".join(re.sub(r"(?:^|\s)#.*", "", line).split())
            if pin and not pin.startswith("-"):
                lines[pin] = None
    return tuple(lines)


def _configured_constraints(text: str) -> list[str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    return [word for section in parser.sections() for word in parser.get(section, "constraint", fallback="").split()]


@dataclass(frozen=True, slots=True)
class Paths:
    """What one walk over all names finds."""

    protected: tuple[str, ...]
    libraries: tuple[SharedLibrary, ...]
    directory_links: Mapping[str, str]


def interesting_paths(merged: Merged) -> Paths:
    """Return the paths of the GPU stack by place and name, its libraries, and every link that leads to a directory."""
    protected: list[str] = []
    libraries: list[SharedLibrary] = []
    links: dict[str, str] = {}
    for path, node in merged.tree.walk():
        if isinstance(node, Folder):
            continue
        if isinstance(node, Link) and (found := merged.tree.find(path)) and isinstance(found[1], Folder):
            links[path] = found[0]
        if is_protected_path(path):
            protected.append(path)
            if isinstance(node, File) and is_gpu_library(path.rpartition("/")[2]):
                libraries += _library(merged, path)
    return Paths(tuple(protected), tuple(libraries), links)


def _library(merged: Merged, path: str) -> Iterator[SharedLibrary]:
    if path.endswith(".a"):
        return
    soname, exports = merged.library(path) or ("", Missing("it was not looked into: it is a hardlink or a sparse file"))
    yield SharedLibrary(path, soname, exports)
