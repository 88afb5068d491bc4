"""Which paths of a project's folder `files` and `exclude` choose."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dari.errors import UsageError
from dari.survey.document import read_document
from dari.survey.keys import nearest
from dari.survey.paths import is_file, is_folder, names_in
from dari.survey.patterns import has_magic, name_matches, parts_of, path_matches
from dari.survey.positions import Position
from dari.values.finding import Finding, Severity
from dari.values.project import Project

# Never of use in an image, wherever a folder or a wildcard would bring it in; to have one, name it in `files`.
NEVER: Final = (
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    "*.pyc",
    "*.pyo",
    ".venv",
    "node_modules",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".tox",
    ".nox",
    ".DS_Store",
)
# How the image was made, not what it needs: they would change its code layer with every lock.
_NEVER_AT_TOP: Final = ("dari.toml", "dari.lock")
# A folder with one of these is a virtual environment, or an image (perhaps the one being made).
_MARKERS: Final = ("pyvenv.cfg", "oci-layout")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One path of the project: relative, '/'-separated, with surrogate escapes. `cause` is the entry of `files`."""

    path: str
    status: os.stat_result
    cause: str


@dataclass(slots=True)
class _Search:
    """A selection under way."""

    project: Project
    chosen: dict[str, Chosen] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    lost: list[tuple[int, str]] = field(default_factory=list)  # entries of `files` that name nothing, and why


def choose(project: Project) -> tuple[tuple[Chosen, ...], tuple[Finding, ...]]:
    """Return every path that goes into the image, sorted by its bytes, and what stands in the way of others.

    Symbolic links are not followed. Raises `UsageError` (DARI-FILES-MISSING) with a line for each entry of `files`
    that names nothing.
    """
    search = _Search(project)
    for number, pattern in enumerate(project.files):
        before = len(search.chosen) + len(search.findings)
        problem = _choose(search, pattern)
        if problem and len(search.chosen) + len(search.findings) == before:
            search.lost.append((number, problem))
    if search.lost:
        raise _missing(search)
    for path in tuple(search.chosen):
        _add_parents(search, path)
    return (
        tuple(search.chosen[path] for path in sorted(search.chosen, key=os.fsencode)),
        tuple(search.findings[path] for path in sorted(search.findings, key=os.fsencode)),
    )


def _choose(search: _Search, pattern: str) -> str:
    """Add what one entry of `files` names; return what to say if that was nothing."""
    parts = parts_of(pattern)
    if not parts:
        _walk(search, "", pattern)
        return ""
    folders = pattern.endswith("/") or parts[-1] == "."
    wild = has_magic(pattern)
    problem = f"{pattern!r} matches nothing" if wild else f"there is no {pattern!r}"
    for path in _expand(search, "", (*parts, "*") if parts[-1] == "**" else parts, pattern):
        status = _status(search, path, pattern)
        if status is None or _excluded(search, path, status):
            problem = problem and f"{pattern!r} is excluded by 'exclude'"
        elif stat.S_ISDIR(status.st_mode) and folders:
            search.chosen.setdefault(path, Chosen(path, status, pattern))
            _walk(search, path, pattern)
            problem = ""
        elif stat.S_ISDIR(status.st_mode):
            problem = problem and f"{pattern!r} {'matches only folders' if wild else 'is a folder'}; write '{pattern}/'"
        elif folders and not stat.S_ISLNK(status.st_mode):
            problem = problem and f"{pattern!r} is not a folder; write {pattern.rstrip('/')!r}"
        else:
            search.chosen.setdefault(path, Chosen(path, status, pattern))
            problem = ""
    return problem


def _expand(search: _Search, base: str, parts: tuple[str, ...], cause: str) -> Iterator[str]:
    """Yield the paths below `base` that `parts` name, not going through symbolic links."""
    if not parts:
        yield base
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _expand(search, base, rest, cause)
    if part != "**" and not has_magic(part):
        path = f"{base}/{part}" if base else part
        if not os.path.lexists(_absolute(search, path)):
            return
        if rest and _absolute(search, path).is_symlink():
            _refuse(search, path, "DARI-FILE-LINK", f"{cause!r} goes through this link", cause)
            return
        yield from _expand(search, path, rest, cause)
        return
    for path, status in _listing(search, base, cause):
        folder = stat.S_ISDIR(status.st_mode)
        if part == "**":
            if folder:
                yield from _expand(search, path, parts, cause)
        elif name_matches(path.rpartition("/")[2], part) and (folder or not rest):
            yield from _expand(search, path, rest, cause)


def _walk(search: _Search, base: str, cause: str) -> None:
    """Add everything below a folder."""
    for path, status in _listing(search, base, cause):
        search.chosen.setdefault(path, Chosen(path, status, cause))
        if stat.S_ISDIR(status.st_mode):
            _walk(search, path, cause)


def _listing(search: _Search, base: str, cause: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what lies in a folder, without what is excluded."""
    try:
        with os.scandir(_absolute(search, base)) as found:
            names = sorted((entry.name for entry in found), key=os.fsencode)
    except OSError as error:
        if not isinstance(error, NotADirectoryError):
            _refuse(search, base or ".", "DARI-FILE-UNREADABLE", f"listing it: {error.strerror}", cause)
        return
    for name in names:
        path = f"{base}/{name}" if base else name
        status = _status(search, path, cause)
        if status and not _never(search, path, status) and not _excluded(search, path, status):
            yield path, status


def _status(search: _Search, path: str, cause: str) -> os.stat_result | None:
    try:
        return _absolute(search, path).lstat()
    except OSError as error:
        _refuse(search, path, "DARI-FILE-UNREADABLE", f"looking at it: {error.strerror}", cause)
        return None


def _absolute(search: _Search, path: str) -> Path:
    return search.project.folder / path


def _never(search: _Search, path: str, status: os.stat_result) -> bool:
    name = path.rpartition("/")[2]
    if path in _NEVER_AT_TOP or any(name_matches(name, pattern) for pattern in NEVER):
        return True
    return stat.S_ISDIR(status.st_mode) and any(is_file(_absolute(search, path) / marker) for marker in _MARKERS)


def _excluded(search: _Search, path: str, status: os.stat_result) -> bool:
    """Say whether `exclude` names a path or a folder that it is in."""
    parts = path.split("/")
    ancestors = ["/".join(parts[:end]) for end in range(1, len(parts))]
    is_folder = stat.S_ISDIR(status.st_mode)
    return any(
        path_matches(path, pattern, folder=is_folder)
        or any(path_matches(ancestor, pattern, folder=True) for ancestor in ancestors)
        for pattern in search.project.exclude
    )


def _add_parents(search: _Search, path: str) -> None:
    cause = search.chosen[path].cause
    while path := path.rpartition("/")[0]:
        if path in search.chosen:
            return
        status = _status(search, path, cause)
        if status:
            search.chosen[path] = Chosen(path, status, cause)


def _refuse(search: _Search, path: str, id: str, message: str, cause: str) -> None:
    search.findings.setdefault(path, refusal(id, path, message, cause))


def refusal(id: str, path: str, message: str, cause: str) -> Finding:
    """Return the finding that a path can't go into the image, with the ways out."""
    shown = printable(path)
    return Finding(
        id,
        Severity.ERROR,
        f"{shown}: {message}",
        where=shown,
        cause=f"files = [{cause!r}]",
        ways_out=(f'leave it out: exclude = ["{shown}"]',),
    )


def printable(path: str) -> str:
    r"""Write a path so that it can be printed whatever its bytes: `caf\xe9`, `two\nlines`."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _missing(search: _Search) -> UsageError:
    lines = []
    for number, problem in search.lost:
        place = place_of(search.project, "files", number)
        meant = _neighbour(search.project, search.project.files[number]) if problem.startswith("there is no") else ""
        lines.append(f"{place}: 'files': {problem}" + (f"; did you mean {meant!r}?" if meant else ""))
    return UsageError("DARI-FILES-MISSING", "\n".join(lines), hint="paths are relative to the project's folder")


def place_of(project: Project, *path: str | int) -> str:
    """Return `dari.toml:7:1` for the value at `path`, as the file is now."""
    prefix = ("tool", "dari") if project.source.name == "pyproject.toml" else ()
    try:
        spot = read_document(project.source).spots.get((*prefix, *path))
    except (OSError, UsageError):
        spot = None
    position = spot.value if spot else Position(1, 1)
    return f"{project.source}:{position.line}:{position.column}"


def _neighbour(project: Project, pattern: str) -> str:
    """Return the existing path that a missing one was probably meant to be."""
    base, parts = "", parts_of(pattern)
    for part in parts:
        names = names_in(project.folder / base)
        if part not in names:
            close = nearest(part, names)
            if not close:
                return ""
            part = close  # noqa: PLW2901 - the search goes on with the name that exists
        base = f"{base}/{part}" if base else part
    return base + ("/" if is_folder(project.folder / base) else "")
