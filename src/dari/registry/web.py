"""Addresses outside registries: taken apart, asked for across redirects, and what their servers refuse."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from dari.errors import DariError, OutsideError, UsageError
from dari.registry.credentials import Login
from dari.registry.patience import PassingError
from dari.registry.redirects import MOST_REDIRECTS, REDIRECTS, redirected, too_many
from dari.registry.refusals import FORBIDDEN, NOT_FOUND, UNAUTHORIZED, temporary_refusal
from dari.registry.transport import Response, Transport
from dari.registry.wire import Request, origin, port, shown

_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is to be had. `url` is without credentials; `path` is set for a file address alone."""

    url: str
    purpose: str  # begins every message
    name: str  # the last part of the path, for a progress bar
    authorization: str = field(default="", repr=False)
    path: Path | None = None


def locate(url: str) -> Address:
    """Read an http, https or file address. Raises `UsageError` (DARI-DOWNLOAD-ADDRESS)."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _not_an_address("the address") from error
    name = unquote(parts.path).rstrip("/").rpartition("/")[2] or parts.hostname or "file"
    purpose = f"downloading {shown(url)}"
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and "\0" not in unquote(parts.path):
        return Address(url, f"reading {unquote(parts.path)!r}", name, path=Path(unquote(parts.path)))
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port(parts):
        raise _not_an_address(repr(shown(url)))
    bare = urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], quote(parts.path, "/%:@!$&'()*+,;=~"), parts.query, "")
    )
    return Address(bare, purpose, name, _authorization(parts))


@contextlib.contextmanager
def answered(transport: Transport, request: Request, statuses: tuple[int, ...]) -> Iterator[Response]:
    """Send a request once, over its redirects; any other status than those named is raised as what it means.

    The Authorization header stays with the first origin.
    """
    home = origin(request.url)
    for _ in range(MOST_REDIRECTS):
        away = origin(request.url) != home
        headers = {name: value for name, value in request.headers.items() if not (away and name == "Authorization")}
        with transport.send(replace(request, headers=headers)) as response:
            target = response.header("Location")
            if response.status not in REDIRECTS or not target:
                if response.status not in statuses:
                    raise _refused(response, request)
                yield response
                return
            request = replace(request, url=redirected(request, target))
    raise too_many(request)


def _refused(response: Response, request: Request) -> PassingError | DariError:
    if passing := temporary_refusal(response, request.purpose):
        return passing
    if response.status in {NOT_FOUND, _GONE}:
        return OutsideError(
            "DARI-DOWNLOAD-NOT-FOUND",
            f"{request.purpose}: there is no such file (any more)",
            hint="the index or the lock may be older than the archive; update it and try again",
        )
    if response.status in {UNAUTHORIZED, FORBIDDEN}:
        return OutsideError(
            "DARI-DOWNLOAD-DENIED",
            f"{request.purpose}: {origin(request.url)[1]} doesn't allow it (status {response.status})",
            hint="a private index wants its user and password in the address: https://USER:PASSWORD@HOST/…",
        )
    return OutsideError(
        "DARI-DOWNLOAD-REFUSED", f"{request.purpose}: {origin(request.url)[1]} answered {response.status}"
    )


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    return Login(unquote(parts.username), unquote(parts.password or "")).basic


def _not_an_address(what: str) -> UsageError:
    return UsageError(
        "DARI-DOWNLOAD-ADDRESS",
        f"{what} is not an address that can be downloaded from",
        hint="write https://HOST/PATH, http://HOST/PATH or file:///PATH",
    )
