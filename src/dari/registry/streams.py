"""Content by digest, as it flows: taken up again by Range where a connection breaks, verified at its end."""

import contextlib
import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from dari.errors import IntegrityError
from dari.registry.patience import PassingError, Patience
from dari.registry.transport import Response
from dari.registry.wire import Request
from dari.values.digest import Digest

_PARTIAL: Final = 206
_RANGE_REFUSED: Final = 416

# Opens a request's answer; its status is 200, 206 or 416, anything else has been raised.
Opener = Callable[[Request], AbstractContextManager[Response]]


def resumed(
    opener: Opener, request: Request, patience: Patience, wait: Callable[[float], None], start: int = 0
) -> Generator[bytes]:
    """Yield a body's bytes from `start` on. A fault that may pass is waited out, and reading goes on where it stopped.

    Only failures without a byte in between are counted, so that a long transfer may break more often than a short one.
    """
    position, failures = start, 0
    while True:
        try:
            with opener(_from(request, position)) as response, contextlib.closing(_rest(response, position)) as chunks:
                for chunk in chunks:
                    position += len(chunk)
                    failures = 0
                    yield chunk
                return
        except PassingError as fault:
            failures += 1
            if patience.gives_up(failures, fault.wish):
                raise fault.error from fault
            wait(patience.pause(failures, fault.wish))


def verified(chunks: Iterator[bytes], digest: Digest, size: int, purpose: str) -> Iterator[bytes]:
    """Yield the chunks; the last is withheld until size and digest are seen to match.

    Raises `IntegrityError` (DARI-REGISTRY-DIGEST).
    """
    running = hashlib.new(digest.algorithm)
    count, pending = 0, b""
    for chunk in chunks:
        count += len(chunk)
        if count > size:
            break
        running.update(chunk)
        if pending:
            yield pending
        pending = chunk
    if count != size or running.hexdigest() != digest.hex:
        got = f"{'more than ' if count > size else ''}{min(count, size)} bytes"
        raise IntegrityError(
            "DARI-REGISTRY-DIGEST",
            f"{purpose}: got {got} that are not {digest} ({size} bytes)",
            hint="try again; if it stays, the content is damaged on the registry and has to be pushed again",
        )
    if pending:
        yield pending


def _from(request: Request, position: int) -> Request:
    headers = {**request.headers, "Range": f"bytes={position}-"} if position else request.headers
    return replace(request, headers=headers)


def _rest(response: Response, position: int) -> Generator[bytes]:
    """Yield what comes after `position`: all of a partial answer, the tail of a whole one, nothing past the end."""
    if response.status == _RANGE_REFUSED:
        return
    skip = 0 if response.status == _PARTIAL else position
    for chunk in response.chunks():
        if skip >= len(chunk):
            skip -= len(chunk)
        else:
            yield chunk[skip:] if skip else chunk
            skip = 0
