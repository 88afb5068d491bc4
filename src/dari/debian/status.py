"""dpkg's and apt's own records of what was put on, and the files that the packages' scripts would have made.

Sources: dpkg's lib/dpkg/dump.c and infodb, deb-triggers(5), apt's extended_states (apt-mark(8)). Read 2026-11-23.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Final

from dari.debian.package import Package, read_package
from dari.debian.root import root_part
from dari.debian.scripts.configure import WAYS_OUT, Configured, configure, tables
from dari.errors import ConflictError
from dari.system import Store
from dari.values.debian import installed_packages, paragraphs, relations
from dari.values.digest import Digest
from dari.values.entry import Entry, Kind, Part
from dari.values.finding import Finding, Severity
from dari.values.lock import LockedDeb
from dari.values.platform import Platform
from dari.values.project import SCRATCH

# Changes when the same packages would be recorded or configured differently by a later dari.
_RECORDS: Final = "1"
_SCRIPTS: Final = frozenset({"preinst", "postinst", "prerm", "postrm", "config"})
_STATUS: Final = "var/lib/dpkg/status"
_EXTENDED_STATES: Final = "var/lib/apt/extended_states"
_TRIGGERS: Final = "var/lib/dpkg/triggers"


def status_part(
    debs: tuple[LockedDeb, ...],
    paths: tuple[Path, ...],
    *,
    base_status: bytes,
    base_files: Mapping[str, bytes],
    links: Mapping[str, str],
    store: Store,
) -> Part:
    """Return dpkg's records of `debs` (at `paths`, in the same order) and what their scripts come to.

    `base_status` is the base's /var/lib/dpkg/status, empty for scratch. `base_files` are the base's files for which
    `dari.values.debian.is_install_state` holds; where it is empty on a base, records that would replace unknown ones
    are left as they are. `entries` raises `ConflictError` (DARI-APT-SCRIPT) and what reading packages raises.
    """
    state = b"".join(path.encode("utf-8", "surrogateescape") + base_files[path] for path in sorted(base_files))
    names = "\n".join(f"{deb.digest} {deb.name in deb.required_by}" for deb in sorted(debs))
    places = "\n".join(f"{link} {target}" for link, target in sorted(links.items()))
    parts = (_RECORDS, tables(), names, places, Digest.of(base_status).hex, Digest.of(state).hex)

    def entries() -> tuple[Entry, ...]:
        packages = _read(debs, paths, store)
        effects = _accepted(_configured(packages, base_status, base_files, links))
        made = {entry.path: entry for entry in _records(packages, base_status, base_files)}
        made.update((entry.path, entry) for entry in effects)
        return tuple(made[path] for path in sorted(made))

    return Part("dpkg records", f"dpkg:{Digest.of(chr(0).join(parts).encode()).hex}", len(base_status), entries)


def judge(
    debs: tuple[LockedDeb, ...],
    paths: tuple[Path, ...],
    *,
    base_status: bytes,
    base_files: Mapping[str, bytes],
    links: Mapping[str, str],
    store: Store,
) -> tuple[Finding, ...]:
    """Return why these packages can't be put on without running their scripts; nothing where they can."""
    return _configured(_read(debs, paths, store), base_status, base_files, links).refusals


def _read(debs: tuple[LockedDeb, ...], paths: tuple[Path, ...], store: Store) -> tuple[Package, ...]:
    pairs = sorted(zip(debs, paths, strict=True))
    return tuple(read_package(path, deb, store) for deb, path in pairs)


def _root(packages: tuple[Package, ...]) -> tuple[Entry, ...]:
    architecture = min({package.deb.architecture for package in packages} - {"all"}, default="amd64")
    return root_part(Platform("linux", architecture)).entries()


def _configured(
    packages: tuple[Package, ...], base_status: bytes, base_files: Mapping[str, bytes], links: Mapping[str, str]
) -> Configured:
    installed = installed_packages(base_status)
    root = () if installed else _root(packages)
    done = configure(packages, base_files=base_files, links=links, root=root, installed=installed)
    return replace(done, refusals=(*_excluded(packages, base_status), *done.refusals))


def _excluded(packages: tuple[Package, ...], base_status: bytes) -> Iterator[Finding]:
    """Find what the base's packages exclude; the other way round is settled when packages are chosen."""
    for paragraph in paragraphs(base_status):
        if not paragraph.get("status", "").endswith(" installed"):
            continue
        fields = ", ".join(filter(None, (paragraph.get("conflicts"), paragraph.get("breaks"))))
        for group in relations(fields, paragraph.get("architecture", "")):
            for package in packages:
                if package.name == group[0].name and group[0].admits(package.deb.version):
                    yield Finding(
                        "DARI-APT-CONFLICT",
                        Severity.ERROR,
                        f"{package.name} {package.deb.version} can't be put on: the base's {paragraph['package']} "
                        f"{paragraph['version']} excludes {group[0]}",
                        cause=", ".join(package.deb.required_by),
                        ways_out=WAYS_OUT,
                    )


def _accepted(done: Configured) -> tuple[Entry, ...]:
    if not done.refusals:
        return done.entries
    first = done.refusals[0]
    more = f" (and {len(done.refusals) - 1} more)" if len(done.refusals) > 1 else ""
    raise ConflictError(
        first.id,
        f"installing {first.message}{more}",
        hint=f"ways out: {'; '.join(first.ways_out)}",
        findings=done.refusals,
    )


def _records(packages: tuple[Package, ...], base_status: bytes, base_files: Mapping[str, bytes]) -> Iterator[Entry]:
    yield _file(_STATUS, _status(packages, base_status))
    for package in packages:
        prefix = f"var/lib/dpkg/info/{package.info_name}"
        yield _file(f"{prefix}.list", _listing(package))
        for name, content in package.control.files.items():
            yield _file(f"{prefix}.{name}", content, 0o755 if name in _SCRIPTS else 0o644)
        if package.md5sums:
            yield _file(f"{prefix}.md5sums", package.md5sums)
    if not base_status:
        yield _file("var/lib/dpkg/info/format", b"1\n")
        # Where this is missing, dpkg takes its records for those of a time before triggers, and fires them all.
        yield _file(f"{_TRIGGERS}/Unincorp", b"")
    if not base_status or base_files:
        yield _file(_EXTENDED_STATES, base_files.get(_EXTENDED_STATES, b"") + _automatic(packages))
        yield from _interests(packages, base_files)


def _file(path: str, content: bytes, mode: int = 0o644) -> Entry:
    return Entry(path, Kind.FILE, mode, len(content), open=lambda: BytesIO(content))


def _status(packages: tuple[Package, ...], base_status: bytes) -> bytes:
    """Return the base's paragraphs, less those of a new package that was once removed, and the new ones."""
    new = {(package.name, package.control.fields["architecture"]) for package in packages}
    kept = [
        text
        for text in base_status.strip(b"\n").split(b"\n\n")
        if text.strip() and not any(_names(paragraph) in new for paragraph in paragraphs(text))
    ]
    made = [_paragraph(package).encode("utf-8", "surrogateescape") for package in packages]
    return b"\n\n".join(text.strip(b"\n") for text in (*kept, *made)) + b"\n\n"


def _names(paragraph: Mapping[str, str]) -> tuple[str, str]:
    return paragraph.get("package", ""), paragraph.get("architecture", "")


def _paragraph(package: Package) -> str:
    lines = []
    conffiles = [f" {path} {digest}" for path, digest in package.conffiles.items()]
    for line in package.control.text.split("\n"):
        if line.startswith("Description:") and conffiles:
            lines += ["Conffiles:", *conffiles]
            conffiles = []
        lines.append(line)
        if line.startswith("Package:"):
            lines.append("Status: install ok installed")
    return "\n".join([*lines, *(["Conffiles:", *conffiles] if conffiles else [])])


def _listing(package: Package) -> bytes:
    lines = (f"/{entry.path}" if entry.path else "/." for entry in package.entries)
    return "".join(f"{line}\n" for line in dict.fromkeys(lines)).encode("utf-8", "surrogateescape")


def _automatic(packages: Iterable[Package]) -> bytes:
    """Mark what nobody asked for, so that `apt autoremove` may take it away with what needed it."""
    native = min({package.deb.architecture for package in packages} - {"all"}, default="all")
    return "".join(
        f"Package: {package.name}\nArchitecture: {native}\nAuto-Installed: 1\n\n"
        for package in packages
        if package.name not in package.deb.required_by and SCRATCH not in package.deb.required_by
    ).encode()


def _interests(packages: Iterable[Package], base_files: Mapping[str, bytes]) -> Iterator[Entry]:
    """Record which packages wait for which trigger: paths in `File`, names in a file each."""
    lines: dict[str, list[str]] = {}
    for package in packages:
        for line in package.control.files.get("triggers", b"").decode("utf-8", "replace").splitlines():
            words = line.partition("#")[0].split()
            if words[:1] and words[0].startswith("interest"):
                waiting = package.info_name + ("/noawait" if words[0].endswith("-noawait") else "")
                is_path = words[1].startswith("/")
                text = f"{words[1]} {waiting}" if is_path else waiting
                lines.setdefault("File" if is_path else words[1], []).append(text)
    for name, texts in sorted(lines.items()):
        before = base_files.get(f"{_TRIGGERS}/{name}", b"")
        known = before.decode("utf-8", "surrogateescape").splitlines()
        added = "".join(f"{text}\n" for text in texts if text not in known)
        yield _file(f"{_TRIGGERS}/{name}", before + added.encode())
