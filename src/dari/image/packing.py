"""One pass over a layer's entries: tar → diffID → blocks compressed by a pool → digest → store."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import BinaryIO, Final

from dari.errors import OutsideError
from dari.image.blocks import BLOCK_SIZE
from dari.image.tar import END, header, padding
from dari.system import BlobWriter
from dari.values.digest import Digest
from dari.values.entry import Entry, Kind

_READ: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Press:
    """How blocks are compressed: `compress` runs on `pool`, at most `in_flight` blocks of a layer at a time."""

    pool: Executor
    compress: Callable[[bytearray], bytes | bytearray]
    in_flight: int


@dataclass(frozen=True, slots=True)
class Packed:
    """What came out: the digest of the tar stream and its size in bytes."""

    diff_id: Digest
    uncompressed: int


def pack(entries: Sequence[Entry], writer: BlobWriter, press: Press, seen: Callable[[int], None]) -> Packed:
    """Write the layer of `entries` to `writer`, compressed; `seen` is told uncompressed bytes and may raise to stop.

    Holds `press.in_flight` + 1 blocks and their compressed forms, whatever the layer's size. Blocks are cut at fixed
    places, so the bytes don't depend on the pool. Raises `OutsideError`: DARI-LAYER-FILE-CHANGED,
    DARI-LAYER-FILE-UNREADABLE; `OSError` from the writer.
    """
    diff_id, uncompressed = hashlib.sha256(), 0
    waiting: deque[Future[bytes | bytearray]] = deque()
    try:
        for block in _blocks(entries):
            diff_id.update(block)
            uncompressed += len(block)
            if len(waiting) == press.in_flight:
                writer.write(waiting.popleft().result())
            waiting.append(press.pool.submit(press.compress, block))
            seen(len(block))
        while waiting:
            writer.write(waiting.popleft().result())
    finally:
        for future in waiting:
            future.cancel()
    return Packed(Digest("sha256", diff_id.hexdigest()), uncompressed)


def _blocks(entries: Sequence[Entry]) -> Iterator[bytearray]:
    block = bytearray()
    for piece in _stream(entries):
        block += piece
        while len(block) >= BLOCK_SIZE:
            rest = block[BLOCK_SIZE:]
            del block[BLOCK_SIZE:]
            yield block
            block = rest
    if block:
        yield block


def _stream(entries: Sequence[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield header(entry)
        if entry.kind is Kind.FILE and entry.open is not None:
            yield from _content(entry, entry.open)
            yield padding(entry.size)
    yield END


def _content(entry: Entry, opened: Callable[[], BinaryIO]) -> Iterator[bytes]:
    left = entry.size
    try:
        with opened() as stream:
            while left and (piece := stream.read(min(left, _READ))):
                left -= len(piece)
                yield piece
            more = b"" if left else stream.read(1)
    except OSError as error:
        raise OutsideError(
            "DARI-LAYER-FILE-UNREADABLE",
            f"reading {entry.path!a} into a layer: {error.strerror or error}",
            hint="make it readable, or exclude it",
        ) from error
    if left or more:
        raise OutsideError(
            "DARI-LAYER-FILE-CHANGED",
            f"reading {entry.path!a} into a layer: it has {'fewer' if left else 'more'} than the {entry.size} bytes "
            "it had a moment ago",
            hint="something writes to it; run again when it has finished, or exclude it",
            temporary=True,
        )
