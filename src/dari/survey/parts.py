"""The project's own files as parts of layers: normalised, secrets refused, big data apart from code."""

import functools
import hashlib
import json
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from dari.errors import ConflictError
from dari.survey.contents import Content, open_verified, read_contents
from dari.survey.leaks import kind_of_file, kind_of_text, kind_of_variable
from dari.survey.patterns import path_matches
from dari.survey.selection import Chosen, choose, place_of, printable, refusal
from dari.system import Store
from dari.values.amounts import plural
from dari.values.entry import Entry, Kind, Part
from dari.values.finding import Finding, Severity
from dari.values.project import Project

# Code changes often and is small: below this much in all, one layer costs nothing. Above it, files of a megabyte and
# more are data and lie apart, in layers of a quarter of a gigabyte, so that several are uploaded at once.
_WHOLE: Final = 8 << 20
_DATA_FROM: Final = 1 << 20
_DATA_PART: Final = 256 << 20


def project_parts(project: Project, store: Store) -> tuple[Part, ...]:
    """Return what `files` puts into the image under `workdir`: code first, then data in even pieces.

    Owner 0:0, times 0, modes 0755 and 0644. `store` remembers digests, so that an unchanged file isn't read again.
    Raises `UsageError` (DARI-FILES-MISSING); `ConflictError` (DARI-FILES-REFUSED) with a finding for every path that
    can't go into an image, or (DARI-SECRET) for every secret that would, in files, variables, labels and commands;
    `OutsideError` (DARI-FILE-CHANGED), also from the entries' `open`.
    """
    chosen, findings = choose(project)
    files = tuple(path for path in chosen if stat.S_ISREG(path.status.st_mode))
    contents, unreadable = read_contents(project.folder, files, store)
    refused = [*findings, *_refused(project, chosen, unreadable)]
    if refused:
        raise ConflictError(
            "DARI-FILES-REFUSED",
            f"choosing the files of {str(project.folder)!r}: {plural(len(refused), 'path')} can't go into an image: "
            + _some(finding.where for finding in refused),
            findings=tuple(refused),
        )
    secrets = (*_secret_files(project, chosen, contents), *_secret_settings(project))
    if secrets:
        raise ConflictError(
            "DARI-SECRET",
            f"choosing what goes into the image: {plural(len(secrets), 'secret')} would be in it for everyone to read: "
            + _some(finding.where for finding in secrets),
            hint="leave it out, or allow it by name: see the ways out",
            findings=secrets,
        )
    return tuple(_parts(project, chosen, contents))


def _some(names: Iterable[str]) -> str:
    listed = list(dict.fromkeys(names))
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")  # noqa: PLR2004


def _refused(project: Project, chosen: tuple[Chosen, ...], unreadable: Mapping[str, str]) -> Iterator[Finding]:
    for path in chosen:
        mode = path.status.st_mode
        if path.path in unreadable:
            yield refusal("DARI-FILE-UNREADABLE", path.path, unreadable[path.path], path.cause)
        elif stat.S_ISLNK(mode):
            target = str((project.folder / path.path).readlink())
            if _inside(project.folder, path.path, target) is None:
                message = f"it is a link out of the project, to {printable(target)!r}"
                yield refusal("DARI-FILE-LINK", path.path, message, path.cause)
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            message = f"it is {_special(mode)}: an image has files, folders and links"
            yield refusal("DARI-FILE-SPECIAL", path.path, message, path.cause)


def _special(mode: int) -> str:
    for test, name in ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket")):
        if test(mode):
            return name
    return "a device"


def _inside(folder: Path, path: str, target: str) -> str | None:
    """Return a link's target as it has to be written in the image, or None where it points out of the project."""
    here = posixpath.dirname(path)
    if posixpath.isabs(target):
        root = str(folder.resolve())
        relative = posixpath.relpath(posixpath.normpath(target), root)
        end = relative
        written = posixpath.relpath(relative, here or ".")
    else:
        end = posixpath.normpath(posixpath.join(here, target))
        written = target
    return None if end == ".." or end.startswith("../") else written


def _secret_files(project: Project, chosen: tuple[Chosen, ...], contents: Mapping[str, Content]) -> Iterator[Finding]:
    inside = ""
    for path in chosen:
        folder = stat.S_ISDIR(path.status.st_mode)
        shown = printable(path.path)
        if (inside and path.path.startswith(inside)) or _is_allowed(project, path.path, folder=folder):
            continue
        if kind := kind_of_file(path.path, folder=folder):
            inside = path.path + "/" if folder else ""
            yield _secret(shown, f"its name is that of {kind}", path.cause, shown + ("/" if folder else ""))
        for leak in contents[path.path].leaks if path.path in contents else ():
            yield _secret(f"{shown}:{leak.line}", f"{leak}", path.cause, shown)


def _is_allowed(project: Project, path: str, *, folder: bool) -> bool:
    parts = path.split("/")
    return any(
        path_matches("/".join(parts[:end]), pattern, folder=folder or end < len(parts))
        for pattern in project.allow_secrets
        for end in range(1, len(parts) + 1)
    )


def _secret(where: str, message: str, cause: str, allow: str) -> Finding:
    return Finding(
        "DARI-SECRET",
        Severity.ERROR,
        f"{where}: {message}",
        where=where,
        cause=f"files = [{cause!r}]",
        ways_out=(f'leave it out: exclude = ["{allow}"]', f'allow it: allow-secrets = ["{allow}"]'),
    )


def _secret_settings(project: Project) -> Iterator[Finding]:
    """Find secrets in what dari.toml itself writes into the image's config."""
    found = [("env", name, kind_of_variable(name, value)) for name, value in project.environment.items()] + [
        ("labels", name, kind_of_text(value)) for name, value in project.labels.items()
    ]
    commands = (("cmd", project.command), ("entrypoint", project.entrypoint))
    found += [(key, "", kind_of_text(word)) for key, words in commands for word in words or ()]
    for key, name, kind in found:
        full = f"{key}.{name}" if name else key
        if kind and full not in project.allow_secrets:
            yield Finding(
                "DARI-SECRET",
                Severity.ERROR,
                f"{full}: {kind}",
                where=place_of(project, key, name) if name else place_of(project, key),
                cause=full,
                ways_out=(
                    f"give it when the container starts: --env {name or 'NAME'}",
                    f'allow it: allow-secrets = ["{full}"]',
                ),
            )


def _parts(project: Project, chosen: tuple[Chosen, ...], contents: Mapping[str, Content]) -> Iterator[Part]:
    total = sum(content.size for content in contents.values())
    large = {path for path, content in contents.items() if total > _WHOLE and content.size >= _DATA_FROM}
    code = tuple(path for path in chosen if path.path not in large)
    if any(not stat.S_ISDIR(path.status.st_mode) for path in code):
        yield _part(project, "project files", code, contents)
    groups = list(_even(tuple(path for path in chosen if path.path in large)))
    for number, group in enumerate(groups, 1):
        name = "project data" + (f" {number} of {len(groups)}" if len(groups) > 1 else "")
        yield _part(project, name, (*_folders(group, chosen), *group), contents)


def _even(files: tuple[Chosen, ...]) -> Iterator[tuple[Chosen, ...]]:
    group: list[Chosen] = []
    size = 0
    for file in files:
        if group and size + file.status.st_size > _DATA_PART:
            yield tuple(group)
            group, size = [], 0
        group.append(file)
        size += file.status.st_size
    if group:
        yield tuple(group)


def _folders(files: tuple[Chosen, ...], chosen: tuple[Chosen, ...]) -> tuple[Chosen, ...]:
    """Return the folders that `files` are in."""
    needed = {file.path[:index] for file in files for index, letter in enumerate(file.path) if letter == "/"}
    return tuple(path for path in chosen if path.path in needed)


def _part(project: Project, name: str, chosen: tuple[Chosen, ...], contents: Mapping[str, Content]) -> Part:
    entries = [_entry(project, path, contents.get(path.path)) for path in chosen]
    listing = [
        (entry.path, entry.kind, entry.mode, entry.target, contents[path.path].digest if path.path in contents else "")
        for entry, path in zip(entries, chosen, strict=True)
    ]
    workdir = project.workdir.strip("/")
    key = hashlib.sha256(json.dumps(["project", 1, workdir, listing]).encode()).hexdigest()
    if workdir:
        entries.append(Entry(workdir, Kind.DIRECTORY, 0o755))
    kept = tuple(sorted(entries, key=lambda entry: os.fsencode(entry.path)))
    return Part(name, f"project:{key}", sum(entry.size for entry in kept), lambda: kept)


def _entry(project: Project, path: Chosen, content: Content | None) -> Entry:
    place = "/".join(part for part in (project.workdir.strip("/"), path.path) if part)
    source = project.folder / path.path
    if content:
        return Entry(
            place,
            Kind.FILE,
            0o755 if path.status.st_mode & stat.S_IXUSR else 0o644,
            content.size,
            open=functools.partial(open_verified, source, path.path, content),
        )
    if stat.S_ISLNK(path.status.st_mode):
        target = _inside(project.folder, path.path, str(source.readlink())) or "."
        return Entry(place, Kind.SYMLINK, 0o777, target=target)
    return Entry(place, Kind.DIRECTORY, 0o755)
