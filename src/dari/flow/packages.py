"""Locked Debian packages → parts, on a base or on nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dari.debian import deb_part, judge, root_links, status_part
from dari.errors import ConflictError, IntegrityError
from dari.flow.session import Session
from dari.values.entry import Entry, Part
from dari.values.inventory import Inventory
from dari.values.lock import LockedDeb
from dari.values.platform import Platform


def deb_files(debs: Sequence[LockedDeb], session: Session) -> tuple[Path, ...]:
    """Return each package's path in the cache; what isn't there is fetched, several at once."""

    def fetched(deb: LockedDeb) -> Path:
        if session.store.holds(deb.digest, deb.size):
            return session.store.path(deb.digest)
        return session.downloads.fetch(deb.url, deb.digest, size=deb.size, label=f"{deb.name} {deb.version}")

    return session.together(fetched, debs)


def _refetched(debs: Sequence[LockedDeb], session: Session) -> None:
    """Read each package in the cache and fetch those again whose bytes are not right any more."""
    for deb in debs:
        try:
            with session.store.open(deb.digest) as chunks:
                for _ in chunks:
                    pass
        except IntegrityError:
            deb_files((deb,), session)


def _mended(part: Part, debs: Sequence[LockedDeb], session: Session) -> Part:
    """Return the part with a second try where this machine's copies of its packages turn out to be damaged."""

    def entries() -> tuple[Entry, ...]:
        try:
            return part.entries()
        except IntegrityError:
            _refetched(debs, session)
            return part.entries()

    return replace(part, entries=entries)


def refuse_scripts(debs: tuple[LockedDeb, ...], inventory: Inventory, session: Session, *, scratch: bool) -> None:
    """Follow the packages' scripts without running them. Raises `ConflictError` (DARI-APT-REFUSED) with each reason."""
    findings = judge(
        debs,
        deb_files(debs, session),
        base_status=inventory.dpkg_status,
        base_files=inventory.install_state,
        links=root_links(inventory.platform) if scratch else inventory.directory_links,
        store=session.store,
    )
    if findings:
        raise ConflictError(
            "DARI-APT-REFUSED",
            "some Debian packages can't be put on without running their scripts",
            hint="each finding names the package, the command and the ways out",
            findings=findings,
        )


def package_parts(
    debs: tuple[LockedDeb, ...], inventory: Inventory | None, platform: Platform, session: Session
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return the packages' files, and what goes into a layer above them; `inventory` is None for scratch.

    Above: dpkg's records and what the scripts would have made or changed, among it files of the packages themselves.
    """
    if not debs:
        return (), ()
    paths = deb_files(debs, session)
    links = inventory.directory_links if inventory else root_links(platform)
    records = status_part(
        debs,
        paths,
        base_status=inventory.dpkg_status if inventory else b"",
        base_files=inventory.install_state if inventory else {},
        links=links,
        store=session.store,
    )
    files = (
        _mended(deb_part(path, deb, platform=platform, links=links), (deb,), session)
        for path, deb in zip(paths, debs, strict=True)
    )
    return tuple(files), (_mended(records, debs, session),)
