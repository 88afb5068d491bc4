"""What a command found or did: one value that is printed as text or as one versioned JSON document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dari.values.finding import Finding


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table; each row has as many cells as `columns`, or is two cells wide where there are none."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """`kind` names the JSON schema (docs/reference/schema/KIND.json), `document` is its body."""

    kind: str
    headline: str
    document: Mapping[str, Any]
    sections: tuple[Section, ...] = ()
    findings: tuple[Finding, ...] = ()
    next_steps: tuple[str, ...] = ()
    exit_code: int = field(default=0)
