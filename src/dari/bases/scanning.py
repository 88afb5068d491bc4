"""Scanning: every layer streamed once, nothing stored but what the inventory needs."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from dari.bases.contents import (
    constraint_lines,
    debian_packages,
    glibc_version,
    install_state,
    interesting_paths,
    os_release,
    package_sources,
)
from dari.bases.distributions import distributions
from dari.bases.interpreter import python_target
from dari.bases.layers import LayerFacts, read_layer
from dari.bases.merged import Merged, merge
from dari.bases.tar import BLOCK, MemberKind, TarStream, is_header
from dari.errors import OutsideError
from dari.system import codec_of, decompressed
from dari.values.digest import Digest
from dari.values.fact import Known, Missing
from dari.values.image import Image, Layer
from dari.values.inventory import Inventory, OsRelease
from dari.values.platform import Platform
from dari.values.progress import Progress, Task


def scan(image: Image, progress: Progress, *, workers: int = 2) -> Inventory:
    """Stream every layer of `image` once, `workers` at a time, and return what it holds.

    A layer is read a second time only where something of interest is a hardlink or a symlink to a file whose name
    didn't show it. Raises `IntegrityError`: DARI-LAYER-… (see `read_layer`), DARI-STREAM-… (a damaged compression),
    and what a layer's `open` raises.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:

        def read(number: int, also: frozenset[str]) -> LayerFacts:
            return _read(image.layers[number], number, also, progress, stop)

        try:
            facts = list(pool.map(read, range(len(image.layers)), [frozenset[str]()] * len(image.layers)))
            inventory, unread = _inventory(image, facts)
            if unread:
                again = sorted(unread)
                facts_again = pool.map(read, again, [unread[number] for number in again])
                for number, layer in zip(again, facts_again, strict=True):
                    facts[number] = layer
                inventory, _ = _inventory(image, facts)
        except BaseException:
            stop.set()  # the other threads end at their next chunk
            raise
    return inventory


def scan_archive_stream(chunks: Iterator[bytes], image: Image, progress: Progress) -> Inventory:
    """Scan an image whose layers come as one tar: what `docker save` or `podman save` print, in any order.

    Layers are recognised by the digests of their content (the diffIDs of the image's config), so names, links and
    the archive's own manifest don't matter. Raises `OutsideError` (DARI-ARCHIVE-OTHER-IMAGE) where a layer of
    `image` isn't in it, `IntegrityError` as `scan` does.
    """
    found: dict[Digest, LayerFacts] = {}
    wanted = frozenset(image.config.diff_ids)
    with progress.task("scanning the engine's copy") as task:
        stream = TarStream(_counted(chunks, task, threading.Event()))
        for member in stream:
            if member.kind is MemberKind.FILE and len(found) < len(wanted):
                layer = _nested_layer(stream.content(), wanted)
                found |= layer
    absent = [digest for digest in image.config.diff_ids if digest not in found]
    if absent:
        raise OutsideError(
            "DARI-ARCHIVE-OTHER-IMAGE",
            f"scanning what the engine saved: layer {absent[0].short} of image {image.digest.short} is not in it",
            hint="the engine's image of that name is another one; scan the registry's with `dari bases scan`",
        )
    inventory, _ = _inventory(image, [found[digest] for digest in image.config.diff_ids])
    return inventory


def _read(layer: Layer, number: int, also: frozenset[str], progress: Progress, stop: threading.Event) -> LayerFacts:
    label = f"layer {number + 1} {layer.descriptor.digest.short}"
    with progress.task(label, layer.descriptor.size) as task, layer.open() as chunks:
        facts = read_layer(_unpacked(_counted(chunks, task, stop)), also=also)
        task.finish("scanned")
        return facts


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress by the stream's own first bytes: media types are sometimes wrong, and engines don't heed them."""
    first = next(chunks, b"")
    while len(first) < 4 and (more := next(chunks, b"")):  # noqa: PLR2004 - the longest magic number
        first += more
    return decompressed(chain((first,), chunks), codec_of(first))


def _counted(chunks: Iterator[bytes], task: Task, stop: threading.Event) -> Iterator[bytes]:
    for chunk in chunks:
        if stop.is_set():
            return
        task.advance(len(chunk))
        yield chunk


def _nested_layer(content: Iterator[bytes], wanted: frozenset[Digest]) -> Mapping[Digest, LayerFacts]:
    """Read one member of a saved image; nothing where it is no layer of the image."""
    unpacked = _unpacked(content)
    first = b""
    while len(first) < BLOCK and (more := next(unpacked, b"")):
        first += more
    if not is_header(first[:BLOCK]) and first[:BLOCK] != bytes(BLOCK):
        return {}
    running = hashlib.sha256()
    facts = read_layer(_hashed(chain((first,), unpacked), running.update))
    digest = Digest("sha256", running.hexdigest())
    return {digest: facts} if digest in wanted else {}


def _hashed(chunks: Iterator[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _inventory(image: Image, facts: Sequence[LayerFacts]) -> tuple[Inventory, Mapping[int, frozenset[str]]]:
    """Put the layers together; also say which files were asked for and not kept, by layer.

    Raises `Malformed`: DARI-PLATFORM-UNKNOWN, and for a package database that is none.
    """
    merged = merge(facts)
    platform, environment = Platform.parse(str(image.config.platform)), image.config.environment
    release = os_release(merged)
    packages, status = debian_packages(merged)
    glibc = glibc_version(merged, platform)
    python = python_target(merged, environment, platform, glibc)
    installed = distributions(merged, python.value.search_path if isinstance(python, Known) else ())
    paths = interesting_paths(merged)
    protected = {path for one in installed if one.protected for path in one.paths} | set(paths.protected)
    facts_by_name = {"os_release": release, "packages": packages, "glibc": glibc, "python": python}
    inventory = Inventory(
        image.digest,
        platform,
        release.value if isinstance(release, Known) else OsRelease("", "", "", ""),
        packages.value if isinstance(packages, Known) else (),
        package_sources(merged, platform),
        python,
        installed,
        constraint_lines(merged, environment),
        paths.libraries,
        tuple(sorted(protected)),
        paths.directory_links,
        dict(environment),
        status,
        install_state(merged),
        {name: fact for name, fact in facts_by_name.items() if isinstance(fact, Missing)},
    )
    return inventory, _by_layer(merged)


def _by_layer(merged: Merged) -> Mapping[int, frozenset[str]]:
    return {
        number: frozenset(path for layer, path in merged.unread if layer == number)
        for number in {layer for layer, _ in merged.unread}
    }
