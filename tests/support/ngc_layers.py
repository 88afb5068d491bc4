"""Writing the NGC-shaped base's layers: plain tarfile, gzip and zstd."""

import hashlib
import io
import random
import stat
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

MTIME = 1734393600  # 2024-12-17


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _compressor(codec: str) -> _Compressor:
    match codec:
        case "none":
            return _Plain()
        case "zstd":
            return zstandard.ZstdCompressor(3).compressobj()
        case "gzip-stored":  # incompressible content: no use in trying
            return zlib.compressobj(0, wbits=31)
        case _:
            return zlib.compressobj(1, wbits=31)


class _Hashing(io.RawIOBase):
    """tar bytes in; diffID, compressed bytes and their digest out."""

    def __init__(self, target: BinaryIO, codec: str) -> None:
        self._target = target
        self._compressor = _compressor(codec)
        self.plain = hashlib.sha256()
        self.packed = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override] # tarfile writes bytes only
        self.plain.update(data)
        self._emit(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        self._emit(self._compressor.flush())

    def _emit(self, data: bytes) -> None:
        self.packed.update(data)
        self.size += len(data)
        self._target.write(data)


def write_layer(target: BinaryIO, codec: str, fill: Callable[[tarfile.TarFile], None]) -> tuple[str, str, int]:
    """Write one compressed layer; `fill` adds its members. Returns diffID, hex digest and size in bytes."""
    hashing = _Hashing(target, codec)
    with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        fill(archive)
    hashing.finish()
    return f"sha256:{hashing.plain.hexdigest()}", hashing.packed.hexdigest(), hashing.size


def copy_root(root: Path, target: tarfile.TarFile) -> None:
    """Copy a root file system's tar without device nodes, package lists and downloaded packages."""
    with tarfile.open(root) as source:
        for info in source:
            devices = info.ischr() or info.isblk() or info.name.startswith("./dev/")
            if devices or info.name.startswith(
                ("./var/lib/apt/lists/", "./var/cache/apt/archives/", "./proc/", "./sys/")
            ):
                continue
            target.addfile(info, source.extractfile(info) if info.isreg() else None)


def add_folder(target: tarfile.TarFile, folder: Path) -> None:
    """Add everything below `folder`, sorted, owned by root, with one fixed time."""
    for path in sorted(folder.rglob("*")):
        info = target.gettarinfo(path, str(path.relative_to(folder)))
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = MTIME
        if info.isreg() or info.islnk():  # rglob never sees the same inode twice here
            with path.open("rb") as stream:
                target.addfile(info, stream)
        else:
            target.addfile(info)


def add_padding(target: tarfile.TarFile, number: int, size_mb: int) -> None:
    """Add `size_mb` MiB of random bytes in files of 32 MiB at most; the same number gives the same bytes."""
    generator = random.Random(number)  # noqa: S311 - padding, not a secret
    for part, begin in enumerate(range(0, size_mb, 32)):
        content = generator.randbytes(min(32, size_mb - begin) << 20)
        add_file(target, f"usr/local/padding/{number:03d}-{part:03d}.bin", content)


def add_top(target: tarfile.TarFile, python: str) -> None:
    """Add what upper layers do to lower ones: take a distribution away, empty a folder, link, replace a file."""
    packages = f"usr/local/lib/{python}/dist-packages"
    add_file(target, f"{packages}/.wh.nvfuser", b"")
    add_file(target, f"{packages}/.wh.nvfuser-0.2.23a0.dist-info", b"")
    add_directory(target, "opt/pytorch")
    add_file(target, "opt/pytorch/.wh..wh..opq", b"")
    add_file(target, "opt/pytorch/VERSION", b"24.12\n")
    add_file(target, "usr/local/bin/nvidia-tool", b"#!/bin/sh\necho nvidia-tool\n", mode=0o755)
    add_link(target, "usr/local/bin/nvidia-tool-24.12", "usr/local/bin/nvidia-tool", hard=True)
    add_file(target, "workspace/license.txt", b"an NGC-shaped image for tests\n")


def add_file(target: tarfile.TarFile, path: str, content: bytes, *, mode: int = 0o644) -> None:
    """Add one regular file."""
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = len(content), mode, MTIME
    target.addfile(info, io.BytesIO(content))


def add_directory(target: tarfile.TarFile, path: str) -> None:
    """Add one directory."""
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, stat.S_IRWXU | 0o055, MTIME
    target.addfile(info)


def add_link(target: tarfile.TarFile, path: str, to: str, *, hard: bool = False) -> None:
    """Add a symlink with text `to`, or a hardlink to the path `to`."""
    info = tarfile.TarInfo(path)
    info.type, info.linkname, info.mode, info.mtime = (tarfile.LNKTYPE if hard else tarfile.SYMTYPE), to, 0o777, MTIME
    target.addfile(info)
