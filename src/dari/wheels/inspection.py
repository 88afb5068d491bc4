"""A wheel looked into without installing it: its metadata, where its files would go, what its binaries need."""

import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from dari.errors import IntegrityError
from dari.values.elf import DynamicElf, read_elf
from dari.values.python import PythonTarget
from dari.values.wheel import WheelBinary, WheelContents, is_stack_symbol
from dari.wheels.archive import WheelArchive, open_archive
from dari.wheels.directory import Member
from dari.wheels.layout import installed_paths, root_scheme

_LIBRARY: Final = re.compile(r".+\.so(?:\.\w+)*")
_SMALLEST_ELF: Final = 64
_HELD_SIZE: Final = 8 << 20
_CHUNK: Final = 1 << 20


def inspect_wheel(path: Path, *, filename: str, target: PythonTarget) -> WheelContents:
    """Read a wheel's metadata and its shared libraries (files named *.so or *.so.N), one at a time.

    A large library is inflated into a temporary file that has no name, beside the wheel where that can be written.
    Memory: tens of megabytes. Content is verified against RECORD on the way.

    Raises `OutsideError` (DARI-WHEEL-MISSING), `IntegrityError` (DARI-WHEEL-…).
    """
    from packaging.metadata import parse_email  # noqa: PLC0415 - with the work, not before

    archive = open_archive(path, filename)
    about, _ = parse_email(archive.text("METADATA"))
    name, version = about.get("name"), about.get("version")
    if not name or not version:
        raise IntegrityError("DARI-WHEEL-METADATA", f"reading {filename!r}: its METADATA lacks a Name or a Version")
    binaries = tuple(_binaries(archive))
    return WheelContents(
        name,
        version,
        tuple(about.get("requires_dist", ())),
        root_scheme(archive) == "purelib" and not binaries,
        installed_paths(archive, target),
        binaries,
    )


def _binaries(archive: WheelArchive) -> Iterator[WheelBinary]:
    for name, member in archive.members.items():
        if member.size < _SMALLEST_ELF or not _LIBRARY.fullmatch(name):
            continue
        elf = _read(archive, member)
        if elf is not None:
            exported = frozenset(filter(is_stack_symbol, elf.exported))
            undefined = frozenset(filter(is_stack_symbol, elf.undefined))
            yield WheelBinary(name, replace(elf, exported=exported, undefined=undefined))


def _read(archive: WheelArchive, member: Member) -> DynamicElf | None:
    with archive.open(member.name) as stream:
        if member.size <= _HELD_SIZE:
            return read_elf(stream.read())
        folder = archive.path.parent if os.access(archive.path.parent, os.W_OK) else None
        with tempfile.TemporaryFile(dir=folder) as copy:
            shutil.copyfileobj(stream, copy, _CHUNK)
            copy.flush()
            with mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                return read_elf(buffer)
