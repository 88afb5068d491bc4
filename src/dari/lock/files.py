"""Which file of each chosen version is installed: its address, digest and size, and the sdist where there is no wheel.

uv tells of every file of a version in a pylock (PEP 751); the best wheel is chosen here, by the target's own tags.
"""

import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from dari.errors import OutsideError
from dari.lock.addresses import without_credentials
from dari.values.digest import Digest
from dari.values.malformed import Malformed
from dari.values.python import PythonTarget

_WORST: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class File:
    """One downloadable file. `size` is -1 where the index doesn't say, `uploaded` empty likewise."""

    filename: str
    url: str
    digest: Digest
    size: int
    uploaded: str


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a distribution: the wheel that fits best (None: none fits), and its sdist."""

    name: str
    version: str
    wheel: File | None
    sdist: File | None
    wheels_elsewhere: int  # wheels there are for other platforms and Pythons


def read_pylock(text: str, target: PythonTarget) -> tuple[Release, ...]:
    """Read uv's pylock. Raises `OutsideError` (DARI-LOCK-PYLOCK) where it isn't what PEP 751 says."""
    ranks = {tag: rank for rank, tag in enumerate(target.tags())}
    try:
        packages = tomllib.loads(text).get("packages", [])
        return tuple(_release(package, ranks) for package in packages)
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise OutsideError(
            "DARI-LOCK-PYLOCK",
            f"reading uv's list of files: {error!r}",
            hint="dari knows uv 0.13; another version may write another form: reinstall dari with its own uv",
        ) from error


def _release(package: dict[str, Any], ranks: dict[Tag, int]) -> Release:
    name, version = canonicalize_name(package["name"]), str(package["version"])
    listed = list(package.get("wheels", []))
    sdist = _file(package["sdist"]) if "sdist" in package else None
    if "archive" in package:
        archive = _file(package["archive"])
        if archive.filename.endswith(".whl"):
            listed.append(package["archive"])
        else:
            sdist = archive
    files = [_file(member) for member in listed]
    fitting = [(rank, file) for file in files if (rank := _rank(file.filename, ranks)) is not None]
    # The same file may be on an index and in a folder: the address that other machines reach too goes first.
    best = min(fitting, key=lambda pair: (pair[0], pair[1].url.startswith("file:"), pair[1].url), default=None)
    return Release(name, version, best[1] if best else None, sdist, len(files) - len(fitting))


def _rank(filename: str, ranks: dict[Tag, int]) -> tuple[int, int, str] | None:
    try:
        _, _, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    best = min((ranks[tag] for tag in tags if tag in ranks), default=_WORST)
    number, letters = build or (0, "")
    return None if best == _WORST else (best, -number, letters)


def _file(member: dict[str, Any]) -> File:
    url = str(member["url"]) if "url" in member else Path(str(member["path"])).resolve().as_uri()
    filename = str(member.get("name") or unquote(urlsplit(url).path).rpartition("/")[2])
    uploaded = member.get("upload-time")
    return File(
        filename,
        without_credentials(url.partition("#")[0]),
        _digest(member["hashes"], filename),
        int(member.get("size", -1)),
        uploaded.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(uploaded, datetime) else "",
    )


def _digest(hashes: dict[str, str], filename: str) -> Digest:
    for algorithm in ("sha256", "sha512"):
        if algorithm in hashes:
            return Digest.parse(f"{algorithm}:{hashes[algorithm].lower()}")
    raise Malformed("DARI-LOCK-PYLOCK", f"{filename} has no sha256 or sha512 digest")
