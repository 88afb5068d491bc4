"""Distributions made by hand, in a folder that uv takes for an index: no network, no drift."""

import hashlib
import io
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path


def wheel(
    folder: Path,
    name: str,
    version: str,
    *requires: str,
    tag: str = "py3-none-any",
    files: dict[str, bytes] | None = None,
) -> Path:
    """Write a wheel that says it requires `requires`; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    content = {f"{name.replace('-', '_')}/__init__.py": b"", **(files or {})}
    content[f"{info}/METADATA"] = metadata(name, version, *requires)
    content[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in content.items():
            archive.writestr(zipfile.ZipInfo(member), data)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), _record(content, f"{info}/RECORD"))
    return path


def sdist(folder: Path, name: str, version: str, files: dict[str, str], *, static: bool = True) -> Path:
    """Write an sdist; one that isn't `static` tells what it requires only when its build is run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}.tar.gz"
    head = b"Metadata-Version: 2.2\n" if static else b"Metadata-Version: 1.0\n"
    members = {"PKG-INFO": head + metadata(name, version).partition(b"\n")[2], **_encoded(files)}
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members.items():
            info = tarfile.TarInfo(f"{name}-{version}/{member}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def metadata(name: str, version: str, *requires: str) -> bytes:
    """Return a METADATA file."""
    lines = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}")
    return "\n".join((*lines, *(f"Requires-Dist: {line}" for line in requires), "")).encode()


def _encoded(files: dict[str, str]) -> dict[str, bytes]:
    return {member: text.encode() for member, text in files.items()}


def _record(content: dict[str, bytes], own: str) -> str:
    lines = [
        f"{member},sha256={urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}"
        for member, data in content.items()
    ]
    return "\n".join((*lines, f"{own},,", ""))
