"""How fast layers are made: MB/s in all and a core, size, peak memory, on real shared libraries.

    uv run python bench/layers.py [FOLDER] [--workers N]

FOLDER is searched for files of 1 MB and more named *.so*; /usr/lib where it isn't given. They are read once before
the clock starts. Layers go to a cache under TMPDIR (TMPDIR=/dev/shm leaves the disk out of it). zlib at level 6, what
engines use, is timed on the first 64 MB for comparison.
"""

import argparse
import os
import resource
import tempfile
import time
import zlib
from functools import partial
from pathlib import Path
from typing import BinaryIO

from dari.image import make_layers
from dari.system import Store
from dari.values.entry import Entry, Kind, LayerPlan, Part
from dari.values.media import Codec
from dari.values.progress import Silent

MEGABYTE = 1_000_000


def opened(path: Path) -> BinaryIO:
    """Open a file's bytes."""
    return path.open("rb")


def libraries(folder: Path, most: int) -> tuple[Entry, ...]:
    """Return entries of the shared libraries below a folder, up to `most` bytes."""
    entries: list[Entry] = []
    for path in sorted(folder.rglob("*.so*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size >= MEGABYTE:
            name = str(path.resolve()).lstrip("/")
            entries.append(Entry(name, Kind.FILE, 0o644, path.stat().st_size, open=partial(opened, path)))
    kept, total = [], 0
    for entry in entries:
        if total < most:
            kept.append(entry)
            total += entry.size
    return tuple(kept)


def measure(entries: tuple[Entry, ...], codec: Codec, workers: int) -> str:
    """Make one layer of the entries in an empty cache; returns the row of the table."""
    size = sum(entry.size for entry in entries)
    with tempfile.TemporaryDirectory() as folder:
        plan = LayerPlan("libraries", (Part("libraries", "libraries", size, lambda: entries),))
        began, cpu = time.perf_counter(), time.process_time()
        made = make_layers([plan], codec=codec, store=Store(Path(folder)), progress=Silent(), workers=workers)[0]
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    rates = f"{made.uncompressed / wall / MEGABYTE:9.0f} {made.uncompressed / cpu / MEGABYTE:9.0f}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return f"{codec:6} {workers:7} {rates} {made.uncompressed / made.descriptor.size:6.2f} {peak:7.0f}"


def zlib_rate(entries: tuple[Entry, ...]) -> float:
    """Return zlib's bytes a second at level 6 on up to 64 MB of the first library."""
    with opened(Path("/", entries[0].path)) as stream:
        sample = stream.read(64 * MEGABYTE)
    began = time.process_time()
    zlib.compress(sample, 6)
    return len(sample) / (time.process_time() - began)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/usr/lib"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    entries = libraries(arguments.folder, 1500 * MEGABYTE)
    print(f"{len(entries)} libraries, {sum(entry.size for entry in entries) / MEGABYTE:.0f} MB")
    for entry in entries:
        with opened(Path("/", entry.path)) as stream:
            while stream.read(MEGABYTE):
                pass
    print("codec  workers MB/s wall MB/s core  ratio  peak MB")
    for codec in (Codec.GZIP, Codec.ZSTD, Codec.NONE):
        for workers in sorted({1, arguments.workers}):
            print(measure(entries, codec, workers))
    print(f"zlib level 6, one core: {zlib_rate(entries) / MEGABYTE:.0f} MB/s")


if __name__ == "__main__":
    main()
