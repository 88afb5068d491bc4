"""What the lock's tests work with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dari.lock import Workbench, resolve
from dari.registry import Downloads
from dari.system import Store
from dari.values.inventory import Inventory
from dari.values.lock import PythonResolution
from dari.values.progress import Silent
from dari.values.project import LockRules, Project
from dari.values.python import PythonTarget
from dari.values.settings import Settings
from tests.lock import bases


@dataclass(frozen=True)
class Place:
    """A project folder with a wheelhouse beside it, and a bench to resolve on."""

    folder: Path
    bench: Workbench

    @property
    def house(self) -> Path:
        """The folder of hand-made distributions."""
        return self.folder / "house"

    def project(self, *lines: str, rules: LockRules | None = None, index: bool = False) -> Project:
        """Return the project with a requirements.txt of `lines`; without `index` only the wheelhouse is asked."""
        self.house.mkdir(parents=True, exist_ok=True)
        own = () if index else ("--no-index", "--find-links ./house")
        (self.folder / "requirements.txt").write_text("\n".join((*lines, *own, "")), encoding="utf-8")
        return Project(self.folder, self.folder / "dari.toml", "base", ("requirements.txt",), lock=rules or LockRules())

    def resolve(
        self,
        *lines: str,
        base: Inventory | None = None,
        rules: LockRules | None = None,
        index: bool = False,
        target: PythonTarget = bases.TARGET,
    ) -> PythonResolution:
        """Resolve `lines` on a base (NGC's shape where none is given)."""
        return resolve(self.project(*lines, rules=rules, index=index), target, base or bases.ngc(), self.bench)

    def offline(self) -> "Place":
        """Return the same place without a network."""
        return replace(self, bench=replace(self.bench, offline=True))


@pytest.fixture
def new_place(tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Make places, each with a cache of its own."""
    opened: list[Downloads] = []

    def make(name: str) -> Place:
        settings = Settings(tmp_path / name / "cache")
        downloads = Downloads(settings, Silent())
        opened.append(downloads)
        folder = tmp_path / name / "project"
        folder.mkdir(parents=True)
        return Place(folder, Workbench(downloads, Store(settings.cache), tmp_path / name / "work"))

    yield make
    for downloads in opened:
        downloads.close()


@pytest.fixture
def place(new_place: Callable[[str], Place]) -> Place:
    """One place."""
    return new_place("here")
