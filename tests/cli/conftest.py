"""A registry with the NGC-shaped base in it, an engine, and dari with an empty cache."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ngc import ngc_layout, push_to
from tests.support.podman import Podman, podman
from tests.support.program import ROOT, Dari
from tests.support.registry import RunningRegistry, running_registry


@pytest.fixture
def dari(tmp_path: Path) -> Dari:
    """Return dari with an empty cache."""
    return Dari(tmp_path / "cache")


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Dari:
    """Return dari with a cache that these tests share: for what isn't about caches."""
    return Dari(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Run docker-registry for the session."""
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def base(registry: RunningRegistry) -> str:
    """Return the reference of the NGC-shaped base in the registry."""
    push_to(ngc_layout(ROOT / ".cache/tests"), registry.host, "nvidia/pytorch", "24.12-py3")
    return f"{registry.host}/nvidia/pytorch:24.12-py3"


@pytest.fixture(scope="session")
def engine(registry: RunningRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Return podman with storage of its own."""
    with podman(tmp_path_factory.mktemp("podman") / "engine", registry.host) as running:
        yield running


def project(folder: Path, toml: str, files: dict[str, str] | None = None) -> Path:
    """Write a project's folder: dari.toml and files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dari.toml").write_text(toml, encoding="utf-8")
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder
