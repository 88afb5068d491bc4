"""Which names a wheel's members may have: relative, plain, and such as a Linux file system can hold."""

import re
from typing import Final

from dari.errors import IntegrityError

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME: Final = 255  # bytes: NAME_MAX of ext4, xfs, overlayfs
_LONGEST_PATH: Final = 4000  # bytes: PATH_MAX is 4096, and a site directory comes before


def check_name(name: str, wheel: str) -> None:
    """Raise `IntegrityError` (DARI-WHEEL-PATH) unless `name` stays, and can be, below where the wheel goes."""
    if problem := _problem(name.removesuffix("/")):
        raise IntegrityError(
            "DARI-WHEEL-PATH",
            f"reading {wheel!r}: its path {name[:200]!r} {problem}",
            hint="no honest tool writes such a wheel; take another version, or leave it out with `skip` in dari.toml",
        )


def _problem(name: str) -> str:
    parts = name.split("/")
    problems = {
        "is absolute": name.startswith("/") or _DRIVE.match(name),
        "has a backslash": "\\" in name,
        "climbs out of its directory": ".." in parts,
        "has an empty part": "" in parts or "." in parts,
        "has a control character": _CONTROL.search(name),
        "is too long for a file system": len(name.encode()) > _LONGEST_PATH
        or any(len(part.encode()) > _LONGEST_NAME for part in parts),
    }
    return next((problem for problem, found in problems.items() if found), "")
