"""What the image room's tests share: a store of their own."""

from pathlib import Path

import pytest

from dari.system import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty cache."""
    return Store(tmp_path / "cache")
