"""The documents: links lead somewhere, the READMEs are twins and name every command, what is generated is fresh."""

import importlib.machinery
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dari.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split("\0")
    if name and (ROOT / name).exists()
)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


def _prose(path: Path) -> str:
    """Return a page without its code blocks and without code in lines."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text(encoding="utf-8")))


def _anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(FENCE.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in headings}


def _links(path: Path) -> Iterator[str]:
    return (target for target in LINK.findall(_prose(path)) if not re.match(r"[a-z]+:", target))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file or folder of the checkout, and its anchor a heading there."""
    for link in _links(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert target.resolve().is_relative_to(ROOT), link
        assert not anchor or anchor in _anchors(target), link


def test_the_readmes_are_twins() -> None:
    """README.ko.md has README.md's code blocks, its headings' levels and its links, one for one and in their order."""
    english, korean = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
    assert FENCE.findall(korean) == FENCE.findall(english)
    levels = [[level for level, _ in HEADING.findall(FENCE.sub("", text))] for text in (english, korean)]
    assert levels[0] == levels[1]
    assert sorted(_links(ROOT / "README.ko.md")) == sorted(_links(ROOT / "README.md"))
    rows = [[len(line.split("|")) for line in text.splitlines() if line.startswith("|")] for text in (english, korean)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_a_readme_begins_with_the_two_commands(name: str) -> None:
    """The first block shows the main job and the tests, and both programs are there to be run."""
    block = FENCE.findall((ROOT / name).read_text(encoding="utf-8"))[0]
    commands = [line.split()[0] for line in block.splitlines()[1:-1]]
    assert commands == ["tools/demo", "tools/test"]
    assert all((ROOT / command).stat().st_mode & 0o111 for command in commands)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_in_the_tables(name: str) -> None:
    """A command has a line in both READMEs' tables and a section in the reference."""
    for readme in ("README.md", "README.ko.md"):
        assert re.search(rf"^\| `dari {name}\b", (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE), readme
    assert f"\n## dari {name}\n" in (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")


def test_the_tables_name_no_other_command() -> None:
    """What the READMEs' tables offer, dari has."""
    for readme in ("README.md", "README.ko.md"):
        text = (ROOT / readme).read_text(encoding="utf-8")
        assert set(re.findall(r"^\| `dari ([\w-]+)", text, re.MULTILINE)) == set(COMMANDS)


def test_the_commands_reference_is_fresh() -> None:
    """docs/reference/commands.md is what `tools/reference` would write now."""
    loader = importlib.machinery.SourceFileLoader("reference", str(ROOT / "tools/reference"))
    specification = importlib.util.spec_from_loader("reference", loader)
    assert specification is not None
    tool = importlib.util.module_from_spec(specification)
    loader.exec_module(tool)
    fresh = tool.text()
    assert (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8") == fresh, "run tools/reference"


def test_every_page_of_the_guide_is_in_its_index() -> None:
    """The guide's first page leads to all the others."""
    guide = ROOT / "docs/guide"
    pages = {path.name for path in guide.glob("*.md")} - {"index.md"}
    assert pages == {link.partition("#")[0] for link in _links(guide / "index.md")} & pages


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_is_unfinished(page: Path) -> None:
    """No page has a TODO; figures still to be measured say TODO-BENCH."""
    assert not re.search(r"\bTODO\b(?!-BENCH\b)", page.read_text(encoding="utf-8"))
