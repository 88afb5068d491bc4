"""Running other programs: an argv tuple, never a shell string, always with a time limit."""

import contextlib
import os
import signal
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
    input: str = "",
    timeout: float,
) -> Completed:
    """Run a program to its end. `environment` is added to this process's own; `input` is its stdin.

    Raises `OutsideError`: DARI-PROGRAM-MISSING where it isn't there, DARI-PROGRAM-TIMEOUT past `timeout` seconds.
    A non-zero status is a value, not an error: the caller knows what it means.
    """
    try:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # its own children end with it: see `_end`
        )
    except FileNotFoundError as error:
        raise OutsideError("DARI-PROGRAM-MISSING", f"running {argv[0]!r}: there is no such program") from error
    with process:
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _end(process)
            message = f"running {argv[0]!r}: no end after {timeout:.0f} s"
            raise OutsideError("DARI-PROGRAM-TIMEOUT", message, temporary=True) from error
        except BaseException:
            _end(process)
            raise
    return Completed(argv, process.returncode, stdout, stderr)


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill a program and whatever it started: a build's compiler must not outlive the build."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
