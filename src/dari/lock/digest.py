"""The digest of everything a lock is resolved from: as long as it stays, the lock is good and no network is asked."""

import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from dari.lock.requirements import Line, read_requirements
from dari.values.digest import Digest
from dari.values.documents import canonical_json
from dari.values.project import Project

_RULES: Final = "dari-lock-1"  # goes up whenever dari would resolve the same inputs to something else
_CHUNK: Final = 1 << 20


def inputs_digest(project: Project, *, base: str, sources: tuple[str, ...] = ()) -> Digest:
    """Return the digest of what `resolve` would read: requirement files through their includes, rules, base, platforms.

    `base` is the base's reference as the lock records it (with its digest, where that is to count). `sources` is
    anything else the lock is made from, as text: apt archives, say. Comments, blank lines and the order of files don't
    count; local wheels count by content. Raises `UsageError` as `read_requirements` does.
    """
    requested = read_requirements(project)
    document: dict[str, Any] = {
        "rules": _RULES,
        "base": base,
        "platforms": sorted(str(platform) for platform in project.platforms),
        "requirements": sorted(_line(line) for line in requested.lines),
        "constraints": sorted(_line(line) for line in requested.constraints),
        "options": [_option(line) for line in requested.options],
        "prereleases": requested.prereleases,
        "apt": sorted(project.apt),
        "allow": sorted(project.lock.allow),
        "skip": sorted(project.lock.skip),
        "accept": sorted(project.lock.accept_prerelease),
        "build": sorted(project.lock.build),
        "exclude_newer": project.lock.exclude_newer,
        "settings": _settings(project.folder),
        "sources": list(sources),
    }
    return Digest.of(canonical_json(document))


def _line(line: Line) -> list[str]:
    local = [_content(line.local)] if line.local else []
    url = "" if line.local else line.requirement.url or ""
    shown = [line.name, ",".join(sorted(line.requirement.extras)), str(line.requirement.specifier), url]
    return [*shown, str(line.requirement.marker or ""), *sorted(line.hashes), *local]


def _option(line: str) -> list[str]:
    """Return an option line; where it names a folder (--find-links), the packages that lie there instead."""
    name, _, value = line.partition(" ")
    folder = Path(unquote(urlsplit(value).path))
    if value.startswith("file:") and folder.is_dir():
        return [name, *sorted(file.name for file in folder.iterdir() if file.suffix in {".whl", ".gz", ".zip"})]
    return [line]


def _settings(folder: Path) -> list[str]:
    """Return the project's own uv settings: they say where packages come from."""
    found: list[str] = []
    for name in ("uv.toml", "pyproject.toml"):
        try:
            document: dict[str, Any] = tomllib.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        table = document if name == "uv.toml" else document.get("tool", {}).get("uv", {})
        found.append(f"{name} {sorted(table.items(), key=str)!r}" if table else "")
    return [text for text in found if text]


def _content(path: Path) -> str:
    import hashlib  # noqa: PLC0415 - only projects with local wheels come here

    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
