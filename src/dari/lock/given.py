"""What the base has already, as the resolver is shown it: pins, a shadow of its metadata, and what it must not touch.

uv takes a `--target` folder for installed what has a .dist-info there. A folder with the base's METADATA and nothing
else is enough; the requirements of each are left out (the base is closed: whatever it lacks, it lived without),
except those of an extra, which a project may ask for on top. Bare constraints don't do: with `torch==2.6.0a0+…` on no
index, uv answers with accelerate 0.0.1, the last that didn't need torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from dari.lock.requirements import Line, constraint_lines
from dari.system import write_atomically
from dari.values.inventory import Distribution, Inventory
from dari.values.project import LockRules
from dari.values.protection import is_protected_distribution
from dari.values.python import PythonTarget


@dataclass(frozen=True, slots=True)
class Held:
    """One distribution of the base. `version` is the one it counts as, `shown` the one it says it has."""

    name: str
    version: Version
    shown: Version
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BasePython:
    """The Python side of a base: what it holds fast, and its pip constraint files' lines on anything else.

    `released` are the names that `allow` lets go. `protects` says whether there is a GPU stack to protect.
    """

    held: Mapping[str, Held]
    released: Mapping[str, Held]
    constraints: tuple[Line, ...]
    protects: bool


def base_python(inventory: Inventory, target: PythonTarget, rules: LockRules) -> BasePython:
    """Sort a base's distributions into those that are fixed and those that the project lets go.

    Where a name lies in several site directories the first on sys.path counts, as Python's import does. One whose
    name or version no resolver could read is left out.
    """
    order = {location: rank for rank, location in enumerate(target.search_path)}
    found: dict[str, Held] = {}
    for distribution in sorted(inventory.distributions, key=lambda each: order.get(each.location, len(order))):
        held = _held(distribution, rules)
        if held:
            found.setdefault(held.name, held)
    allowed = {canonicalize_name(name) for name in rules.allow}
    constraints_file = inventory.environment.get("PIP_CONSTRAINT", "") or "pip's settings of the base"
    return BasePython(
        held={name: held for name, held in sorted(found.items()) if name not in allowed},
        released={name: held for name, held in sorted(found.items()) if name in allowed},
        # A name the base has is pinned already, and its constraint line may say no more than that (or be wrong).
        constraints=tuple(
            line
            for line in constraint_lines(inventory.constraints, constraints_file)
            if line.name not in found and line.name not in allowed
        ),
        protects=any(distribution.protected for distribution in inventory.distributions)
        or any(is_protected_distribution(name) for name in found),
    )


def write_shadow(base: BasePython, folder: Path) -> None:
    """Write the .dist-info folders that make uv take `folder` for the base's site directory."""
    folder.mkdir(parents=True, exist_ok=True)
    for held in (*base.held.values(), *base.released.values()):
        info = folder / f"{held.name.replace('-', '_')}-{held.version}.dist-info"
        optional = tuple(line for line in held.requires if _is_optional(line))
        extras = sorted({extra for line in optional for extra in _extras_named(line)})
        metadata = [
            "Metadata-Version: 2.1",
            f"Name: {held.name}",
            f"Version: {held.version}",
            *(f"Provides-Extra: {extra}" for extra in extras),
            *(f"Requires-Dist: {line}" for line in optional),
        ]
        write_atomically(info / "METADATA", ("\n".join(metadata) + "\n").encode())
        write_atomically(info / "WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        write_atomically(info / "INSTALLER", b"dari\n")
        write_atomically(info / "RECORD", b"")


def pins(base: BasePython) -> str:
    """Return the constraints that hold the base as it is, one `NAME==VERSION` a line."""
    return "".join(f"{held.name}=={held.version}\n" for held in base.held.values())


def _held(distribution: Distribution, rules: LockRules) -> Held | None:
    try:
        name = canonicalize_name(distribution.name, validate=True)
        shown = Version(distribution.version)
    except (InvalidName, InvalidVersion):
        return None
    accepted = name in {canonicalize_name(each) for each in rules.accept_prerelease}
    version = Version(shown.base_version) if accepted and shown.is_prerelease else shown
    return Held(name, version, shown, distribution.requires)


def _is_optional(line: str) -> bool:
    try:
        marker = Requirement(line).marker
    except InvalidRequirement:
        return False
    return marker is not None and "extra" in str(marker)


def _extras_named(line: str) -> tuple[str, ...]:
    words = str(Requirement(line).marker).replace("(", " ").replace(")", " ").split()
    return tuple(
        words[index + 2].strip("\"'")
        for index, word in enumerate(words[:-2])
        if word == "extra" and words[index + 1] == "=="
    )
