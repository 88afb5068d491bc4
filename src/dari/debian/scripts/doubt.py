"""Values that may not be known, and the two ways a script's evaluation ends early."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Doubt(Enum):
    """The one value that stands for every value that isn't known."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Doubt.UNKNOWN
Text = str | Doubt


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left: its status (None: not known), its output, and whether it was left out on purpose."""

    status: int | None
    output: Text = ""
    skipped: bool = False


class Leaving(Exception):  # noqa: N818 - not an error: `exit`, `return`, `break` or `continue` on its way
    """`kind` is the command's name; `output` gathers what was printed before."""

    def __init__(self, kind: str, status: int | None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = status
        self.output: Text = ""


class Refused(Exception):  # noqa: N818 - it reads as what it is, and never leaves this room
    """A command that dari can't reproduce; `command` is how the script writes it."""

    def __init__(self, reason: str, command: str = "", line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.command = command
        self.line = line


def joined(first: Text, second: Text) -> Text:
    """Return two outputs in a row."""
    return first + second if isinstance(first, str) and isinstance(second, str) else UNKNOWN
