"""Layers made here: from plans to blobs in the store, each made once for as long as its parts stay the same."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dari.errors import IntegrityError, OutsideError
from dari.image.blocks import block_compressor, settings
from dari.image.packing import Press, pack
from dari.image.tree import arranged
from dari.system import Store
from dari.values.digest import Digest
from dari.values.documents import canonical_json, json_object, member
from dari.values.entry import LayerPlan
from dari.values.malformed import Malformed
from dari.values.manifest import Descriptor
from dari.values.media import Codec, layer_type
from dari.values.progress import Progress
from dari.values.reference import Location

_FORMAT: Final = 1  # of the tar stream: counted up when tree.py or tar.py would write the same parts differently
_RECORDS: Final = "layer"
_MOST_BLOCKS: Final = 32  # in flight, all layers together: with what they become, under 64 MiB
_MOST_LAYERS: Final = 4  # at a time; the pool inside each keeps the processors busy


@dataclass(frozen=True, slots=True)
class MadeLayer:
    """A layer whose bytes lie in the store. `uncompressed` is its tar's size in bytes, `cached` says it was there."""

    descriptor: Descriptor
    diff_id: Digest
    uncompressed: int
    cached: bool
    title: str
    store: Store
    origin: Location | None = None

    @property
    def file(self) -> Path:
        """Where the compressed bytes lie."""
        return self.store.path(self.descriptor.digest)

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the compressed bytes, verified. Raises `IntegrityError` (DARI-LAYER-LOST, DARI-STORE-DIGEST)."""
        with contextlib.ExitStack() as stack:
            try:
                chunks = stack.enter_context(self.store.open(self.descriptor.digest))
            except FileNotFoundError as error:
                raise IntegrityError(
                    "DARI-LAYER-LOST",
                    f"reading the layer {self.title!r}: {self.descriptor.digest} is no longer in the cache",
                    hint="something emptied the cache while dari ran; run the command again",
                ) from error
            yield chunks


class _Stopped(Exception):  # noqa: N818 - no error: another layer's error is the one that is told
    pass


@dataclass(frozen=True, slots=True)
class _Workshop:
    codec: Codec
    store: Store
    progress: Progress
    press: Press
    stop: threading.Event


def make_layers(
    plans: Sequence[LayerPlan], *, codec: Codec, store: Store, progress: Progress, workers: int
) -> tuple[MadeLayer, ...]:
    """Make each plan's layer, or find it in the store; the result is in the order of `plans`.

    The same parts (their keys, in order) give the same bytes whatever `workers` is; a layer that is cached never
    calls `Part.entries`. Memory stays under 100 MiB. Raises what `arranged` and `pack` raise, and `OutsideError`
    (DARI-LAYER-UNWRITABLE) for a full disk; the first error stops the other layers, and nothing half-made stays.
    """
    workers = max(workers, 1)
    at_once = min(workers, len(plans), _MOST_LAYERS) or 1
    in_flight = max(2, min(workers + 1, _MOST_BLOCKS // at_once))
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(at_once) as layers:
        press = Press(pool, block_compressor(codec), in_flight)
        workshop = _Workshop(codec, store, progress, press, stop)
        return _all_made(plans, workshop, layers)


def _all_made(plans: Sequence[LayerPlan], workshop: _Workshop, layers: Executor) -> tuple[MadeLayer, ...]:
    largest_first = sorted(range(len(plans)), key=lambda number: -plans[number].size)
    futures = {number: layers.submit(_layer, plans[number], workshop) for number in largest_first}
    try:
        wait(futures.values(), return_when=FIRST_EXCEPTION)
    finally:
        failed = [future for future in futures.values() if future.done() and not future.cancelled()]
        if len(failed) < len(futures) or any(future.exception() for future in failed):
            workshop.stop.set()
            for future in futures.values():
                future.cancel()
    errors = [future.exception() for future in futures.values() if not future.cancelled()]
    for error in errors:
        if error and not isinstance(error, _Stopped):
            raise error
    return tuple(futures[number].result() for number in range(len(plans)))


def _layer(plan: LayerPlan, workshop: _Workshop) -> MadeLayer:
    key = _key(plan, workshop.codec)
    with workshop.progress.task(plan.title, plan.size or None) as task:
        with _writing(plan, workshop.store):
            found = _cached(plan, key, workshop)
        if found:
            task.finish("cached")
            return found

        def seen(amount: int) -> None:
            if workshop.stop.is_set():
                raise _Stopped
            task.advance(amount)

        entries = arranged(plan.parts)
        with _writing(plan, workshop.store):
            with workshop.store.writer() as writer:
                packed = pack(entries, writer, workshop.press, seen)
                size = writer.size
                digest = writer.commit()
            made = MadeLayer(
                Descriptor(layer_type(workshop.codec), digest, size),
                packed.diff_id,
                packed.uncompressed,
                cached=False,
                title=plan.title,
                store=workshop.store,
            )
            _remember(made, key)
        return made


@contextlib.contextmanager
def _writing(plan: LayerPlan, store: Store) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideError(
            "DARI-LAYER-UNWRITABLE",
            f"writing the layer {plan.title!r} to {str(store.root)!r}: {error.strerror or error}",
            hint="make room there, or choose another cache folder; nothing half-written was kept",
        ) from error


def _key(plan: LayerPlan, codec: Codec) -> str:
    parts = [part.key.encode("utf-8", "backslashreplace").decode() for part in plan.parts]
    return canonical_json({"format": _FORMAT, "compressor": settings(codec), "parts": parts}).decode()


def _remember(made: MadeLayer, key: str) -> None:
    made.file.chmod(0o444)  # it may be hard-linked into a layout, which others read and nobody may change in place
    made.store.remember(_RECORDS, key, canonical_json(_record(made)))


def _record(made: MadeLayer) -> dict[str, Any]:
    return {
        "digest": str(made.descriptor.digest),
        "size": made.descriptor.size,
        "diff_id": str(made.diff_id),
        "uncompressed": made.uncompressed,
        "modified": made.file.stat().st_mtime_ns,
    }


def _cached(plan: LayerPlan, key: str, workshop: _Workshop) -> MadeLayer | None:
    """Find the layer by its record. A blob that is gone, of another size, or changed since it was written is none."""
    record = workshop.store.record(_RECORDS, key)
    try:
        document = json_object(record, "a layer's record", "DARI-LAYER-LOST") if record else {}
        found = MadeLayer(
            Descriptor(
                layer_type(workshop.codec),
                Digest.parse(member(document, "digest", str, "a layer's record")),
                member(document, "size", int, "a layer's record"),
            ),
            Digest.parse(member(document, "diff_id", str, "a layer's record")),
            member(document, "uncompressed", int, "a layer's record"),
            cached=True,
            title=plan.title,
            store=workshop.store,
        )
        status = found.file.stat()
    except (Malformed, FileNotFoundError):
        return None
    if status.st_size != found.descriptor.size:
        return None
    if status.st_mtime_ns == document.get("modified"):
        return found
    return _verified(found, key)


def _verified(found: MadeLayer, key: str) -> MadeLayer | None:
    """Read a blob that something has touched, and keep it only if its bytes are still what they were."""
    try:
        with found.open() as chunks:
            for _ in chunks:
                pass
    except IntegrityError:
        return None
    _remember(found, key)
    return found
