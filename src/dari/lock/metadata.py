"""What a wheel requires: its Requires-Dist lines, from the index's metadata file (PEP 658) or the wheel itself.

Kept by the wheel's digest, so that the second run asks nobody. The index's metadata file isn't covered by the wheel's
digest: it decides what dari says (who required what), never what is installed.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dari.errors import IntegrityError, OutsideError
from dari.lock.files import File
from dari.lock.workbench import Workbench

_MOST_METADATA: Final = 4 << 20
_AT_ONCE: Final = 8
_KIND: Final = "wheel-requires"


def requirements_of(files: Mapping[str, File], bench: Workbench) -> Mapping[str, tuple[str, ...]]:
    """Return the Requires-Dist lines of each file, under the same key. Raises `OutsideError`, `IntegrityError`."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a build from a lock doesn't come here

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(files, pool.map(lambda file: _requires(file, bench), files.values()), strict=True))


def metadata_in(wheel: Path) -> bytes:
    """Return a wheel's METADATA file. Raises `IntegrityError` (DARI-LOCK-WHEEL) where it has none that can be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [
                name for name in archive.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
            ]
            if len(names) == 1 and archive.getinfo(names[0]).file_size <= _MOST_METADATA:
                return archive.read(names[0])
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise IntegrityError("DARI-LOCK-WHEEL", f"reading the metadata of {wheel.name}: {error}") from error
    raise IntegrityError("DARI-LOCK-WHEEL", f"reading the metadata of {wheel.name}: there is no one METADATA in it")


def _requires(file: File, bench: Workbench) -> tuple[str, ...]:
    kept = bench.store.record(_KIND, str(file.digest))
    if kept is not None:
        return tuple(json.loads(kept))
    from packaging.metadata import parse_email  # noqa: PLC0415 - it brings the email package with it

    found, _ = parse_email(_metadata(file, bench))
    requires = tuple(found.get("requires_dist", ()))
    bench.store.remember(_KIND, str(file.digest), json.dumps(requires).encode())
    return requires


def _metadata(file: File, bench: Workbench) -> bytes:
    if bench.store.holds(file.digest):
        return metadata_in(bench.store.path(file.digest))
    if not file.url.startswith("file:") and not bench.offline:
        try:
            return bench.fetcher.read(f"{file.url}.metadata", limit=_MOST_METADATA)
        except OutsideError:
            pass  # an index without PEP 658: the wheel itself will be needed soon anyway
    size = file.size if file.size >= 0 else None
    return metadata_in(bench.fetcher.fetch(file.url, file.digest, size=size, label=file.filename))
