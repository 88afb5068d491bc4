"""What a wheel holds, read without installing it."""

from dataclasses import dataclass

from dari.values.elf import DynamicElf


@dataclass(frozen=True, slots=True)
class WheelBinary:
    """A shared library or extension module of a wheel; `path` is inside the archive."""

    path: str
    elf: DynamicElf


@dataclass(frozen=True, slots=True)
class WheelContents:
    """A wheel's name and version (from its metadata), what it requires, and its binaries.

    `installed_paths` are where its files would land for the target it was read for, relative to the root.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    pure: bool
    installed_paths: tuple[str, ...]
    binaries: tuple[WheelBinary, ...]
