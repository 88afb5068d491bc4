"""Errors: one tree, one stable id each, one hint. `dari explain ID` expands an id from `dari/explanations/`.

    DariError
    ├── UsageError       2   the command, dari.toml or a file the user gave is wrong
    ├── ConflictError    1   judged: what was asked for can't be had as it is (carries the findings)
    ├── IntegrityError   3   bytes are not what their digest says
    └── OutsideError     3   a registry, an index, a program or the disk failed; `temporary` if it may pass

A message says what was being done, to what, why it stopped. A hint says what to do next.
"""

from typing import ClassVar

from dari.values.finding import Finding


class DariError(Exception):
    """Anything dari itself reports. Never raised as such."""

    exit_code: ClassVar[int] = 70

    def __init__(self, id: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.id = id
        self.hint = hint


class UsageError(DariError):
    """Wrong use: the command line, dari.toml, or a file that the user gave."""

    exit_code = 2


class ConflictError(DariError):
    """What was asked for contradicts itself or the base; `findings` say each contradiction and the ways out."""

    exit_code = 1

    def __init__(self, id: str, message: str, *, hint: str = "", findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(id, message, hint=hint)
        self.findings = findings


class IntegrityError(DariError):
    """Bytes that do not match their digest or size."""

    exit_code = 3


class OutsideError(DariError):
    """Something outside dari failed. `temporary` says that trying again may help."""

    exit_code = 3

    def __init__(self, id: str, message: str, *, hint: str = "", temporary: bool = False) -> None:
        super().__init__(id, message, hint=hint)
        self.temporary = temporary


__all__ = ["ConflictError", "DariError", "IntegrityError", "OutsideError", "UsageError"]
