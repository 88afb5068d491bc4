"""Redirects: which statuses they are, how many are followed, where they may lead."""

from typing import Final
from urllib.parse import urljoin

from dari.errors import OutsideError
from dari.registry.wire import Request, origin

MOST_REDIRECTS: Final = 10
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


def redirected(request: Request, target: str) -> str:
    """Return where a redirect leads. Raises `OutsideError` (DARI-NETWORK-DOWNGRADE) where that is without TLS."""
    url = urljoin(request.url, target)
    scheme = origin(url)[0]
    if scheme not in {"http", "https"} or (scheme == "http" and origin(request.url)[0] == "https"):
        raise OutsideError(
            "DARI-NETWORK-DOWNGRADE",
            f"{request.purpose}: {origin(request.url)[1]} redirects to an address without TLS",
            hint="this is a fault of the server (or of a proxy before it); tell its operator",
        )
    return url


def too_many(request: Request) -> OutsideError:
    """Return the error of a redirect that leads in a circle."""
    return OutsideError(
        "DARI-NETWORK-REDIRECTS",
        f"{request.purpose}: redirected more than {MOST_REDIRECTS} times",
        hint="this is a fault of the server; tell its operator",
    )
