"""Installed Python distributions, from their metadata alone: name, version, what they require, what they own.

Sources: PyPA core metadata, recording installed packages (RECORD), setuptools' egg formats. Read 2026-11-23.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from packaging.utils import canonicalize_name

from dari.bases.layers import normalised
from dari.bases.merged import Merged
from dari.bases.tree import File, Folder
from dari.values.inventory import Distribution
from dari.values.protection import is_protected_distribution

_SITES: Final = ("site-packages", "dist-packages")
_NAMED: Final = re.compile(r"(?P<name>[^-]+(?:-[^-\d][^-]*)*)-(?P<version>[^-]+)(?:-py\d[\d.]*.*)?\.(?:dist|egg)-info")


@dataclass(frozen=True, slots=True)
class _Headers:
    name: str
    version: str
    requires: tuple[str, ...]


def distributions(merged: Merged, search_path: tuple[str, ...]) -> tuple[Distribution, ...]:
    """Return every distribution in a site directory of any Python; those on `search_path` first, in its order.

    Of two with one name, the interpreter uses the first.
    """
    found: list[Distribution] = []
    for site in _sites(merged, search_path):
        for name in merged.names(site):
            information = f"{site}/{name}/EGG-INFO" if name.endswith(".egg") else f"{site}/{name}"
            if name.endswith((".dist-info", ".egg-info", ".egg")):
                found += _read(merged, site, information)
            elif name.endswith(".egg-link"):
                found += _linked(merged, site, f"{site}/{name}")
    order = {site: number for number, site in enumerate(search_path)}
    return tuple(
        sorted(found, key=lambda one: (order.get(one.location, len(order)), one.location, canonicalize_name(one.name)))
    )


def _sites(merged: Merged, search_path: tuple[str, ...]) -> tuple[str, ...]:
    anywhere = (
        path
        for path, node in merged.tree.walk()
        if isinstance(node, Folder) and path.rpartition("/")[2] in _SITES and not path.startswith("proc/")
    )
    return tuple(dict.fromkeys((*search_path, *anywhere)))


def _linked(merged: Merged, site: str, link: str) -> Iterator[Distribution]:
    """Follow setuptools' .egg-link (a project installed for development): its first line is a folder."""
    lines = (merged.text(link) or "").splitlines()
    folder = lines[0].strip().strip("/") if lines else ""
    for name in merged.names(folder) if folder else ():
        if name.endswith(".egg-info"):
            for one in _read(merged, folder, f"{folder}/{name}"):
                yield Distribution(one.name, one.version, site, one.requires, (link, *one.paths), one.protected)


def _read(merged: Merged, site: str, information: str) -> Iterator[Distribution]:
    headers = _headers(merged, information)
    if headers is None:
        return
    protected = is_protected_distribution(headers.name)
    owned = _recorded(merged, site, information)
    if not owned:
        owned = tuple(f"{site}/{name}" for name in _top_level(merged, site, information, headers.name))
        if protected:
            owned = tuple(path for top in owned for path in _below(merged, top))
    if not protected:
        tops = {path.removeprefix(f"{site}/").partition("/")[0] for path in owned if path.startswith(f"{site}/")}
        owned = tuple(f"{site}/{top}" for top in tops)
    yield Distribution(headers.name, headers.version, site, headers.requires, tuple(sorted(set(owned))), protected)


def _headers(merged: Merged, information: str) -> _Headers | None:
    if merged.is_folder(information):
        text = merged.text(f"{information}/METADATA") or merged.text(f"{information}/PKG-INFO")
    else:
        text = merged.text(information)
    named = _NAMED.fullmatch(information.removesuffix("/EGG-INFO").rpartition("/")[2])
    if text is None and not named:
        return None
    fields = _fields(text or "")
    name = next(iter(fields.get("name", ())), named["name"] if named else "")
    version = next(iter(fields.get("version", ())), named["version"] if named else "")
    if not name or not version:
        return None
    requires = fields.get("requires-dist", ()) or _egg_requires(merged.text(f"{information}/requires.txt") or "")
    return _Headers(name, version, requires)


def _fields(text: str) -> Mapping[str, tuple[str, ...]]:
    """Read the header fields of core metadata (an RFC 822 message); continued lines are joined by a blank."""
    fields: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if (
            not line
        ):  # the description follows; a line of blanks only continues the field above (licence texts have them)
            break
        if line[:1].isspace():
            if name:
                fields[name][-1] += " " + line.strip()
            continue
        head, colon, value = line.partition(":")
        name = head.strip().lower() if colon else ""
        if name:
            fields.setdefault(name, []).append(value.strip())
    return {name: tuple(values) for name, values in fields.items()}


def _egg_requires(text: str) -> tuple[str, ...]:
    """Turn setuptools' requires.txt into Requires-Dist lines: `[extra:marker]` heads the lines below it."""
    lines: list[str] = []
    extra = marker = ""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("[") and line.endswith("]"):
            extra, _, marker = line[1:-1].partition(":")
            continue
        conditions = [f"({marker})"] if marker and extra else [marker] if marker else []
        conditions += [f'extra == "{extra}"'] if extra else []
        lines.append(f"{line}; {' and '.join(conditions)}" if conditions else line)
    return tuple(lines)


def _recorded(merged: Merged, site: str, information: str) -> tuple[str, ...]:
    """Return the files a distribution records as its own, relative to the root; none where it records nothing."""
    if (record := merged.text(f"{information}/RECORD")) is not None:
        try:
            names = [row[0] for row in csv.reader(record.splitlines()) if row and row[0]]
        except csv.Error:
            return ()
        start = site
    elif (record := merged.text(f"{information}/installed-files.txt")) is not None:
        names, start = [line for line in record.splitlines() if line], information
    else:
        return ()
    return tuple(path for name in names if (path := _joined(start, name)))


def _joined(folder: str, name: str) -> str:
    return normalised(name if name.startswith("/") else f"{folder}/{name}")


def _top_level(merged: Merged, site: str, information: str, name: str) -> Iterator[str]:
    yield information.removesuffix("/EGG-INFO").rpartition("/")[2]
    listed = (merged.text(f"{information}/top_level.txt") or "").split()
    for top in listed or [name.replace("-", "_")]:
        yield from (known for known in (top, f"{top}.py") if merged.tree.find(f"{site}/{known}", follow=False))


def _below(merged: Merged, top: str) -> Iterator[str]:
    if not merged.is_folder(top):
        yield top
        return
    yield from (path for path, node in merged.tree.walk(top) if isinstance(node, File))
