"""Downloads by address: wheels, source archives, Debian's files, into the cache and by digest.

What has arrived is kept under `downloads/HEX` in the cache, so that the next try, in this run or a later one, asks
only for the rest. A lock on that file lets one thread of one process at a time write it.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial as bound
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dari.errors import IntegrityError, OutsideError
from dari.registry.faults import offline
from dari.registry.patience import Patience, persist
from dari.registry.streams import resumed
from dari.registry.transport import Transport
from dari.registry.web import Address, answered, locate
from dari.registry.wire import CHUNK, Request
from dari.system import Store, chunks_of, locked
from dari.values.digest import Digest
from dari.values.progress import Progress, Task
from dari.values.settings import Settings

_READ: Final = (200,)
_RESUMED: Final = (200, 206, 416)


@dataclass(frozen=True, slots=True)
class _Wanted:
    address: Address
    digest: Digest
    size: int | None


class Downloads:
    """Gets http, https and file addresses; a `values.fetch.Fetcher`. Safe from several threads and processes."""

    def __init__(self, settings: Settings, progress: Progress, patience: Patience | None = None) -> None:
        self._settings = settings
        self._progress = progress
        self._patience = patience or Patience()
        self._store = Store(settings.cache)
        self._transport = Transport(connections=settings.uploads + 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def read(self, url: str, *, limit: int) -> bytes:
        """Return a small document whole, not from the cache and not kept in it.

        Raises `OutsideError`: DARI-DOWNLOAD-TOO-LARGE, DARI-DOWNLOAD-NOT-FOUND, DARI-DOWNLOAD-REFUSED,
        DARI-DOWNLOAD-FILE, DARI-NETWORK-…; `UsageError`: DARI-DOWNLOAD-ADDRESS.
        """
        address = locate(url)

        def attempt() -> bytes:
            with contextlib.closing(self._source(address, 0, resuming=False)) as chunks:
                parts, size = [], 0
                for chunk in chunks:
                    parts.append(chunk)
                    size += len(chunk)
                    if size > limit:
                        raise OutsideError(
                            "DARI-DOWNLOAD-TOO-LARGE",
                            f"{address.purpose}: it is larger than the {limit} bytes that were expected at most",
                            hint="check the address",
                        )
                return b"".join(parts)

        return persist(attempt, self._patience, time.sleep)

    def fetch(self, url: str, digest: Digest, *, size: int | None = None, label: str = "") -> Path:
        """Return the path of the content in the cache, downloading it first where it isn't there yet.

        `digest` may be of sha256 or sha512. Raises as `read`, and `IntegrityError` (DARI-DOWNLOAD-DIGEST).
        """
        if self._store.holds(digest, size):
            return self._store.path(digest)
        address = locate(url)
        partial = self._store.root / "downloads" / digest.hex
        with locked(partial):
            if self._store.holds(digest, size):  # another thread or process was faster
                partial.unlink(missing_ok=True)
                return self._store.path(digest)
            with self._progress.task(label or address.name, size) as task:
                self._arrive(_Wanted(address, digest, size), partial, task)
                task.finish("downloaded")
        return self._store.path(digest)

    def _arrive(self, wanted: _Wanted, partial: Path, task: Task) -> None:
        """Complete the partial file and move it into the store; what was kept and is wrong is fetched anew, once."""
        kept = partial.stat().st_size
        got = self._append(wanted, partial, task)
        if kept and got != wanted.digest:
            task.advance(-partial.stat().st_size)
            os.truncate(partial, 0)
            got = self._append(wanted, partial, task)
        if got != wanted.digest:
            os.truncate(partial, 0)
            raise IntegrityError(
                "DARI-DOWNLOAD-DIGEST",
                f"{wanted.address.purpose}: got {got}, not {wanted.digest}",
                hint="the file was replaced since it was locked, or damaged on its way; compare with its publisher",
            )
        target = self._store.path(wanted.digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)

    def _append(self, wanted: _Wanted, partial: Path, task: Task) -> Digest:
        """Append what is missing, up to the known size; returns the whole's digest, of the wanted one's algorithm."""
        running = hashlib.new(wanted.digest.algorithm)
        with partial.open("r+b") as stream:
            while chunk := stream.read(CHUNK):
                running.update(chunk)
                task.advance(len(chunk))
            if running.hexdigest() != wanted.digest.hex:
                with contextlib.closing(self._source(wanted.address, stream.tell(), resuming=True)) as chunks:
                    for chunk in chunks:
                        stream.write(chunk)
                        running.update(chunk)
                        task.advance(len(chunk))
                        if wanted.size is not None and stream.tell() > wanted.size:
                            break  # whatever follows, it isn't what was wanted
            stream.flush()
            os.fsync(stream.fileno())
        return Digest(wanted.digest.algorithm, running.hexdigest())

    def _source(self, address: Address, start: int, *, resuming: bool) -> Generator[bytes]:
        """Yield the address's bytes from `start` on."""
        if address.path is not None:
            yield from _file(address, address.path, start)
            return
        headers = {"Authorization": address.authorization} if address.authorization else {}
        request = Request("GET", address.url, address.purpose, headers)
        if self._settings.offline:
            raise offline(request)
        if resuming:
            opener = bound(answered, self._transport, statuses=_RESUMED)
            with contextlib.closing(resumed(opener, request, self._patience, time.sleep, start)) as chunks:
                yield from chunks
        else:
            with answered(self._transport, request, _READ) as response:
                yield from response.chunks()


def _file(address: Address, path: Path, start: int) -> Generator[bytes]:
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            yield from chunks_of(stream)
    except OSError as error:
        raise OutsideError(
            "DARI-DOWNLOAD-FILE",
            f"{address.purpose}: {error.strerror or error}",
            hint="check that the path is right and that you may read it",
        ) from error
