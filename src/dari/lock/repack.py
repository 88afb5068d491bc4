"""A built wheel, packed anew: sorted, one time, stored, no name of the builder; and refused if it isn't pure Python.

Stored, not deflated: two zlib's make different bytes of the same content, and the file never leaves the cache.
"""

import base64
import hashlib
import zipfile
from pathlib import Path
from typing import IO, Final

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from dari.errors import ConflictError
from dari.system import CHUNK

_PURE: Final = Tag("py3", "none", "any")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MOST_BYTES: Final = 2 << 30
# The first bytes of what compilers on Linux and macOS leave: ELF, Mach-O, an ar archive. Windows launchers are data.
_MACHINE_CODE: Final = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"!<arch>\n")


def repack(wheel: Path, release: tuple[str, str], target: IO[bytes]) -> None:
    """Write `wheel`, of this name and version, in its one form to `target`.

    Raises `ConflictError`: DARI-LOCK-COMPILES, DARI-LOCK-BUILD.
    """
    try:
        name, version, _, tags = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise _unusable(release, str(error)) from error
    if (name, version) != (canonicalize_name(release[0]), Version(release[1])):
        raise _unusable(release, f"it is {name} {version}")
    if _PURE not in tags or any((tag.abi, tag.platform) != ("none", "any") for tag in tags):
        raise compiles(release, f"its wheel is for {', '.join(sorted(map(str, tags)))}")
    try:
        with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as sink:
            _copy(source, sink, release)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise _unusable(release, str(error)) from error


def compiles(release: tuple[str, str], reason: str) -> ConflictError:
    """Return the error for an sdist whose wheel would hold machine code."""
    return ConflictError(
        "DARI-LOCK-COMPILES",
        f"building {release[0]} {release[1]} from its sdist: it isn't pure Python: {reason}",
        hint="what is compiled on this host wouldn't fit the base: build the image with a container engine, build the "
        f'wheel inside the base and name the file in the requirements, or skip = ["{release[0]}"]',
    )


def _copy(source: zipfile.ZipFile, sink: zipfile.ZipFile, release: tuple[str, str]) -> None:
    members = {info.filename: info for info in source.infolist() if not info.is_dir()}
    if sum(info.file_size for info in members.values()) > _MOST_BYTES:
        raise _unusable(release, "it unpacks to more than 2 GiB")
    records = [name for name in members if name.count("/") == 1 and name.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        raise _unusable(release, "it has no one RECORD")
    lines: list[str] = []
    for name in sorted(members.keys() - set(records)):
        executable = bool((members[name].external_attr >> 16) & 0o111)
        with source.open(members[name]) as stream, sink.open(_info(name, executable=executable), "w") as target:
            if name.endswith(".dist-info/WHEEL") and name.count("/") == 1:
                lines.append(_line(name, *_bytes(_without_generator(stream.read(CHUNK)), target)))
            else:
                lines.append(_line(name, *_stream(stream, target, name, release)))
    with sink.open(_info(records[0], executable=False), "w") as target:
        target.write("".join((*lines, f"{records[0]},,\n")).encode())


def _stream(stream: IO[bytes], target: IO[bytes], name: str, release: tuple[str, str]) -> tuple[bytes, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        if size == 0 and chunk.startswith(_MACHINE_CODE):
            raise compiles(release, f"{name} is machine code")
        digest.update(chunk)
        size += len(chunk)
        target.write(chunk)
    return digest.digest(), size


def _bytes(content: bytes, target: IO[bytes]) -> tuple[bytes, int]:
    target.write(content)
    return hashlib.sha256(content).digest(), len(content)


def _line(name: str, digest: bytes, size: int) -> str:
    quoted = '"' + name.replace('"', '""') + '"' if set(name) & {",", '"'} else name
    return f"{quoted},sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')},{size}\n"


def _without_generator(content: bytes) -> bytes:
    return b"".join(line for line in content.splitlines(keepends=True) if not line.lower().startswith(b"generator:"))


def _info(name: str, *, executable: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    return info


def _unusable(release: tuple[str, str], reason: str) -> ConflictError:
    return ConflictError(
        "DARI-LOCK-BUILD",
        f"building {release[0]} {release[1]} from its sdist: the wheel it made can't be used: {reason}",
        hint="build the wheel yourself and name its file in the requirements, or use a container engine",
    )
