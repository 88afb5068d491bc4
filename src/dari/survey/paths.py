"""Questions to the file system whose answer is no where it can't be had: too long, forbidden, gone."""

from pathlib import Path


def is_file(path: Path) -> bool:
    """Say whether a regular file, or a link to one, is there."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Say whether a folder, or a link to one, is there."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def names_in(folder: Path) -> tuple[str, ...]:
    """Return the names in a folder, sorted."""
    try:
        return tuple(sorted(path.name for path in folder.iterdir()))
    except (OSError, ValueError):
        return ()
