"""How a run ends when it doesn't end well: one line, one hint, one id, one exit code."""

import errno
import os
import signal
import sys
import tempfile
import traceback
from typing import Final

import click

from dari.cli.render import style, write_findings
from dari.errors import ConflictError, DariError
from dari.values.malformed import Malformed

BUG: Final = 70
SIGNALLED: Final = 128  # and the signal's number: 130 for Ctrl-C, 143 for SIGTERM
OUTSIDE: Final = 3
USAGE: Final = 2


class Terminated(KeyboardInterrupt):
    """A signal that ends a run as Ctrl-C does: clean-ups run, nothing half-made stays. `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def ending(error: BaseException) -> int:  # noqa: PLR0911 - one way out for each kind of ending
    """Tell on stderr why the run ended and return the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.UsageError():
            error.show()
            return USAGE
        case KeyboardInterrupt() | click.Abort():
            return _interrupted(error)
        case BrokenPipeError() | SystemExit():  # the reader of a pipe has gone; click turns that into SystemExit
            _silence_stdout()
            return 0
        case ConflictError():
            write_findings(error.findings)
            if str(error) not in {finding.message for finding in error.findings}:  # one clash is told once
                _tell(str(error), error.id, error.hint)
            return error.exit_code
        case DariError() | Malformed():
            _tell(str(error), error.id, error.hint)
            return error.exit_code
        case OSError():
            return _operating_system(error)
        case _:
            return _bug(error)


def _interrupted(error: BaseException) -> int:
    cause = error.__cause__ or error  # click puts its Abort in the place of every KeyboardInterrupt
    number = cause.number if isinstance(cause, Terminated) else signal.SIGINT
    what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    _tell(what, "DARI-INTERRUPTED", "nothing half-written is left; the next run goes on from here")
    return SIGNALLED + number


def _operating_system(error: OSError) -> int:
    where = f" {error.filename!r}" if error.filename else ""
    what = f"{error.strerror or error}{where}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        _tell(
            f"writing stopped: {what}",
            "DARI-DISK-FULL",
            "free some room (`dari cache --clear` empties the cache), then run it again",
        )
    else:
        _tell(what, "DARI-FILE-ACCESS", "")
    return OUTSIDE


def _bug(error: BaseException) -> int:
    with tempfile.NamedTemporaryFile("w", prefix="dari-bug-", suffix=".txt", delete=False, encoding="utf-8") as stream:
        traceback.print_exception(error, file=stream)
    if os.environ.get("DARI_DEBUG"):
        traceback.print_exception(error)
    _tell(f"a bug in dari: {type(error).__name__}: {error}", "DARI-BUG", f"please report it with {stream.name}")
    return BUG


def _tell(message: str, id: str, hint: str) -> None:
    click.echo(f"{style('error', fg='red', bold=True)} {message}  {style(f'[{id}]', dim=True)}", err=True)
    if hint:
        click.echo(f"{style('hint', fg='cyan')}  {hint}", err=True)


def _silence_stdout() -> None:
    """Keep Python's own flush at exit from complaining about a reader that has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
