"""Reading requirement files as pip writes them, into lines that know where they stand.

The grammar is pip's (pip.pypa.io/en/stable/reference/requirements-file-format): continuation lines, comments, -r and
-c includes, index options. What can't become a wheel in a layer (an editable install, a VCS address) ends here.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from dari.errors import UsageError
from dari.lock.addresses import without_credentials
from dari.values.project import Project

_COMMENT: Final = re.compile(r"(?:^|\s+)#.*$")
_REQUIREMENTS: Final = {"-r", "--requirement"}
_CONSTRAINTS: Final = {"-c", "--constraint"}
_WITH_VALUE: Final = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--no-binary": "--no-binary",
    "--only-binary": "--only-binary",
}
_IGNORED: Final = {"--trusted-host", "--prefer-binary", "--use-feature", "--require-hashes"}
_VERSION_CONTROL: Final = re.compile(r"(?:git|hg|svn|bzr)\+|.*@\s*(?:git|hg|svn|bzr)\+")
_ADDRESS: Final = re.compile(r"(?:https?|file):\S")
_MOST_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement of the project's own. `text` is as written, `where` the file and line it stands in.

    `hashes` are the sha256 digests (hex) that the line insists on. `local` is the wheel file it names, if it does.
    """

    text: str
    requirement: Requirement
    where: str
    hashes: tuple[str, ...] = ()
    local: Path | None = None

    @property
    def name(self) -> str:
        """The distribution's normalised name."""
        return canonicalize_name(self.requirement.name)


@dataclass(frozen=True, slots=True)
class Requested:
    """Everything a project asks for: requirements, constraints, option lines on where packages come from, --pre."""

    lines: tuple[Line, ...] = ()
    constraints: tuple[Line, ...] = ()
    options: tuple[str, ...] = ()
    prereleases: bool = False


@dataclass(slots=True)
class _Reading:
    folder: Path
    lines: list[Line] = field(default_factory=list)
    constraints: list[Line] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    prereleases: bool = False
    seen: set[tuple[Path, bool]] = field(default_factory=set)


def read_requirements(project: Project) -> Requested:
    """Read a project's requirement files, followed through their includes, and its dependencies.

    Raises `UsageError`: DARI-LOCK-REQUIREMENT for a line or file that can't be read, DARI-LOCK-INCLUDE for files that
    include each other in a ring, DARI-LOCK-SOURCE for a requirement that is source code and no wheel.
    """
    reading = _Reading(project.folder)
    for name in project.requirements:
        _read_file(reading, project.folder / name, project.source.name, constraint=False, open_files=())
    for text in project.dependencies:
        reading.lines.append(_line(text, project.folder, f"{project.source.name}, dependencies"))
    return Requested(tuple(reading.lines), tuple(reading.constraints), tuple(reading.options), reading.prereleases)


def constraint_lines(lines: tuple[str, ...], where: str) -> tuple[Line, ...]:
    """Read a base's pip constraint lines; what isn't a plain requirement there binds nothing and is passed over."""
    found: list[Line] = []
    for text in lines:
        bare = _COMMENT.sub("", text).strip()
        try:
            requirement = Requirement(bare)
        except InvalidRequirement:
            continue
        if requirement.url is None:
            found.append(Line(bare, requirement, where))
    return tuple(found)


def _read_file(reading: _Reading, path: Path, asked_by: str, *, constraint: bool, open_files: tuple[Path, ...]) -> None:
    path = path.resolve()
    shown = _shown(path, reading.folder)
    if path in open_files:
        ring = " → ".join(_shown(file, reading.folder) for file in (*open_files, path))
        raise UsageError(
            "DARI-LOCK-INCLUDE",
            f"reading {asked_by}: the requirement files include each other in a ring: {ring}",
            hint="take one of the -r lines out",
        )
    if (path, constraint) in reading.seen:
        return
    reading.seen.add((path, constraint))
    for number, text in _logical_lines(path, shown, asked_by):
        where = f"{shown}:{number}"
        if text.startswith("-"):
            _option(reading, text, path, where, (constraint, (*open_files, path)))
        else:
            (reading.constraints if constraint else reading.lines).append(_line(text, path.parent, where))


def _logical_lines(path: Path, shown: str, asked_by: str) -> Iterator[tuple[int, str]]:
    try:
        raw = path.read_bytes()
        if len(raw) > _MOST_BYTES:
            raise UsageError("DARI-LOCK-REQUIREMENT", f"reading {shown!r}: {len(raw)} bytes are no requirements file")
        content = raw.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(
            "DARI-LOCK-REQUIREMENT",
            f"reading {shown!r}, named in {asked_by}: {(error.strerror or str(error)).lower()}",
            hint="paths of -r and -c are relative to the file they stand in",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            "DARI-LOCK-REQUIREMENT", f"reading {shown!r}: byte {error.start} is not UTF-8", hint="save it as UTF-8"
        ) from error
    pending, began = "", 0
    for number, line in enumerate(content.splitlines(), start=1):
        began = began or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pending += line[:-1]
            continue
        text = _COMMENT.sub("", pending + line).strip()
        if text:
            yield began, text
        pending, began = "", 0
    if text := _COMMENT.sub("", pending).strip():
        yield began, text


def _option(reading: _Reading, text: str, path: Path, where: str, state: tuple[bool, tuple[Path, ...]]) -> None:
    words = _words(text, where)
    name, equals, value = words[0].partition("=") if words[0].startswith("--") else (words[0][:2], "", words[0][2:])
    values = [value, *words[1:]] if equals or value else words[1:]
    if name in {"-e", "--editable"}:
        raise _source_code(text, where)
    if name in _REQUIREMENTS | _CONSTRAINTS:
        target = " ".join(values)
        if _ADDRESS.match(target):
            raise _unreadable(text, where, "dari doesn't follow -r and -c to the network: keep a copy in the project")
        constraint = state[0] or name in _CONSTRAINTS
        _read_file(reading, path.parent / target, where, constraint=constraint, open_files=state[1])
    elif name in _WITH_VALUE and len(values) == 1:
        value = values[0]
        if _WITH_VALUE[name] == "--find-links" and not _ADDRESS.match(value):
            value = (path.parent / value).resolve().as_uri()
        reading.options.append(f"{_WITH_VALUE[name]} {value}")
    elif name == "--no-index":
        reading.options.append(name)
    elif name == "--pre":
        reading.prereleases = True
    elif name not in _IGNORED:
        raise _unreadable(text, where, "dari knows -r, -c, -i, -f, --extra-index-url, --no-index and --pre")


def _line(text: str, folder: Path, where: str) -> Line:
    words = text.split(" --")
    bare = words[0].strip()
    hashes = tuple(
        word.strip().removeprefix("hash=sha256:") for word in words[1:] if word.strip().startswith("hash=sha256:")
    )
    if _VERSION_CONTROL.match(bare):
        raise _source_code(bare, where)
    local = _local_file(bare, folder)
    try:
        requirement = Requirement(_named(bare, local))
    except InvalidRequirement as error:
        raise _unreadable(bare, where, f"{str(error).splitlines()[0].lower()}") from error
    except InvalidWheelFilename as error:
        raise _source_code(bare, where) from error
    if requirement.url and not urlsplit(requirement.url).path.endswith(".whl"):
        raise _source_code(bare, where)
    if local and not local.is_file():
        raise _unreadable(bare, where, f"there is no file {str(local)!r}")
    return Line(without_credentials(bare), requirement, where, hashes, local)


def _named(bare: str, local: Path | None) -> str:
    """Return `NAME @ URL` for a requirement that is a path or address alone, and absolute for a local file."""
    address, _, marker = bare.partition(" ;")
    name, at, _ = address.partition("@")
    if local:
        file_name, url = local.name, local.as_uri()
    elif _ADDRESS.match(address):
        file_name, url = unquote(urlsplit(address).path.rpartition("/")[2]), address
    else:
        return bare
    if not (at and re.fullmatch(r"\s*[\w.-]+(?:\[[^\]]*\])?\s*", name)):
        name = str(parse_wheel_filename(file_name)[0])
    return f"{name.strip()} @ {url}" + (f" ; {marker}" if marker else "")


def _local_file(bare: str, folder: Path) -> Path | None:
    address = bare.partition(" ;")[0].strip()
    name, at, after = address.partition("@")
    target = after.strip() if at and re.fullmatch(r"[\w.-]+(?:\[[^\]]*\])?\s*", name) else address
    if target.startswith("file:"):
        path = unquote(target.removeprefix("file:").removeprefix("//").partition("#")[0])
        return (folder / path).resolve()
    if _ADDRESS.match(target) or not re.match(r"[./~]|.*\.(?:whl|tar\.gz|zip)$", target):
        return None
    return (folder / target).resolve()


def _words(text: str, where: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise _unreadable(text, where, str(error).lower()) from error


def _unreadable(text: str, where: str, reason: str) -> UsageError:
    return UsageError(
        "DARI-LOCK-REQUIREMENT",
        f"reading {where}: {without_credentials(text)[:200]!r} is not a requirement that dari understands: {reason}",
        hint="a requirement is NAME[EXTRA] SPECIFIER; MARKER, or the path or address of a wheel (PEP 508)",
    )


def _source_code(text: str, where: str) -> UsageError:
    return UsageError(
        "DARI-LOCK-SOURCE",
        f"reading {where}: {without_credentials(text)[:200]!r} is source code, and a layer is made of wheels",
        hint="build a wheel of it (`uv build --wheel`) and name the file (./dist/NAME.whl); "
        "for the project's own code list it under `files`; or build the image with a container engine",
    )


def _shown(path: Path, folder: Path) -> str:
    root = folder.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
