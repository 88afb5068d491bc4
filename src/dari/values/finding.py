"""A finding: what is wrong, where, why, and what to do. The one currency of every judging room."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is. Only ERROR stops a build."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `id` is stable (`dari explain ID`); `cause` names what the user wrote, `ways_out` what to write."""

    id: str
    severity: Severity
    message: str
    where: str = ""
    cause: str = ""
    ways_out: tuple[str, ...] = ()
