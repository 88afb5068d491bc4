"""Locked Debian packages → parts, on a base or on nothing."""

from collections.abc import Sequence
from pathlib import Path

from dari.debian import deb_part, judge, root_links, status_part
from dari.errors import ConflictError
from dari.flow.session import Session
from dari.values.entry import Part
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
) -> tuple[Part, ...]:
    """Return the packages' files and dpkg's records of them; `inventory` is None for scratch."""
    if not debs:
        return ()
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
    files = (deb_part(path, deb, platform=platform, links=links) for path, deb in zip(paths, debs, strict=True))
    return (*files, records)
