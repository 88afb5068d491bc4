"""Getting bytes from a URL, as a room that needs them sees it; `registry` does it."""

from pathlib import Path
from typing import Protocol

from dari.values.digest import Digest


class Fetcher(Protocol):
    """Downloads with retries, resumption and verification. `file:` addresses work too."""

    def read(self, url: str, *, limit: int) -> bytes:
        """Return a small document whole; more than `limit` bytes is an error (DARI-DOWNLOAD-TOO-LARGE)."""
        ...

    def fetch(self, url: str, digest: Digest, *, size: int | None = None, label: str = "") -> Path:
        """Return the path of the content in the cache, downloading it first where it isn't there yet.

        Raises `OutsideError` (DARI-DOWNLOAD-…) or `IntegrityError` (DARI-DOWNLOAD-DIGEST). Safe from several threads.
        """
        ...
