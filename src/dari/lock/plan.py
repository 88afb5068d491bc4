"""Asking uv: what is added to the base, what would be without the base, and which files there are of each version."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from dari.errors import ConflictError, OutsideError, UsageError
from dari.lock.clash import contradiction
from dari.lock.files import Release, read_pylock
from dari.lock.given import BasePython, pins, write_shadow
from dari.lock.requirements import Line, Requested
from dari.lock.uv import Unsatisfiable, Uv, run_uv, target_arguments
from dari.system import Completed, write_atomically
from dari.values.finding import Finding, Severity
from dari.values.python import PythonTarget

_YANKED: Final = re.compile(r"warning: `([^`]+)` is yanked(?: \(reason: (.*)\))?")


@dataclass(frozen=True, slots=True)
class Delta:
    """What has to be added: name → version, in order of names; and what uv warned of."""

    versions: dict[str, str]
    findings: tuple[Finding, ...]


def delta_on(base: BasePython, requested: Requested, target: PythonTarget, uv: Uv) -> Delta:
    """Return what the project needs on top of the base. Raises `ConflictError` (DARI-LOCK-CLASH) and `run_uv`'s."""
    shadow = uv.work / "shadow"
    write_shadow(base, shadow)
    arguments = (
        *_install(shadow, target),
        *("-c", _written(uv.work / "base.txt", pins(base))),
        *_constraints((*requested.constraints, *base.constraints), uv.work),
    )
    answer = run_uv(uv, (*arguments, *_requirements(requested, uv.work / "requirements.in")))
    if isinstance(answer, Unsatisfiable):
        raise contradiction(answer.derivation, requested, base)
    versions = _changes(answer)
    if touched := sorted(versions.keys() & base.held.keys()):
        name = touched[0]
        raise ConflictError(
            "DARI-LOCK-TOUCHED",
            f"resolving the requirements: {name} {versions[name]} would replace the base's {base.held[name].shown}",
            hint=f'allow = ["{name}"] in dari.toml, if that is meant',
        )
    return Delta(versions, tuple(_yanked(answer.stderr)))


def versions_without(base: BasePython, requested: Requested, target: PythonTarget, uv: Uv) -> dict[str, str] | str:
    """Return the versions that the project would get if the base pinned nothing, or why that can't be known."""
    empty = uv.work / "without"
    empty.mkdir(exist_ok=True)
    names = "".join(f"{name}\n" for name in base.held)
    arguments = (
        *_install(empty, target),
        *("--excludes", _written(uv.work / "excluded.txt", names)),
        *_constraints(requested.constraints, uv.work),
    )
    try:
        answer = run_uv(uv, (*arguments, *_requirements(requested, uv.work / "requirements.in")))
    except (ConflictError, UsageError, OutsideError) as error:
        if isinstance(error, OutsideError) and error.temporary:
            raise  # a lock must not say less because the network was down for a moment
        return str(error)
    return "the requirements contradict each other" if isinstance(answer, Unsatisfiable) else _changes(answer)


def releases(versions: dict[str, str], requested: Requested, target: PythonTarget, uv: Uv) -> tuple[Release, ...]:
    """Return the files of exactly these versions. Raises `run_uv`'s errors, `OutsideError` (DARI-LOCK-PYLOCK)."""
    direct = {line.name: line for line in requested.lines if line.requirement.url is not None}
    exact = (
        f"{name} @ {direct[name].requirement.url}" if name in direct else f"{name}=={version}"
        for name, version in sorted(versions.items())
    )
    arguments = ("pip", "compile", "--no-deps", "--no-header", "--quiet", "--format", "pylock.toml")
    file = _requirements_file(requested, exact, uv.work / "exact.in")
    answer = run_uv(uv, (*arguments, *target_arguments(target), *_switches(requested), file))
    if isinstance(answer, Unsatisfiable):
        raise OutsideError(
            "DARI-LOCK-UV",
            f"listing the files of the versions chosen: uv finds them no longer: {answer.derivation[:300]}",
            hint="an index changed in between: run the command again",
            temporary=True,
        )
    return read_pylock(answer.stdout, target)


def _install(folder: Path, target: PythonTarget) -> tuple[str, ...]:
    return (
        *("pip", "install", "--dry-run", "--output-format", "json", "--target", str(folder)),
        *target_arguments(target),
    )


def _requirements(requested: Requested, path: Path) -> tuple[str, ...]:
    lines = (str(line.requirement) for line in requested.lines)
    return ("-r", _requirements_file(requested, lines, path), *_switches(requested))


def _requirements_file(requested: Requested, lines: Iterable[str], path: Path) -> str:
    """Write lines and the project's index options: an address may hold a password, so it never stands in argv."""
    return _written(path, "".join(f"{line}\n" for line in (*requested.options, *lines)))


def _switches(requested: Requested) -> tuple[str, ...]:
    return ("--prerelease", "allow") if requested.prereleases else ()


def _constraints(lines: tuple[Line, ...], work: Path) -> tuple[str, ...]:
    text = "".join(f"{line.requirement}\n" for line in lines)
    return ("-c", _written(work / "constraints.txt", text)) if lines else ()


def _written(path: Path, text: str) -> str:
    write_atomically(path, text.encode())
    return str(path)


def _changes(answer: Completed) -> dict[str, str]:
    try:
        changes = json.loads(answer.stdout)["changes"]
        # A replaced distribution is told twice: first its old version as uninstalled, then the new one.
        found = {canonicalize_name(str(change["name"])): str(change["version"]) for change in changes}
        actions = {str(change["action"]) for change in changes}
    except (ValueError, KeyError, TypeError) as error:
        raise OutsideError(
            "DARI-LOCK-UV",
            f"reading uv's plan: {error!r}",
            hint="dari knows uv 0.13; another version may write another form: reinstall dari with its own uv",
        ) from error
    if not actions <= {"installed", "uninstalled", "reinstalled"}:
        raise OutsideError("DARI-LOCK-UV", f"reading uv's plan: it has unknown actions: {', '.join(sorted(actions))}")
    return dict(sorted(found.items()))


def _yanked(stderr: str) -> list[Finding]:
    return [
        Finding(
            "DARI-LOCK-YANKED",
            Severity.WARNING,
            f"{match[1]} was withdrawn by its publishers" + (f": {match[2]}" if match[2] else ""),
            ways_out=("pin another version",),
        )
        for match in _YANKED.finditer(stderr)
    ]
