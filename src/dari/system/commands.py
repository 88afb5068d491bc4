"""Running other programs: an argv tuple, never a shell string, always with a time limit."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dari.errors import OutsideError


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program left: exit status and both outputs."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


def run(
    argv: tuple[str, ...],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout: float,
) -> Completed:
    """Run a program to its end. `environment` is added to this process's own.

    Raises `OutsideError`: DARI-PROGRAM-MISSING where it isn't there, DARI-PROGRAM-TIMEOUT past `timeout` seconds.
    A non-zero status is a value, not an error: the caller knows what it means.
    """
    try:
        completed = subprocess.run(
            argv,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            timeout=timeout,
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise OutsideError("DARI-PROGRAM-MISSING", f"running {argv[0]!r}: there is no such program") from error
    except subprocess.TimeoutExpired as error:
        raise OutsideError(
            "DARI-PROGRAM-TIMEOUT", f"running {argv[0]!r}: no end after {timeout:.0f} s", temporary=True
        ) from error
    return Completed(argv, completed.returncode, completed.stdout, completed.stderr)
