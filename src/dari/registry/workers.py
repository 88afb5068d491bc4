"""Work on several threads that ends together: the first failure, or Ctrl-C, calls the rest off at once.

The threads are daemons: one that hangs in a system call on a dead connection can't keep the program from ending.
"""

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from dari.registry.session import CancelledError

T = TypeVar("T")

_GRACE_SECONDS: Final = 2.0  # how long called-off workers are waited for


def in_parallel(tasks: Sequence[Callable[[], T]], threads: int, cancelled: threading.Event) -> tuple[T, ...]:
    """Return the tasks' results in their order. The first error is raised here, once the others have stopped.

    `cancelled` is set when anything goes wrong; tasks must look at it between any two steps.
    """
    waiting: SimpleQueue[tuple[int, Callable[[], T]]] = SimpleQueue()
    outcomes: SimpleQueue[tuple[int, T] | BaseException] = SimpleQueue()
    for pair in enumerate(tasks):
        waiting.put(pair)
    workers = [
        threading.Thread(target=_work, args=(waiting, outcomes, cancelled), daemon=True)
        for _ in range(min(threads, len(tasks)))
    ]
    results: dict[int, T] = {}
    try:
        for worker in workers:
            worker.start()
        while len(results) < len(tasks):
            number, result = _next(outcomes)
            results[number] = result
    except BaseException:  # Ctrl-C too: whatever ends this wait ends the work
        cancelled.set()
        raise
    finally:
        deadline = time.monotonic() + _GRACE_SECONDS
        for worker in workers:
            if worker.ident is not None:
                worker.join(max(0.0, deadline - time.monotonic()))
    return tuple(results[number] for number in range(len(tasks)))


def _work(
    waiting: "SimpleQueue[tuple[int, Callable[[], T]]]",
    outcomes: "SimpleQueue[tuple[int, T] | BaseException]",
    cancelled: threading.Event,
) -> None:
    while not cancelled.is_set():
        try:
            number, task = waiting.get_nowait()
        except Empty:
            return
        try:
            outcomes.put((number, task()))
        except CancelledError:
            return
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            outcomes.put(error)


def _next(outcomes: "SimpleQueue[tuple[int, T] | BaseException]") -> tuple[int, T]:
    outcome = outcomes.get()
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
