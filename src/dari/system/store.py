"""The cache: content by digest, and small records by key. Safe for any number of processes at once.

Layout: `blobs/sha256/HEX` and `records/KIND/HEX-OF-KEY`. Everything is written whole or not at all; content is
verified while it is written and again whenever it is read through `open`, so a torn or rotten file is found,
thrown away and made again, never used. Records begin with a digest of themselves for the same reason.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from dari.errors import IntegrityError
from dari.system.files import write_atomically
from dari.values.digest import Digest

CHUNK = 1 << 20
_LEFT_BEHIND: Final = 24 * 3600.0  # seconds: what a killed run left is older than what a running one writes
_SWEPT: Final[set[Path]] = set()  # roots that this process has looked through: once is enough


class BlobWriter:
    """Content on its way into the store: `write`, then `commit`. Left without a commit, nothing remains."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        folder = store.root / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(store.root)
        descriptor, name = tempfile.mkstemp(dir=folder)
        self._path = Path(name)
        self._stream = os.fdopen(descriptor, "wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes | bytearray | memoryview) -> int:
        """Append one chunk; returns its length."""
        self._stream.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)
        return len(chunk)

    def commit(self, expected: Digest | None = None, *, size: int | None = None) -> Digest:
        """Publish what was written. Raises `IntegrityError` (DARI-STORE-DIGEST) if it isn't what was `expected`."""
        digest = Digest("sha256", self._hash.hexdigest())
        if (expected and expected != digest) or (size is not None and size != self.size):
            raise IntegrityError(
                "DARI-STORE-DIGEST", f"storing {expected or digest}: got {self.size} bytes of {digest}"
            )
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        target = self._store.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(target)
        return digest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._path.unlink(missing_ok=True)


class Store:
    """A content-addressed cache under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: Digest) -> Path:
        """Return where content with this digest lies or would lie."""
        return self.root / "blobs" / digest.algorithm / digest.hex

    def holds(self, digest: Digest, size: int | None = None) -> bool:
        """Say whether the content is there, of the right size where that is known. Does not read it."""
        try:
            found = self.path(digest).stat().st_size
        except FileNotFoundError:
            return False
        return size is None or size == found

    def writer(self) -> BlobWriter:
        """Begin to write content whose digest isn't known yet."""
        return BlobWriter(self)

    def put(self, content: bytes) -> Digest:
        """Store bytes that are at hand."""
        digest = Digest.of(content)
        if not self.holds(digest, len(content)):
            with self.writer() as writer:
                writer.write(content)
                writer.commit()
        return digest

    @contextlib.contextmanager
    def open(self, digest: Digest) -> Iterator[Iterator[bytes]]:
        """Open content as verified chunks: the last one is withheld until the digest is seen to match.

        Raises `IntegrityError` (DARI-STORE-DIGEST), and forgets the content, if it doesn't.
        """
        with self.path(digest).open("rb") as stream:
            yield self._verified(stream, digest)

    def _verified(self, stream: BinaryIO, digest: Digest) -> Iterator[bytes]:
        running = hashlib.new(digest.algorithm)
        pending = b""
        while chunk := stream.read(CHUNK):
            running.update(chunk)
            if pending:
                yield pending
            pending = chunk
        if running.hexdigest() != digest.hex:
            self.forget(digest)
            raise IntegrityError(
                "DARI-STORE-DIGEST",
                f"reading {digest} from the cache: its bytes have changed",
                hint="it was thrown away; run the command again",
            )
        if pending:
            yield pending

    def read(self, digest: Digest) -> bytes:
        """Return content whole and verified. Raises `FileNotFoundError`, `IntegrityError`."""
        with self.open(digest) as chunks:
            return b"".join(chunks)

    def forget(self, digest: Digest) -> None:
        """Remove content."""
        self.path(digest).unlink(missing_ok=True)

    def record(self, kind: str, key: str) -> bytes | None:
        """Return what `remember` kept, or None: also where it was damaged since."""
        try:
            kept = self._record(kind, key).read_bytes()
        except FileNotFoundError:
            return None
        own, content = kept[:_SEAL_SIZE], kept[_SEAL_SIZE:]
        return content if own == _seal(kind, key, content) else None

    def remember(self, kind: str, key: str, content: bytes) -> None:
        """Keep a small record under a key; a later one replaces it."""
        write_atomically(self._record(kind, key), _seal(kind, key, content) + content)

    def _record(self, kind: str, key: str) -> Path:
        return self.root / "records" / kind / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


_SEAL_SIZE: Final = hashlib.sha256().digest_size * 2


def _seal(kind: str, key: str, content: bytes) -> bytes:
    """Return the digest that a record begins with; it covers the name too, so that no record passes for another."""
    head = f"{kind}\0{key}\0".encode("utf-8", "surrogateescape")
    return hashlib.sha256(head + content).hexdigest().encode()


def _sweep(root: Path) -> None:
    """Remove what runs that were killed left half-made; downloads stay, to be gone on with. It never stops a run."""
    if root in _SWEPT:
        return
    _SWEPT.add(root)
    oldest = time.time() - _LEFT_BEHIND
    for folder in ("partial", "work"):
        with contextlib.suppress(OSError):
            for path in (root / folder).iterdir():
                if path.lstat().st_mtime < oldest:
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def chunks_of(stream: BinaryIO, size: int = CHUNK) -> Iterable[bytes]:
    """Read a stream to its end in chunks of `size` bytes."""
    return iter(lambda: stream.read(size), b"")
