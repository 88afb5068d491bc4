"""What is looked at after uv has answered: the GPU stack, the base's own dependents, the project's hashes."""

from collections.abc import Mapping

from packaging.utils import canonicalize_name
from packaging.version import Version

from dari.errors import IntegrityError
from dari.lock.files import File
from dari.lock.given import BasePython
from dari.lock.graph import Graph, applies, parsed_lines
from dari.lock.refusal import refusal
from dari.lock.requirements import Line
from dari.values.finding import Finding, Severity
from dari.values.project import LockRules
from dari.values.protection import is_protected_distribution, may_be_added


def check_protected(names: tuple[str, ...], base: BasePython, rules: LockRules, graph: Graph) -> None:
    """Raise `ConflictError` (DARI-LOCK-PROTECTED) where a part of a GPU stack would be added beside the base's own."""
    allowed = {canonicalize_name(name) for name in rules.allow}
    leaked = [
        name
        for name in names
        if base.protects and name not in allowed and is_protected_distribution(name) and not may_be_added(name)
    ]
    together = ", ".join(f'"{name}"' for name in leaked)
    findings = tuple(
        Finding(
            "DARI-LOCK-PROTECTED",
            Severity.ERROR,
            f"{name} would be added beside the base's own GPU stack: {' → '.join(graph.chains.get(name, (name,)))}",
            cause=", ".join(graph.required_by.get(name, ())),
            ways_out=(
                f"take out or change {graph.chains.get(name, (name,))[0]!r}",
                f"allow = [{together}] in dari.toml, if a second copy is meant",
                "choose a base that has it (`dari inspect` shows what is in one)",
                "build the image with a container engine",
            ),
        )
        for name in leaked
    )
    if findings:
        raise refusal("resolving the requirements", findings)


def broken_consumers(base: BasePython, versions: Mapping[str, str], values: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return a warning for each distribution of the base that doesn't accept a version that is added.

    It can happen with `allow`, and where the base lacked what its own distribution asks for.
    """
    findings: list[Finding] = []
    for held in base.held.values():
        for requirement in parsed_lines(held.requires):
            name = canonicalize_name(requirement.name)
            if name not in versions or not applies(requirement, values):
                continue
            if not requirement.specifier.contains(Version(versions[name]), prereleases=True):
                message = f"the base's {held.name} {held.shown} asks for {name}{requirement.specifier}"
                findings.append(
                    Finding(
                        "DARI-LOCK-DEPENDENT",
                        Severity.WARNING,
                        f"{message}, and {name} {versions[name]} will be installed",
                        cause=f"allow names {name}" if name in base.released else "",
                        ways_out=(f"ask for {name}{requirement.specifier}",),
                    )
                )
    return tuple(findings)


def check_hashes(lines: tuple[Line, ...], files: Mapping[str, File]) -> None:
    """Raise `IntegrityError` (DARI-LOCK-HASH) where the file chosen is none of a line's --hash values."""
    for line in lines:
        file = files.get(line.name)
        if file and line.hashes and file.digest.hex not in line.hashes:
            raise IntegrityError(
                "DARI-LOCK-HASH",
                f"choosing a file for {line.text!r} ({line.where}): {file.filename} has {file.digest}, "
                "which is none of the line's --hash values",
                hint="the line may list hashes of other platforms' files only; otherwise the file on the index changed",
            )
