"""From parts to the tar entries of one layer: checked paths, parents before children, every path once."""

from collections.abc import Iterable, Sequence
from typing import Final

from dari.errors import ConflictError, UsageError
from dari.values.entry import Entry, Kind, Part
from dari.values.finding import Finding, Severity

# A layer that brings a directory also sets its mode (engines merge directories, the upper layer's wins), so the
# few that are not 0755 everywhere keep their modes. Source: Debian's base-files and Filesystem Hierarchy Standard.
_SPECIAL_MODES: Final = {"tmp": 0o1777, "var/tmp": 0o1777, "run/lock": 0o1777, "dev/shm": 0o1777, "root": 0o700}
_MODE: Final = 0o755
_LONGEST_NAME: Final = 255  # NAME_MAX, in bytes
_LONGEST_PATH: Final = 4095  # PATH_MAX less its NUL
_WHITEOUT_PREFIX: Final = ".wh."


def arranged(parts: Sequence[Part]) -> tuple[Entry, ...]:
    """Return the entries of one layer, in the order of `parts`, parents first and each path once.

    Parents that no entry gives are made: 0755 and root's, but for /tmp, /var/tmp, /run/lock, /dev/shm (1777) and
    /root (0700). Directories given twice merge, the first wins; the same file given twice (equal in all but its
    content's source and time) is written once, the later one. Raises `UsageError`: DARI-LAYER-PATH, DARI-LAYER-LINK;
    `ConflictError`: DARI-LAYER-CONFLICT, all of them at once, each naming both parts.
    """
    tree: dict[str, tuple[Entry, str]] = {}
    conflicts: list[Finding] = []
    for part in parts:
        for entry in part.entries():
            _check(entry, part.name)
            if entry.kind is Kind.HARDLINK and (entry.target not in tree or not _can_be_linked(tree[entry.target][0])):
                raise UsageError(
                    "DARI-LAYER-LINK",
                    f"making a layer: {_shown(entry.path)} of {part.name!r} is a hard link to {_shown(entry.target)}, "
                    "which is no file written before it in this layer",
                    hint="keep a hard link and its target in one part, the target first",
                )
            conflicts += _add_parents(tree, entry, part.name)
            conflicts += _add(tree, entry, part.name)
    if conflicts:
        raise ConflictError(
            "DARI-LAYER-CONFLICT",
            f"making a layer: {conflicts[0].message}" + (f" (and {len(conflicts) - 1} more)" if conflicts[1:] else ""),
            hint="leave one of the two out, or put them in different places",
            findings=tuple(conflicts),
        )
    return tuple(entry for entry, _ in tree.values())


def _add_parents(tree: dict[str, tuple[Entry, str]], entry: Entry, part: str) -> Iterable[Finding]:
    if entry.path.rpartition("/")[0] in tree and tree[entry.path.rpartition("/")[0]][0].kind is Kind.DIRECTORY:
        return
    at = entry.path.find("/")
    while at >= 0:
        parent = entry.path[:at]
        present = tree.get(parent)
        if present is None:
            tree[parent] = (Entry(parent, Kind.DIRECTORY, _SPECIAL_MODES.get(parent, _MODE)), part)
        elif present[0].kind is not Kind.DIRECTORY:
            yield _conflict(present, Entry(parent, Kind.DIRECTORY), part)
        at = entry.path.find("/", at + 1)


def _add(tree: dict[str, tuple[Entry, str]], entry: Entry, part: str) -> Iterable[Finding]:
    present = tree.get(entry.path)
    if present is None:
        tree[entry.path] = (entry, part)
    elif present[0].kind is Kind.DIRECTORY is entry.kind:
        return
    elif _sameness(present[0]) == _sameness(entry):
        tree[entry.path] = (entry, part)
    else:
        yield _conflict(present, entry, part)


def _sameness(entry: Entry) -> tuple[object, ...]:
    return entry.kind, entry.mode, entry.size, entry.target, entry.uid, entry.gid


def _can_be_linked(entry: Entry) -> bool:
    return entry.kind in {Kind.FILE, Kind.HARDLINK, Kind.SYMLINK}


def _conflict(present: tuple[Entry, str], entry: Entry, part: str) -> Finding:
    first, other = present
    told = f"{_shown(entry.path)} is {_described(first)} of {other!r} and {_described(entry)} of {part!r}"
    return Finding(
        "DARI-LAYER-CONFLICT", Severity.ERROR, told, where=_shown(entry.path)[1:-1], cause=f"{other}, {part}"
    )


def _described(entry: Entry) -> str:
    match entry.kind:
        case Kind.FILE:
            return f"a file ({entry.size} bytes, mode {entry.mode:04o})"
        case Kind.SYMLINK:
            return f"a link to {entry.target!r}"
        case Kind.HARDLINK:
            return f"a hard link to {entry.target!r}"
        case Kind.DIRECTORY:
            return "a directory"
        case Kind.WHITEOUT:
            return "a whiteout"


def _check(entry: Entry, part: str) -> None:
    """Raise unless an engine can unpack this path, and only below the root."""
    problem = _path_problem(entry.path)
    name = entry.path.rpartition("/")[2]
    if not problem and name.startswith(_WHITEOUT_PREFIX):
        problem = "names that begin with '.wh.' delete files of lower layers"
    if not problem and entry.kind is Kind.HARDLINK:
        problem = (target_problem := _path_problem(entry.target)) and f"its target: {target_problem}"
    if not problem and entry.kind is Kind.SYMLINK and (not entry.target or "\0" in entry.target):
        problem = "a link needs a target without NUL"
    if not problem and entry.kind is Kind.FILE and (entry.size < 0 or (entry.size > 0 and entry.open is None)):
        problem = "a file needs a size and a way to open it"
    if problem:
        raise UsageError(
            "DARI-LAYER-PATH",
            f"making a layer: {_shown(entry.path)} of {part!r} can't be written into an image: {problem}",
            hint="rename it, or exclude it",
        )


def _path_problem(path: str) -> str:
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "it is not text or bytes"
    names = encoded.split(b"/")
    if b"" in names:
        return "it is absolute, or has an empty part" if path else "it is empty"
    if b"\0" in encoded:
        return "it holds a NUL"
    if b".." in names or b"." in names:
        return "it climbs ('..' or '.')"
    if len(encoded) > _LONGEST_PATH or max(map(len, names)) > _LONGEST_NAME:
        return f"a name may have {_LONGEST_NAME} bytes, a path {_LONGEST_PATH}"
    return ""


def _shown(path: str) -> str:
    text = path.encode("utf-8", "backslashreplace").decode()
    return repr(text if len(text) <= 200 else f"{text[:200]}…")  # noqa: PLR2004 - enough to recognise a path
