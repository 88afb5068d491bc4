"""What some distributions need and don't require in their metadata: no resolver sees it, and it fails in the container.

A row is written only for what a published version does by itself, with the place that says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

from dari.lock.given import BasePython
from dari.lock.requirements import Line
from dari.values.finding import Finding, Severity


@dataclass(frozen=True, slots=True)
class Need:
    """From version `since` on, `name` needs `requirement`; else `otherwise`."""

    name: str
    since: str
    requirement: str
    otherwise: str
    source: str


NEEDS: Final = (
    Need(
        "pyarrow",
        "26",
        "numpy>=2",
        "importing it fails",
        "https://github.com/apache/arrow/pull/50769",
    ),
    Need(
        "transformers",
        "5.20",
        "torch>=2.6",  # also of a pre-release: its is_torch_available() compares as PEP 440 does
        "it runs without PyTorch",
        "its METADATA, extra `torch`; transformers/utils/import_utils.py",
    ),
)


@dataclass(frozen=True, slots=True)
class Unmet:
    """A version that was chosen, and the version of what it needs that it would meet."""

    need: Need
    version: str
    met: str

    @property
    def constraint(self) -> Line:
        """The line that makes the resolver take a version from before the need."""
        text = f"{self.need.name}<{self.need.since}"
        return Line(text, Requirement(text), f"what {self.need.name} needs ({self.need.source})")

    @property
    def message(self) -> str:
        """What doesn't go together."""
        needed = Requirement(self.need.requirement)
        return (
            f"{self.need.name} {self.version} needs {needed}, which its metadata doesn't require, "
            f"and {needed.name} is {self.met} here"
        )


def unwritten(name: str, version: str) -> tuple[str, ...]:
    """Return what this version needs beyond its metadata, as requirement lines."""
    needs = (need for need in NEEDS if need.name == name and Version(version) >= Version(need.since))
    return tuple(need.requirement for need in needs)


def unmet(versions: Mapping[str, str], base: BasePython) -> tuple[Unmet, ...]:
    """Return the needs that what is added, on top of the base, doesn't meet. Versions count as they say they are."""
    return tuple(_unmet(versions, base))


def _unmet(versions: Mapping[str, str], base: BasePython) -> Iterator[Unmet]:
    for need in NEEDS:
        version = versions.get(need.name)
        if version is None or Version(version) < Version(need.since):
            continue
        needed = Requirement(need.requirement)
        held = base.held.get(needed.name)
        met = versions.get(needed.name) or (str(held.shown) if held else "")
        if met and not needed.specifier.contains(met, prereleases=True):
            yield Unmet(need, version, met)


def kept_older(found: Unmet, version: str) -> Finding:
    """Return the note that an older version was taken for it."""
    return Finding(
        "DARI-LOCK-UNWRITTEN",
        Severity.NOTE,
        f"{found.message}: {found.need.name} {version} is taken" if version else f"{found.message}: it is left out",
        cause=found.need.source,
    )


def left_unmet(found: Unmet, base: BasePython) -> Finding:
    """Return the warning that no older version could be taken."""
    name = Requirement(found.need.requirement).name
    allow = (f'allow = ["{name}"] in dari.toml, to let dari replace the base\'s',) if name in base.held else ()
    return Finding(
        "DARI-LOCK-UNWRITTEN",
        Severity.WARNING,
        f"{found.message}: {found.need.otherwise}, and the requirements leave no version before {found.need.since}",
        cause=found.need.source,
        ways_out=(f"let the requirements accept {found.need.name}<{found.need.since}", *allow),
    )
