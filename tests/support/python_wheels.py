"""Wheels for tests: real ones from the package index, kept under .cache/tests, and ones written here, honest or not."""

import base64
import fcntl
import hashlib
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dari.values.platform import Platform
from dari.values.python import InstallScheme, PythonTarget

CACHE: Final = Path(__file__).parents[2] / ".cache/tests/wheels"
SITE: Final = "usr/local/lib/python3.12/dist-packages"
TARGET: Final = PythonTarget(
    version=(3, 12),
    interpreter="/usr/bin/python3.12",
    scheme=InstallScheme(SITE, SITE, "usr/local/bin", "usr/local", "usr/local/include/python3.12"),
    search_path=(SITE, "usr/lib/python3/dist-packages"),
    platform=Platform("linux", "amd64"),
    glibc=(2, 39),
)

# Each for what it holds: headers, a man page under data, a `#!python` script, entry points, plain extension modules.
REAL: Final = (
    "greenlet==3.5.6",
    "ipython==9.18.1",
    "jmespath==1.1.0",
    "markupsafe==3.0.4",
    "pyyaml==6.0.3",
    "sentencepiece==0.2.3",
    "torchaudio==2.11.0",
    "tqdm==4.70.1",
)


def real_wheel(requirement: str) -> Path:
    """Return the wheel of NAME==VERSION for CPython 3.12 on x86_64, downloaded the first time."""
    import uv  # noqa: PLC0415 - only where something is downloaded or installed

    name, _, version = requirement.partition("==")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found := sorted(CACHE.glob(f"{name}-{version}-*.whl"))):
            tags = (f"--platform=manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17))
            options = ("--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "--implementation=cp")
            pip = (uv.find_uv_bin(), "tool", "run", "pip")
            subprocess.run((*pip, "download", *options, *tags, "--dest", CACHE, requirement), check=True)
            found = sorted(CACHE.glob(f"{name}-{version}-*.whl"))
    return found[0]


@dataclass(frozen=True, slots=True)
class Odd:
    """A member with something special about it."""

    name: str
    content: bytes = b""
    mode: int = 0o100644
    listed: bool = True  # in RECORD


def write_wheel(
    folder: Path,
    files: Mapping[str, bytes],
    *odd: Odd,
    filename: str = "demo-1.0-py3-none-any.whl",
    record: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel with `files`, METADATA, WHEEL and a RECORD; `record` overrides rows ('' leaves one out)."""
    name, version, *_ = filename.split("-")
    about = f"{name}-{version}.dist-info"
    members = {
        **{path: (content, 0o100644) for path, content in files.items()},
        **{item.name: (item.content, item.mode) for item in odd},
    }
    members.setdefault(
        f"{about}/METADATA", (f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(), 0o100644)
    )
    members.setdefault(f"{about}/WHEEL", (b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", 0o100644))
    rows = {path: f"{path},{hash_of(content)},{len(content)}" for path, (content, _) in members.items()}
    rows |= {f"{about}/RECORD": f"{about}/RECORD,,"} | {item.name: "" for item in odd if not item.listed}
    rows |= record or {}
    members[f"{about}/RECORD"] = "".join(f"{row}\n" for row in rows.values() if row).encode(), 0o100644
    target = folder / filename
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, (content, mode) in members.items():
            member = zipfile.ZipInfo(path)
            member.external_attr = mode << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return target


def hash_of(content: bytes) -> str:
    """Return RECORD's hash of `content`."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
