"""Requests to a registry, sent: with its login, across its redirects, and again where a fault may pass.

A session belongs to one run. Everything that talks to a registry goes through `request` and `exchange`.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar
from urllib.parse import urljoin

from dari.registry.auth import Gate
from dari.registry.credentials import find_login
from dari.registry.faults import offline
from dari.registry.hosts import Hosts
from dari.registry.patience import Patience, persist
from dari.registry.redirects import MOST_REDIRECTS, REDIRECTS, redirected, too_many
from dari.registry.refusals import Refusal, refusal
from dari.registry.transport import Response, Transport
from dari.registry.wire import Request, Stream, origin
from dari.values.reference import Reference
from dari.values.settings import Settings

T = TypeVar("T")

_SAME_METHOD: Final = frozenset({307, 308})
_READS: Final = frozenset({"GET", "HEAD"})


class CancelledError(Exception):
    """This work was called off because other work failed or the user stopped it. Never leaves the room."""


@dataclass(frozen=True, slots=True)
class Session:
    """What all requests of a run share. `cancelled` calls off the work of this view of it."""

    settings: Settings
    transport: Transport
    hosts: Hosts
    patience: Patience
    cancelled: threading.Event = field(default_factory=threading.Event)
    gates: dict[tuple[str, str], Gate] = field(default_factory=dict)

    def request(
        self,
        method: str,
        reference: Reference,
        path: str,
        purpose: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Stream | None = None,
    ) -> Request:
        """Make a request for `/v2/REPOSITORY/path`, or for `path` as it is where that is an address already.

        Raises `OutsideError` (DARI-NETWORK-OFFLINE) where this run may not use the network.
        """
        writes = "" if method in _READS else ",push"
        request = Request(
            method, path, purpose, headers or {}, body, (f"repository:{reference.repository}:pull{writes}",)
        )
        if self.settings.offline:
            raise offline(request)
        base = f"{self.hosts.address(reference.registry)}/v2/{reference.repository}/"
        return replace(request, url=urljoin(base, path))

    def exchange(self, request: Request, reference: Reference) -> Response:
        """Send a request once, over its redirects. Any status is an answer. Raises `PassingError`, `OutsideError`.

        The login goes to the registry's own origin and nowhere else, whatever the registry redirects to.
        """
        home = origin(self.hosts.address(reference.registry))
        for _ in range(MOST_REDIRECTS):
            if self.cancelled.is_set():
                raise CancelledError
            at_home = origin(request.url) == home
            response = self._logged_in(request, reference) if at_home else self.transport.send(request)
            target = response.header("Location")
            if response.status not in REDIRECTS or not target:
                return response
            if response.status not in _SAME_METHOD and request.method not in _READS:
                return response
            response.close()
            request = replace(request, url=redirected(request, target))
        raise too_many(request)

    @contextlib.contextmanager
    def answered(self, request: Request, reference: Reference, *statuses: int) -> Iterator[Response]:
        """Send a request once; an answer of another status than those named is raised as what it means."""
        with self.exchange(request, reference) as response:
            if response.status not in statuses:
                raise self.refused(response, request, reference)
            yield response

    def refused(self, response: Response, request: Request, reference: Reference) -> Refusal:
        """Name an answer that is not the one hoped for."""
        return refusal(response, request.purpose, reference.registry, self._gate(reference).user)

    def persist(self, attempt: Callable[[], T]) -> T:
        """Return what `attempt` returns, trying again after faults that may pass."""
        return persist(attempt, self.patience, self.wait)

    def wait(self, seconds: float) -> None:
        """Wait, unless the work is called off meanwhile."""
        if self.cancelled.wait(seconds):
            raise CancelledError

    def apart(self) -> "Session":
        """Return the same session with its own `cancelled`."""
        return replace(self, cancelled=threading.Event())

    def _logged_in(self, request: Request, reference: Reference) -> Response:
        flow = self._gate(reference).pass_through(request)
        response: Response | None = None
        with contextlib.closing(flow):
            outgoing = next(flow)
            while True:
                response = self.transport.send(outgoing)
                try:
                    outgoing = flow.send(response)
                except StopIteration:
                    return response

    def _gate(self, reference: Reference) -> Gate:
        key = (reference.registry, reference.repository)
        files = self.settings.docker_configs
        return self.gates.setdefault(key, Gate(reference.registry, lambda: find_login(files, *key)))
