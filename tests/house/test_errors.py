"""Errors are part of the product: every id is explained, once, and nothing explained is unused."""

import re
import tomllib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "dari"
EXPLANATIONS = sorted((SOURCE / "explanations").glob("*.toml"))
ID = re.compile(r"[\"'](DARI-[A-Z0-9-]+)[\"']")


def _raised() -> set[str]:
    return {found for path in SOURCE.rglob("*.py") for found in ID.findall(path.read_text(encoding="utf-8"))}


def _explained() -> list[str]:
    return [known for path in EXPLANATIONS for known in tomllib.loads(path.read_text(encoding="utf-8"))]


def test_every_id_is_explained_exactly_once() -> None:
    """What the source can say and what `dari explain` knows are the same set."""
    explained = _explained()
    assert sorted(explained) == sorted(set(explained))
    assert _raised() - set(explained) == set()
    assert set(explained) - _raised() == set()


@pytest.mark.parametrize("path", EXPLANATIONS, ids=lambda path: path.stem)
def test_an_explanation_says_what_it_means_and_what_to_do(path: Path) -> None:
    """Each entry has a title of one line, a meaning and a next step."""
    for known, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
        assert set(entry) == {"title", "meaning", "next"}, known
        assert all(text.strip() for text in entry.values()), known
        assert "\n" not in entry["title"], known
