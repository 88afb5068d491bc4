"""`dari explain`: what an id means and what to do."""

import tomllib
from difflib import get_close_matches
from importlib.resources import files

from dari.errors import UsageError
from dari.values.report import Report, Section


def explanations() -> dict[str, dict[str, str]]:
    """Return every explanation by id, as written in `dari/explanations/`."""
    found: dict[str, dict[str, str]] = {}
    for entry in files("dari.explanations").iterdir():
        if entry.name.endswith(".toml"):
            found |= tomllib.loads(entry.read_text(encoding="utf-8"))
    return dict(sorted(found.items()))


def explain(id: str) -> Report:
    """Expand one id, or list all for an empty one. Raises `UsageError` (DARI-EXPLAIN-UNKNOWN)."""
    known = explanations()
    if not id:
        rows = tuple((name, entry["title"]) for name, entry in known.items())
        titles = [{"id": name, "title": title} for name, title in rows]
        return Report("explanations", f"{len(rows)} ids", {"ids": titles}, (Section("", rows),))
    entry = known.get(id.upper())
    if entry is None:
        near = get_close_matches(id.upper(), known, 3)
        hint = f"near: {', '.join(near)}" if near else "`dari explain` lists them all"
        raise UsageError("DARI-EXPLAIN-UNKNOWN", f"no id {id!r}", hint=hint)
    text = {part: " ".join(entry[part].split()) for part in ("meaning", "next")}
    sections = (Section("", (("what it means", text["meaning"]), ("what to do", text["next"]))),)
    return Report("explanation", f"{id.upper()}: {entry['title']}", {"id": id.upper(), **entry}, sections)
