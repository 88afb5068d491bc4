"""`dari cache`: what it holds, and emptying it."""

import shutil
from pathlib import Path

from dari.values.amounts import bytes_text, plural
from dari.values.report import Report, Section
from dari.values.settings import Settings

# Only what dari made: emptying never deletes a stranger's file that happens to lie in the same folder.
_FOLDERS = ("blobs", "downloads", "partial", "records", "work")


def describe_cache(settings: Settings) -> Report:
    """Say how much the cache holds, by kind."""
    sizes = {name: _size(settings.cache / name) for name in _FOLDERS}
    total = sum(size for size, _ in sizes.values())
    rows = tuple((name, plural(count, "file"), bytes_text(size)) for name, (size, count) in sizes.items() if count)
    document = {"path": str(settings.cache), "bytes": total, "folders": {n: s for n, (s, _) in sizes.items()}}
    return Report("cache", f"{settings.cache}: {bytes_text(total)}", document, (Section("", rows),))


def clear_cache(settings: Settings) -> Report:
    """Empty the cache."""
    freed = sum(_size(settings.cache / name)[0] for name in _FOLDERS)
    for name in _FOLDERS:
        shutil.rmtree(settings.cache / name, ignore_errors=True)
    return Report("cache", f"{settings.cache}: emptied, {bytes_text(freed)}", {"path": str(settings.cache), "bytes": 0})


def _size(folder: Path) -> tuple[int, int]:
    sizes = [path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(sizes), len(sizes)
