"""What resolving works with: a downloader, the cache, a folder for its files, and whether the network may be used."""

from dataclasses import dataclass
from pathlib import Path

from dari.system import Store
from dari.values.fetch import Fetcher


@dataclass(frozen=True, slots=True)
class Workbench:
    """`work` is a folder for temporary files; what is left there may be deleted."""

    fetcher: Fetcher
    store: Store
    work: Path
    offline: bool = False
