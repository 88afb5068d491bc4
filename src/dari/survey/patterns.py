"""Path patterns of dari.toml: `*` and `?` within a name, `[…]`, `**` across folders, a '/' at the end for a folder.

A pattern without a '/' inside matches a name at any depth when it excludes or allows (as in .gitignore), and only
at the top when it chooses files. Names that begin with a dot are names like any other.
"""

import fnmatch
import functools
import re
from typing import Final

_MAGIC: Final = re.compile(r"[*?\[]")


def problem_of(pattern: str) -> str:
    """Say what is wrong with a pattern, or nothing."""
    parts = pattern.split("/")
    problems = (
        (not pattern.strip(), "is empty"),
        (pattern.startswith("/"), "is absolute: paths are relative to the project's folder"),
        (".." in parts, "climbs out with '..': only what is in the project's folder can be named"),
        (pattern.startswith("!"), "begins with '!': there are no exceptions; name the path in 'files'"),
        ("\\" in pattern, "has a backslash: folders are separated by '/'"),
        (any("**" in part and part != "**" for part in parts), "has '**' inside a name: it stands alone between '/'"),
        ("\0" in pattern, "has a NUL"),
    )
    return next((problem for wrong, problem in problems if wrong), "")


def has_magic(text: str) -> bool:
    """Say whether a pattern, or a part of one, has a wildcard."""
    return _MAGIC.search(text) is not None


def parts_of(pattern: str) -> tuple[str, ...]:
    """Split a pattern into its names, without '.' and empty ones: './a//b/' → ('a', 'b')."""
    return tuple(part for part in pattern.split("/") if part not in {"", "."})


def name_matches(name: str, part: str) -> bool:
    """Say whether one file name matches one part of a pattern."""
    return _name_expression(part).fullmatch(name) is not None


def path_matches(path: str, pattern: str, *, folder: bool) -> bool:
    """Say whether `path` (relative to the project, of a folder or not) is what `pattern` excludes or allows."""
    if pattern.endswith("/") and not folder:
        return False
    parts = parts_of(pattern)
    if len(parts) == 1 and "/" not in pattern.rstrip("/"):
        return name_matches(path.rpartition("/")[2], parts[0])
    return bool(parts) and _names_match(tuple(path.split("/")), parts)


@functools.cache
def _name_expression(part: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(part))


def _names_match(names: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not parts:
        return not names
    if parts[0] != "**":
        return bool(names) and name_matches(names[0], parts[0]) and _names_match(names[1:], parts[1:])
    if len(parts) == 1:
        return bool(names)
    return any(_names_match(names[skipped:], parts[1:]) for skipped in range(len(names) + 1))
