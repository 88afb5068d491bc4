"""A Python installation to install into: version, where things go, which wheels fit (PEP 425, 600)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.tags import Tag, compatible_tags, cpython_tags

from dari.values.platform import Platform

# manylinux aliases of PEP 513, 571 and 599, by the glibc they stand for.
_LEGACY_MANYLINUX: Final = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}


@dataclass(frozen=True, slots=True)
class InstallScheme:
    """Where a wheel's parts go, as paths relative to the root (no leading slash)."""

    purelib: str
    platlib: str
    scripts: str
    data: str
    headers: str


@dataclass(frozen=True, slots=True)
class PythonTarget:
    """The interpreter that an image runs: `version` is (3, 12), `interpreter` absolute as in /usr/bin/python3.12.

    `glibc` is (2, 39). `search_path` lists the site directories on sys.path, in order, relative to the root.
    """

    version: tuple[int, int]
    interpreter: str
    scheme: InstallScheme
    search_path: tuple[str, ...]
    platform: Platform
    glibc: tuple[int, int]

    @property
    def dotted(self) -> str:
        """The version as `3.12`."""
        return ".".join(map(str, self.version))

    @property
    def uv_platform(self) -> str:
        """uv's `--python-platform` of the newest manylinux that this glibc runs."""
        return f"{self.platform.machine}-manylinux_{self.glibc[0]}_{self.glibc[1]}"

    def tags(self) -> Iterator[Tag]:
        """Yield the wheel tags that fit, best first."""
        platforms = tuple(self._platform_tags())
        yield from cpython_tags(self.version, platforms=platforms)
        yield from compatible_tags(self.version, f"cp{self.version[0]}{self.version[1]}", platforms)

    def _platform_tags(self) -> Iterator[str]:
        machine = self.platform.machine
        for minor in range(self.glibc[1], 4, -1):
            yield f"manylinux_{self.glibc[0]}_{minor}_{machine}"
            if alias := _LEGACY_MANYLINUX.get((self.glibc[0], minor)):
                yield f"{alias}_{machine}"
        yield f"linux_{machine}"
