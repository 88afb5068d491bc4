"""One exchange with one server: sends a `Request`, returns its answer. No redirects, no login, no second try.

urllib3, ssl and http.client are loaded when the first request is sent: the room must import cheaply.
"""

import contextlib
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from dari.errors import OutsideError, UsageError
from dari.registry.faults import network_fault
from dari.registry.patience import PassingError
from dari.registry.wire import CHUNK, Request, Stream, length, origin

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_CONNECT_SECONDS: Final = 30.0
_EXCERPT: Final = 1 << 16


class Response:
    """An answer whose body is still on the wire. Use it as a context manager: that lets go of the connection."""

    def __init__(self, raw: "BaseHTTPResponse", request: Request) -> None:
        self._raw = raw
        self._request = request
        self._excerpt: bytes | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._raw.status

    def header(self, name: str) -> str:
        """Return a header's value, or an empty text; names in any case."""
        return self._raw.headers.get(name, "")

    def headers(self, name: str) -> tuple[str, ...]:
        """Return each line of a header that may come more than once."""
        return tuple(self._raw.headers.getlist(name))

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it was sent, undecoded. Raises `PassingError`, `OutsideError`."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - loaded by whoever sent the request

        try:
            yield from self._raw.stream(CHUNK, decode_content=False)
        except (HTTPError, OSError) as error:
            raise network_fault(error, self._request) from error

    def excerpt(self) -> bytes:
        """Return the start of the body (64 KiB at most) and let go of the connection. Never raises."""
        if self._excerpt is None:
            self._excerpt = b""
            with contextlib.suppress(PassingError, OutsideError, UsageError):
                for chunk in self.chunks():
                    self._excerpt += chunk[: _EXCERPT - len(self._excerpt)]
                    if len(self._excerpt) >= _EXCERPT:
                        break
            self.close()
        return self._excerpt

    def close(self) -> None:
        """Let go of the connection: kept for the next request where the body was read to its end, closed where not."""
        if self._request.method == "HEAD" or 0 <= length(self) <= _EXCERPT:
            self._raw.drain_conn()
        else:
            self._raw.close()
        self._raw.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transport:
    """The connections of a run, kept open between requests. Safe from several threads."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._lock = threading.Lock()
        self._pools: dict[str, PoolManager] = {}

    def send(self, request: Request) -> Response:
        """Send one request. Raises `PassingError`, `OutsideError` or `UsageError` (DARI-NETWORK-…)."""
        from urllib3 import Timeout  # noqa: PLC0415 - urllib3 takes 150 ms: only who sends pays for it
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - likewise

        headers = {"User-Agent": "dari", "Accept-Encoding": "identity", **request.headers}
        with contextlib.ExitStack() as stack:
            body: bytes | Iterator[bytes] | None
            if isinstance(request.body, Stream):
                headers["Content-Length"] = str(request.body.size)
                body = stack.enter_context(request.body.open())
            else:
                body = request.body
            try:
                raw = self._pool(request.url).request(
                    request.method,
                    request.url,
                    body=body,
                    headers=headers,
                    preload_content=False,
                    decode_content=False,
                    redirect=False,
                    retries=False,
                    timeout=Timeout(connect=_CONNECT_SECONDS, read=request.patience),
                )
            except (HTTPError, OSError, UnicodeError) as error:
                raise network_fault(error, request) from error
        return Response(raw, request)

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _pool(self, url: str) -> "PoolManager":
        import ssl  # noqa: PLC0415 - see send

        from urllib3 import PoolManager  # noqa: PLC0415 - see send

        scheme = origin(url)[0]
        with self._lock:
            if scheme not in self._pools:
                # One context for all connections: making one reads the whole bundle. It honours SSL_CERT_FILE.
                context = ssl.create_default_context() if scheme == "https" else None
                self._pools[scheme] = PoolManager(num_pools=16, maxsize=self._connections, ssl_context=context)
            return self._pools[scheme]
