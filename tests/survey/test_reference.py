"""docs/reference/dari-toml.md and the parser's table of keys say the same."""

import re
import tomllib
from pathlib import Path

import pytest

from dari.survey import APT_SOURCE_KEYS, KEYS, read_project
from dari.survey.selection import NEVER
from tests.survey.conftest import Write

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "dari-toml.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^(##+) `([^`]+)`\n\n- Type: (.+)\n- Default: (.+)\n((?:(?!^##).*\n?)*)", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("level", "keys"), [("##", KEYS), ("###", APT_SOURCE_KEYS)])
def test_the_reference_has_every_key_with_its_type_and_default(level: str, keys: tuple[object, ...]) -> None:
    """Same keys, same order, same words."""
    described = [(name, kind, default) for depth, name, kind, default, _ in SECTIONS if depth == level]
    assert described == [(key.name, key.kind.value, key.default) for key in KEYS if keys is KEYS] + [
        (key.name, key.kind.value, key.default) for key in APT_SOURCE_KEYS if keys is APT_SOURCE_KEYS
    ]


@pytest.mark.parametrize("name", [key.name for key in KEYS])
def test_every_example_is_read(write: Write, name: str) -> None:
    """The example of each key has that key, and the parser takes it."""
    body = next(body for _, key, _, _, body in SECTIONS if key == name)
    (block,) = re.findall(r"```toml\n(.*?)```", body if name != "apt-sources" else body + "", re.DOTALL)
    assert name in tomllib.loads(block)
    key = write({"archive.gpg": b"\x99"}) / "archive.gpg"
    block = re.sub(r"/usr/share/keyrings/[\w.-]+", str(key), block)
    folder = write(
        {
            "dari.toml": block if name == "base" else f'base = "scratch"\n{block}',
            "pyproject.toml": '[project]\nname = "x"\ndependencies = []\n',
            "requirements.txt": "",
            "requirements/train.txt": "",
        }
    )
    read_project(folder)


def test_the_whole_example_is_read(write: Write) -> None:
    """The page's first example is a project."""
    block = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
    assert read_project(write({"dari.toml": block, "requirements.txt": ""})).apt == ("git", "libgl1")


def test_what_is_never_taken_along_is_listed() -> None:
    """The list of names in the page is the list in the code."""
    listed = re.search(r"but possible by name in `files`: (.+?);", PAGE)
    assert listed
    assert listed[1] == ", ".join(f"`{name}`" for name in NEVER)
