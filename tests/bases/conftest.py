"""The NGC-shaped base, built once a machine, and the inventory that dari makes of it."""

from pathlib import Path

import pytest

from dari.bases import scan
from dari.values.image import Image
from dari.values.inventory import Inventory
from dari.values.progress import Silent
from tests.bases.making import opened_layout
from tests.support import ngc

CACHE = Path(__file__).parents[2] / ".cache/tests"


@pytest.fixture(scope="session")
def ngc_image() -> Image:
    """Open the NGC-shaped base."""
    return opened_layout(ngc.ngc_layout(CACHE))


@pytest.fixture(scope="session")
def ngc_inventory(ngc_image: Image) -> Inventory:
    """Scan the NGC-shaped base."""
    return scan(ngc_image, Silent())


@pytest.fixture(scope="session")
def ngc_root() -> Path:
    """Return the base's root file system, unpacked by umoci."""
    return ngc.unpacked(CACHE)
