"""What the registry's tests share: real registries, one open and one behind a login, and settings of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dari.registry import Client, Patience
from dari.values.progress import Silent
from dari.values.settings import Settings
from tests.registry.front import Front, running_front
from tests.support.registry import RunningRegistry, running_registry

HASTY = Patience(first=0.001)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Run docker-registry, open to all."""
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def private_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Run docker-registry behind a login."""
    with running_registry(tmp_path_factory.mktemp("private"), login=True) as running:
        yield running


@pytest.fixture
def front(registry: RunningRegistry) -> Iterator[Front]:
    """Run a front before the open registry."""
    with running_front(registry.host) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with an empty cache."""
    return Settings(tmp_path / "cache")


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """Open a client that waits only a millisecond before it tries again."""
    with Client(settings, Silent(), HASTY) as opened:
        yield opened


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """Return a repository name of the test's own."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())
    return f"tests/{name.strip('-')[:80].strip('-')}".replace("--", "-")
