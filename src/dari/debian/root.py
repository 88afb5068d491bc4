"""The root that an image from scratch stands on: what no package brings."""

from collections.abc import Mapping
from typing import Final

from dari.values.entry import Entry, Kind, Part
from dari.values.platform import Platform

# Merged /usr, as debootstrap makes it (Debian since bookworm, Ubuntu since 23.04); lib64 is where the x86-64 ABI
# puts the loader. var/run and var/lock: base-files' postinst.
_LINKS: Final = {"bin": "usr/bin", "lib": "usr/lib", "sbin": "usr/sbin", "var/run": "run", "var/lock": "run/lock"}
_LOADER_LINKS: Final = {"amd64": {"lib64": "usr/lib64"}}
_DIRECTORIES: Final = (
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("run/lock", 0o1777),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
)


def root_links(platform: Platform) -> Mapping[str, str]:
    """Return the directory links of an image from scratch: what `deb_part` is given as `links` there."""
    return {**_LINKS, **_LOADER_LINKS.get(platform.architecture, {})}


def root_part(platform: Platform) -> Part:
    """Return the directories and links that every Linux root has before the first package is unpacked."""
    links = root_links(platform)
    directories = dict(_DIRECTORIES)
    for target in links.values():
        directories.setdefault(target, 0o755)
    entries = [Entry(path, Kind.DIRECTORY, mode) for path, mode in directories.items()]
    for path, target in links.items():
        entries.append(Entry(path, Kind.SYMLINK, 0o777, target=f"/{target}" if "/" in path else target))
    made = tuple(sorted(entries, key=lambda entry: entry.path))
    return Part("root", f"root:1:{platform}", 0, lambda: made)
