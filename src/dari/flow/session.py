"""What one run shares: settings, the cache, the registry client, downloads; made when first used."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from dari.system import Store
from dari.values.digest import Digest
from dari.values.progress import Progress
from dari.values.settings import Settings

if TYPE_CHECKING:
    from dari.lock import Workbench
    from dari.registry import Client, Downloads


T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """One run of a command. Nothing in it touches the network before it is used."""

    settings: Settings
    progress: Progress
    _open: contextlib.ExitStack
    sound: set[Digest] = field(default_factory=set)  # cached files whose bytes this run has seen to be right

    @cached_property
    def store(self) -> Store:
        """The cache."""
        return Store(self.settings.cache)

    @cached_property
    def client(self) -> "Client":
        """Speaks to registries."""
        from dari.registry import Client  # noqa: PLC0415 - urllib3 costs 100 ms that an unchanged build doesn't owe

        return self._open.enter_context(Client(self.settings, self.progress))

    @cached_property
    def downloads(self) -> "Downloads":
        """Fetches wheels and Debian packages."""
        from dari.registry import Downloads  # noqa: PLC0415 - as above

        return self._open.enter_context(Downloads(self.settings, self.progress))

    @cached_property
    def bench(self) -> "Workbench":
        """What resolving and building wheels work with."""
        from dari.lock import Workbench  # noqa: PLC0415 - an unchanged build resolves nothing

        return Workbench(self.downloads, self.store, self.settings.cache / "work", self.settings.offline)

    def together(self, fetch: Callable[[T], Path], wanted: Sequence[T]) -> tuple[Path, ...]:
        """Fetch several files at once; the first error, or Ctrl-C, ends the others.

        The threads are daemons: nobody who interrupts waits for the rest of a gigabyte. What has arrived of it stays.
        """
        waiting: SimpleQueue[tuple[int, T]] = SimpleQueue()
        outcomes: SimpleQueue[tuple[int, Path] | BaseException] = SimpleQueue()
        for pair in enumerate(wanted):
            waiting.put(pair)

        def work() -> None:
            try:
                while True:
                    number, one = waiting.get_nowait()
                    outcomes.put((number, fetch(one)))
            except Empty:
                return
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                outcomes.put(error)

        for _ in range(min(self.settings.uploads, len(wanted))):
            threading.Thread(target=work, daemon=True).start()
        try:
            return tuple(path for _, path in sorted(_outcome(outcomes) for _ in wanted))
        except BaseException:
            with contextlib.suppress(Empty):
                while True:
                    waiting.get_nowait()
            raise


def _outcome(outcomes: "SimpleQueue[tuple[int, Path] | BaseException]") -> tuple[int, Path]:
    outcome = outcomes.get()
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@contextlib.contextmanager
def session(settings: Settings, progress: Progress) -> Iterator[Session]:
    """Open a session; whatever it opened is closed at the end."""
    with contextlib.ExitStack() as stack:
        yield Session(settings, progress, stack)
