"""Trying again: only what may pass, a few times, each time after a longer and slightly random pause."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dari.errors import OutsideError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often something is tried in all, and the pauses in between, in seconds.

    A server's own wish (Retry-After) is honoured up to `longest_wish`; past that, waiting is the user's to decide.
    """

    tries: int = 5
    first: float = 0.4
    longest: float = 20.0
    longest_wish: float = 60.0

    def pause(self, failures: int, wish: float | None) -> float:
        """Return how long to wait after so many failures (1 or more).

        Half of it is chance, so that many clients that failed together don't come back together.
        """
        longest = min(self.longest, self.first * 2.0 ** (failures - 1))
        return max(wish or 0.0, longest * (0.5 + os.urandom(1)[0] / 510))

    def gives_up(self, failures: int, wish: float | None) -> bool:
        """Say whether trying has an end here."""
        return failures >= self.tries or (wish or 0.0) > self.longest_wish


class PassingError(Exception):
    """A fault that may pass. Never leaves the room: `error` is what is said when it doesn't pass."""

    def __init__(self, error: OutsideError, wish: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wish = wish  # seconds, from Retry-After


def persist(attempt: Callable[[], T], patience: Patience, wait: Callable[[float], None]) -> T:
    """Return what `attempt` returns, trying again after a `PassingError`; at the end, raises its error."""
    failures = 0
    while True:
        try:
            return attempt()
        except PassingError as fault:
            failures += 1
            if patience.gives_up(failures, fault.wish):
                raise fault.error from fault
            wait(patience.pause(failures, fault.wish))
