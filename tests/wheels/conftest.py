"""Fixtures of the wheels room."""

import pytest

from dari.values.python import PythonTarget
from tests.support.python_wheels import TARGET


@pytest.fixture(scope="session")
def target() -> PythonTarget:
    """Return a Debian-like CPython 3.12."""
    return TARGET
