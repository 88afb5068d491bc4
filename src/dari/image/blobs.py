"""Blobs of an OCI layout on disk (image-layout.md): put there whole, by link where that is enough, read verified."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from dari.errors import IntegrityError
from dari.system import CHUNK, atomic_file, write_atomically
from dari.values.image import Layer
from dari.values.manifest import Descriptor
from dari.values.progress import Task

LARGEST_DOCUMENT: Final = 8 << 20  # bytes of a manifest, config or index; registries allow 4 MiB
_FICLONE: Final = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)


def blob_path(root: Path, descriptor: Descriptor) -> Path:
    """Return where the layout keeps a blob. A parsed digest is hex only, so the path can't climb."""
    return root / "blobs" / descriptor.digest.algorithm / descriptor.digest.hex


def has_blob(root: Path, descriptor: Descriptor) -> bool:
    """Say whether the blob is there with the right size. Does not read it."""
    try:
        return blob_path(root, descriptor).stat().st_size == descriptor.size
    except FileNotFoundError:
        return False


def put_document(root: Path, descriptor: Descriptor, content: bytes) -> None:
    """Write a manifest, config or index; what is there already and right stays."""
    path = blob_path(root, descriptor)
    try:
        present = path.read_bytes() if has_blob(root, descriptor) else b""
    except OSError:
        present = b""
    if present != content:
        write_atomically(path, content)


def put_layer(root: Path, layer: Layer, file: Path | None, task: Task) -> None:
    """Bring a layer's bytes into the layout: nothing, a clone, a hard link or a verified copy, whichever does first.

    `file` is where the same bytes already lie on this machine, if they do.
    """
    target = blob_path(root, layer.descriptor)
    if has_blob(root, layer.descriptor):
        task.finish("exists")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if file is not None and (_cloned(file, target) or _linked(file, target)):
        if has_blob(root, layer.descriptor):
            task.finish("linked")
            return
        target.unlink()  # the file was cut short behind our back; what opens verified will say so, or be right
    with layer.open() as chunks, atomic_file(target, mode=0o444) as stream:
        for chunk in chunks:
            stream.write(chunk)
            task.advance(len(chunk))


def read_document(root: Path, descriptor: Descriptor) -> bytes:
    """Return a manifest's, config's or index's bytes, verified. Raises `IntegrityError` (DARI-LAYOUT-BLOB)."""
    if descriptor.size > LARGEST_DOCUMENT:
        raise IntegrityError(
            "DARI-LAYOUT-BLOB",
            f"reading {descriptor.digest} of {str(root)!r}: {descriptor.size} bytes are too many for a "
            f"{descriptor.media_type}",
            hint="the layout is damaged or not an image; make it again",
        )
    with open_blob(root, descriptor) as chunks:
        return b"".join(chunks)


@contextlib.contextmanager
def open_blob(root: Path, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
    """Open a blob as verified chunks; the last is withheld until digest and size are seen to match.

    Raises `IntegrityError` (DARI-LAYOUT-BLOB) where it is missing or isn't what its descriptor says.
    """
    try:
        stream = blob_path(root, descriptor).open("rb")
    except OSError as error:
        raise IntegrityError(
            "DARI-LAYOUT-BLOB",
            f"reading {descriptor.digest} of {str(root)!r}: {error.strerror or error}",
            hint="the layout is incomplete; make it again",
        ) from error
    with stream:
        yield checked(iter(lambda: stream.read(CHUNK), b""), descriptor, str(root))


def checked(chunks: Iterable[bytes], descriptor: Descriptor, where: str) -> Iterator[bytes]:
    """Pass chunks through; the last one only once size and digest are seen to match. Raises `IntegrityError`."""
    running, size, pending = hashlib.new(descriptor.digest.algorithm), 0, b""
    for chunk in chunks:
        running.update(chunk)
        size += len(chunk)
        if size > descriptor.size:
            break
        if pending:
            yield pending
        pending = chunk
    if size != descriptor.size or running.hexdigest() != descriptor.digest.hex:
        raise IntegrityError(
            "DARI-LAYOUT-BLOB",
            f"reading {descriptor.digest} of {where!r}: "
            + (f"not the {descriptor.size} bytes it should have" if size != descriptor.size else "its bytes differ"),
            hint="the file was damaged or cut short; make or fetch it again",
        )
    if pending:
        yield pending


def _cloned(source: Path, target: Path) -> bool:
    """Try a copy that shares its blocks (btrfs, XFS): independent of the source, and as quick as a link."""
    try:
        import fcntl  # noqa: PLC0415 - not everywhere

        descriptor, name = tempfile.mkstemp(prefix=".clone.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as copy, source.open("rb") as original:
                fcntl.ioctl(copy, _FICLONE, original.fileno())
            Path(name).chmod(0o444)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError:
        return False
    return True


def _linked(source: Path, target: Path) -> bool:
    name = Path(tempfile.mktemp(prefix=".link.", dir=target.parent))  # noqa: S306 - link() refuses an existing name
    try:
        os.link(source, name)
        name.replace(target)
    except OSError:
        name.unlink(missing_ok=True)
        return False
    name.unlink(missing_ok=True)  # rename does nothing where both names were one file already
    return True
