"""A project's folder, a cache, and a way to be someone who isn't root."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dari.system import Store

Write = Callable[..., Path]
NOBODY = 65534


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty cache."""
    return Store(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty project's folder."""
    path = tmp_path / "project"
    path.mkdir()
    return path


@pytest.fixture
def write(folder: Path) -> Write:
    """Return what writes files into the project: `write({"train.py": "…"})`."""

    def write(files: dict[str, str | bytes]) -> Path:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights to read everything, for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
