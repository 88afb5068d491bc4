"""The base of nothing: an inventory without layers, so that building from scratch is no special case."""

import re
from typing import Final

from dari.values.digest import Digest
from dari.values.fact import Missing
from dari.values.inventory import AptSource, Inventory, OsRelease
from dari.values.platform import Platform

# Suite → os-release of the distribution it is. Sources: Debian's and Ubuntu's release pages. Read 2026-11-23.
_RELEASES: Final = {
    "bullseye": ("debian", "11"),
    "bookworm": ("debian", "12"),
    "trixie": ("debian", "13"),
    "focal": ("ubuntu", "20.04"),
    "jammy": ("ubuntu", "22.04"),
    "noble": ("ubuntu", "24.04"),
}


def scratch_inventory(platform: Platform, apt_sources: tuple[AptSource, ...]) -> Inventory:
    """Return the inventory of an empty image whose packages would come from `apt_sources`.

    Its manifest is the digest of no bytes at all.
    """
    empty = Missing("the base is scratch: it has nothing before packages are added")
    return Inventory(
        manifest=Digest.of(b""),
        platform=platform,
        os_release=_release(apt_sources),
        packages=(),
        apt_sources=apt_sources,
        python=empty,
        distributions=(),
        constraints=(),
        libraries=(),
        protected_paths=(),
        missing=dict.fromkeys(("glibc", "os_release", "packages", "python"), empty),
    )


def _release(apt_sources: tuple[AptSource, ...]) -> OsRelease:
    for source in apt_sources:
        codename = re.split(r"[-/]", source.suite, maxsplit=1)[0]
        if codename in _RELEASES:
            system, version = _RELEASES[codename]
            return OsRelease(system, version, codename, f"{system} {version} ({codename})")
    return OsRelease("", "", "", "")
