"""An archive's Release file: fetched, its signature checked, read.

Sources: the Debian repository format (wiki.debian.org/DebianRepository/Format), apt-secure(8), apt's
apt-pkg/deb/debmetaindex.cc for what a suite may be called. Read 2026-11-23.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from dari.errors import IntegrityError, OutsideError
from dari.system import Store
from dari.values.debian import paragraphs
from dari.values.digest import Digest
from dari.values.fetch import Fetcher
from dari.values.inventory import AptSource
from dari.values.malformed import Malformed

LARGEST_RELEASE: Final = 16 << 20
_KIND: Final = "apt-release"
_LINE_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Release:
    """A verified Release file. `root` is the URL that `files` (path → digest and size) are relative to."""

    source: AptSource
    root: str
    files: Mapping[str, tuple[Digest, int]]
    by_hash: bool
    automatic: bool  # False for backports and experimental: never chosen where another source has the package
    separate_all: bool  # packages of architecture 'all' have an index of their own


def fetch_release(source: AptSource, *, fetcher: Fetcher, store: Store) -> Release:
    """Fetch and verify the Release file of `source`; the last one seen serves where the archive doesn't answer.

    Raises `OutsideError` (DARI-APT-EXPIRED, DARI-APT-INDEX and what the fetcher raises), `IntegrityError`
    (DARI-APT-SIGNATURE, DARI-APT-SUITE).
    """
    flat = source.suite.endswith("/")
    root = f"{source.uri}/{source.suite}".rstrip("/") if flat else f"{source.uri}/dists/{source.suite}"
    signed, detached = _fetched(root, fetcher=fetcher, store=store)
    content = _verified(signed, detached, source, root)
    try:
        fields = next(paragraphs(content), {})
        release = Release(
            source,
            root,
            _files(fields.get("sha256", "")),
            fields.get("acquire-by-hash", "no") == "yes",
            fields.get("notautomatic", "no") != "yes",
            "all" in fields.get("architectures", "").split()
            and "packages" not in fields.get("no-support-for-architecture-all", "").lower(),
        )
    except (Malformed, ValueError) as error:
        raise OutsideError("DARI-APT-INDEX", f"reading the Release file of {root}: {error}") from error
    _check_suite(fields, source, root)
    _check_validity(fields.get("valid-until", ""), root)
    store.remember(_KIND, root, len(signed).to_bytes(8, "big") + signed + detached)
    return release


def _fetched(root: str, *, fetcher: Fetcher, store: Store) -> tuple[bytes, bytes]:
    try:
        return fetcher.read(f"{root}/InRelease", limit=LARGEST_RELEASE), b""
    except OutsideError as error:
        try:
            if not error.temporary:
                content = fetcher.read(f"{root}/Release", limit=LARGEST_RELEASE)
                return content, fetcher.read(f"{root}/Release.gpg", limit=LARGEST_RELEASE)
        except OutsideError:
            pass
        if kept := store.record(_KIND, root):
            size = int.from_bytes(kept[:8], "big")
            return kept[8 : 8 + size], kept[8 + size :]
        raise


def _verified(signed: bytes, detached: bytes, source: AptSource, root: str) -> bytes:
    """Return what the signature covers, and nothing else of the file."""
    from pysequoia import Cert, Sig, verify  # noqa: PLC0415 - a native library, loaded only where it is used

    if not source.keyring:
        raise IntegrityError(
            "DARI-APT-SIGNATURE",
            f"verifying {root}: no key is known that signs this source",
            hint="name the keyring file in the source's Signed-By, and see that the file is there",
        )
    try:
        certificates = Cert.split_bytes(source.keyring)
        if detached:
            verify(signed, store=lambda _: certificates, signature=Sig.from_bytes(detached))
            return signed
        content = verify(signed, store=lambda _: certificates).bytes
    except (RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).splitlines() or ["it can't be read"])[0]
        raise IntegrityError(
            "DARI-APT-SIGNATURE",
            f"verifying the Release file of {root}: {reason}",
            hint="the archive (or something between here and it) serves what its keys did not sign; try another mirror",
        ) from error
    if content is None:
        raise IntegrityError("DARI-APT-SIGNATURE", f"verifying the Release file of {root}: nothing in it is signed")
    return bytes(content)


def _files(block: str) -> Mapping[str, tuple[Digest, int]]:
    files = {}
    for line in block.splitlines():
        parts = line.split()
        if len(parts) == _LINE_PARTS:
            files[parts[2]] = (Digest.parse(f"sha256:{parts[0]}"), int(parts[1]))
    return files


def _check_suite(fields: Mapping[str, str], source: AptSource, root: str) -> None:
    names = {fields.get("suite", ""), fields.get("codename", "")} - {""}
    wanted = source.suite.removesuffix("/updates")
    if names and not source.suite.endswith("/") and wanted not in names:
        raise IntegrityError(
            "DARI-APT-SUITE",
            f"reading {root}: it says it is {' or '.join(sorted(names))!r}, not {source.suite!r}",
            hint="the mirror serves another release under this name; use another mirror",
        )


def _check_validity(text: str, root: str) -> None:
    if not text:
        return
    try:
        until = parsedate_to_datetime(text)
    except ValueError as error:
        raise OutsideError("DARI-APT-INDEX", f"reading the Release file of {root}: Valid-Until {text!r}") from error
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    if until < datetime.now(UTC):
        raise OutsideError(
            "DARI-APT-EXPIRED",
            f"using {root}: its Release file expired on {until:%Y-%m-%d}",
            hint="the mirror no longer follows its archive, or this machine's clock is wrong; use another mirror",
        )
