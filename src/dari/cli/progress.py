"""Long work on a terminal: bars for bytes. Elsewhere: one line when a task of some size has ended."""

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from dari.values.amounts import bytes_text
from dari.values.progress import Progress, Silent, Task

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_WORTH_A_LINE = 16_000_000


def progress_for(context: click.Context) -> Progress:
    """Choose how this run tells of its work: bars on a terminal, lines elsewhere, nothing with --quiet."""
    if context.find_root().obj["quiet"]:
        return Silent()
    if not sys.stderr.isatty():
        return _Lines()
    terminal = _Terminal()
    context.call_on_close(terminal.close)
    return terminal


class _LineTask:
    def __init__(self, label: str) -> None:
        self._label = label
        self._done = 0
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount

    def finish(self, outcome: str = "") -> None:
        if self._done >= _WORTH_A_LINE:
            click.echo(f"  {self._label}: {bytes_text(self._done)} {outcome}".rstrip(), err=True)
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()


class _Lines:
    def task(self, label: str, total: int | None = None) -> Task:  # noqa: ARG002 - the protocol's shape
        return _LineTask(label)

    def say(self, line: str) -> None:
        click.echo(line, err=True)


class _BarTask:
    def __init__(self, bars: "Bars", label: str, total: int | None) -> None:
        self._bars = bars
        self._id = bars.add_task(label[:48], total=total)

    def advance(self, amount: int) -> None:
        self._bars.advance(self._id, amount)

    def finish(self, outcome: str = "") -> None:  # noqa: ARG002 - a bar that has ended goes; the report tells the rest
        self._bars.update(self._id, visible=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()


class _Terminal:
    """Bars that come with the first task and go with the last: a quick command never loads rich."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._lock = threading.Lock()

    def task(self, label: str, total: int | None = None) -> Task:
        with self._lock:
            if self._bars is None:
                self._bars = self._start()
        return _BarTask(self._bars, label, total)

    def say(self, line: str) -> None:
        if self._bars is None:
            click.echo(line, err=True)
        else:
            self._bars.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _start(self) -> "Bars":
        from rich.console import Console  # noqa: PLC0415 - 100 ms that only long work pays
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn())
        bars = Progress(*columns, console=Console(stderr=True), transient=True)
        bars.start()
        return bars
