"""How long work tells of itself: a task with a total, advanced from any thread."""

from types import TracebackType
from typing import Protocol, Self


class Task(Protocol):
    """One piece of work that is under way."""

    def advance(self, amount: int) -> None:
        """Add `amount` units (bytes, where the task counts bytes)."""
        ...

    def finish(self, outcome: str = "") -> None:
        """End the task; `outcome` is a word such as 'exists' or 'mounted'."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Progress(Protocol):
    """Where tasks are shown. Implementations are safe to call from several threads."""

    def task(self, label: str, total: int | None = None) -> Task:
        """Begin a task; `total` in bytes, None where it isn't known."""
        ...

    def say(self, line: str) -> None:
        """Tell one line of what is being done."""
        ...


class _SilentTask:
    def advance(self, amount: int) -> None:
        pass

    def finish(self, outcome: str = "") -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Silent:
    """Shows nothing."""

    def task(self, label: str, total: int | None = None) -> Task:  # noqa: ARG002 - the protocol's shape
        """Begin a task that nobody sees."""
        return _SilentTask()

    def say(self, line: str) -> None:
        """Say nothing."""
