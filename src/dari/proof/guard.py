"""What of a base must stay as it is, in the form in which paths are held against it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from packaging.utils import canonicalize_name

from dari.values.fact import Known
from dari.values.inventory import Distribution, Inventory

# Packages that several distributions share by design: not the name but what lies below it belongs to one of them.
NAMESPACES: Final = frozenset({"nvidia", "cuda"})
# Directories that careless distributions install beside their package; sharing one shadows nothing that is imported.
_SHARED: Final = frozenset(
    {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmarks", "scripts", "bin", "include"}
    | {"share", "licenses", "__pycache__"}
)
_ALWAYS_SEARCHED: Final = ("lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib", "usr/local/cuda/lib64")
_NVIDIA_MOUNTS: Final = ("usr/local/nvidia/lib", "usr/local/nvidia/lib64")
_METADATA: Final = re.compile(r"(?P<name>.+?)-[^-]+(?:-[^-]+)?\.(?:dist-info|egg-info)")
_MOST_LINKS: Final = 40  # as the kernel counts them


@dataclass(frozen=True, slots=True)
class Links:
    """The base's links to directories, so that two spellings of one place are seen as one."""

    targets: Mapping[str, str]
    memory: dict[str, str] = field(default_factory=dict)  # what was resolved before: 10^5 files, 10^4 directories

    def resolve(self, path: str) -> str:
        """Return a directory's path with every link on the way followed."""
        if path not in self.memory:
            self.memory[path] = self._follow(path)
        return self.memory[path]

    def _follow(self, path: str) -> str:
        for _ in range(_MOST_LINKS):
            link = next((parent for parent in (*parents(path), path) if parent in self.targets), None)
            if link is None:
                break
            path = (self.targets[link].strip("/") + path[len(link) :]).lstrip("/")
        return path

    def place(self, path: str) -> str:
        """Return where a path that is written lands: links above it are followed, its own name is replaced."""
        folder, _, name = path.strip("/").rpartition("/")
        return f"{self.resolve(folder)}/{name}".lstrip("/")


@dataclass(frozen=True, slots=True)
class Guard:
    """A base's protected paths, the directories above them, its protected imports, and where the loader looks."""

    links: Links
    owners: Mapping[str, str]  # protected path → 'torch 2.6.0a0+…', or '' where nothing says whose it is
    directories: frozenset[str]  # above a protected path, the links on the way among them
    sites: tuple[str, ...]  # sys.path, first searched first
    imports: Mapping[str, tuple[int, str]]  # top-level name → place on sys.path of its distribution, and its name
    distributions: Mapping[str, str]  # normalised name → 'torch 2.6.0a0+…'
    loader: frozenset[str]
    libraries: frozenset[str]  # 'libcudart', without version


def guard(inventory: Inventory, allow: tuple[str, ...] = ()) -> Guard:
    """Return what to guard; distributions named in `allow` (normalised) are given up by the project itself."""
    links = Links({link.strip("/"): target for link, target in inventory.directory_links.items()})
    protected = [item for item in inventory.distributions if item.protected]
    kept = [item for item in protected if canonicalize_name(item.name) not in allow]
    given_up = {links.place(path) for item in protected if item not in kept for path in item.paths}
    owners = dict.fromkeys(map(links.place, inventory.protected_paths), "")
    owners |= dict.fromkeys((links.place(library.path) for library in inventory.libraries), "")
    owners = {path: owner for path, owner in owners.items() if path not in given_up}
    owners |= {links.place(path): f"{item.name} {item.version}" for item in kept for path in item.paths}
    folders = {path.rpartition("/")[0] for path in owners} - {""}
    directories = folders | {parent for folder in folders for parent in parents(folder)}
    linked = {link for link in links.targets if links.resolve(link) in directories}
    sites = tuple(dict.fromkeys(links.resolve(site) for site in _sites(inventory)))
    return Guard(
        links,
        owners,
        frozenset(directories | linked | {parent for link in linked for parent in parents(link)}),
        sites,
        dict(_imports(kept, sites, links)),
        {canonicalize_name(item.name): f"{item.name} {item.version}" for item in kept},
        frozenset(map(links.resolve, _loader(inventory))),
        frozenset(library_stem(path) for path in owners if ".so" in path),
    )


def parents(path: str) -> Iterator[str]:
    """Yield the directories above a path, the topmost first."""
    place = path.find("/")
    while place >= 0:
        yield path[:place]
        place = path.find("/", place + 1)


def library_stem(path: str) -> str:
    """Return 'libcudart' for any path, version or hash (`libcudart-a1b2c3d4.so.12`) of that library."""
    return re.sub(r"-[0-9a-f]{8,}$", "", path.rpartition("/")[2].partition(".so")[0])


def import_name(path: str) -> str:
    """Return what a path below a site directory makes importable: 'torch', 'nvidia/cublas'; '' for nothing.

    A file directly there is a module by its name up to the first dot; inside a namespace, likewise one level down.
    """
    top, slash, rest = path.partition("/")
    if not slash:
        return _module(top)
    if top in NAMESPACES:
        name, deeper, _ = rest.partition("/")
        inner = name if deeper else _module(name)
        return top if inner == "__init__" else f"{top}/{inner}" if inner else ""
    return "" if top in _SHARED or "." in top else top


def metadata_name(path: str) -> str:
    """Return the normalised name of the distribution whose .dist-info a path below a site directory lies in."""
    match = _METADATA.fullmatch(path.partition("/")[0])
    return canonicalize_name(match["name"]) if match else ""


def _module(file_name: str) -> str:
    stem, _, rest = file_name.partition(".")
    return stem if rest.rpartition(".")[2] in {"py", "pyc", "so"} else ""


def _sites(inventory: Inventory) -> Iterable[str]:
    yield from (part.strip("/") for part in inventory.environment.get("PYTHONPATH", "").split(":") if part.strip("/"))
    if isinstance(inventory.python, Known):
        yield from (site.strip("/") for site in inventory.python.value.search_path)


def _loader(inventory: Inventory) -> Iterable[str]:
    triplet = inventory.platform.triplet
    yield from (*_ALWAYS_SEARCHED, *_NVIDIA_MOUNTS)
    yield from (f"{folder}/{triplet}" for folder in ("lib", "usr/lib", "usr/local/lib"))
    searched = inventory.environment.get("LD_LIBRARY_PATH", "").split(":")
    yield from (part.strip("/") for part in searched if part.strip("/"))


def _imports(
    protected: list[Distribution], sites: tuple[str, ...], links: Links
) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield every protected import, the one that Python finds first last, so that it stays."""
    found: list[tuple[int, str, str]] = []
    for item in protected:
        location = links.resolve(item.location.strip("/")) + "/"
        rank = next((rank for rank, site in enumerate(sites) if f"{site}/" == location), len(sites))
        places = (place for place in map(links.place, item.paths) if place.startswith(location))
        names = {import_name(place.removeprefix(location)) for place in places}
        found += [(rank, name, f"{item.name} {item.version}") for name in names - NAMESPACES - {"", "__init__"}]
    for rank, name, owner in sorted(found, reverse=True):
        yield name, (rank, owner)
