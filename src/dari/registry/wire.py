"""What goes over the wire, as values: requests as they are decided, answers as the protocols see them.

Nothing here sends. The protocols (`auth`, `uploads`) make requests and judge answers; `transport` moves them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

CHUNK: Final = 1 << 20
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Stream:
    """A body too big to hold: its length in bytes, and how to open it (again, where it must be sent again)."""

    size: int
    open: Callable[[], AbstractContextManager[Iterator[bytes]]]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `purpose` begins every message about it, as in 'reading the manifest of …'.

    `scopes` are the token scopes that it needs (`repository:NAME:pull`); `patience` is how many seconds a silent
    server is waited for.
    """

    method: str
    url: str
    purpose: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Stream | None = None
    scopes: tuple[str, ...] = ()
    patience: float = 60.0


class Answer(Protocol):
    """What a server answered: status and headers in hand, the body still on the wire."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    def header(self, name: str) -> str:
        """Return a header's value, or an empty text; names in any case."""
        ...

    def headers(self, name: str) -> tuple[str, ...]:
        """Return each line of a header that may come more than once."""
        ...

    def excerpt(self) -> bytes:
        """Return the start of the body (64 KiB at most) and let go of the connection. Never raises."""
        ...


def length(answer: Answer) -> int:
    """Return Content-Length in bytes, or -1 where the server doesn't say."""
    text = answer.header("Content-Length")
    return int(text) if text.isascii() and text.isdigit() else -1


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: where credentials may go, and nowhere else (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), port(parts)


def port(parts: SplitResult) -> int:
    """Return the port that a URL names or means; 0 where it is not a number."""
    try:
        return parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return 0


def shown(url: str) -> str:
    """Return a URL as a message may show it: without credentials, without a query (signed URLs carry secrets there)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
