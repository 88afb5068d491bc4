"""Requirement files: followed through their includes, refused with file and line, digested without their comments."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dari.errors import UsageError
from dari.lock import inputs_digest
from dari.values.digest import Digest
from dari.values.platform import Platform
from dari.values.project import LockRules, Project
from tests.lock.wheelhouse import wheel

UNREADABLE = "is not a requirement that dari understands"


def _project(folder: Path, **files: str) -> Project:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return Project(folder, folder / "dari.toml", "base", ("requirements.txt",))


def _digest(folder: Path, text: str, **files: str) -> Digest:
    return inputs_digest(_project(folder, requirements=text, **files), base="a/base:1")


@pytest.mark.parametrize(
    ("text", "id", "message"),
    [
        ("numpy\nfoo bar\n", "DARI-LOCK-REQUIREMENT", f"reading requirements.txt:2: 'foo bar' {UNREADABLE}: "),
        ("a \\\n  b\n", "DARI-LOCK-REQUIREMENT", f"reading requirements.txt:1: 'a   b' {UNREADABLE}: "),
        ("numpy==\n", "DARI-LOCK-REQUIREMENT", f"reading requirements.txt:1: 'numpy==' {UNREADABLE}: "),
        ("a; python_vers>'3'\n", "DARI-LOCK-REQUIREMENT", "reading requirements.txt:1: "),
        ("--frobnicate\n", "DARI-LOCK-REQUIREMENT", f"reading requirements.txt:1: '--frobnicate' {UNREADABLE}: "),
        ('-r "open\n', "DARI-LOCK-REQUIREMENT", "reading requirements.txt:1: "),
        (
            "-r nothing.txt\n",
            "DARI-LOCK-REQUIREMENT",
            "reading 'nothing.txt', named in requirements.txt:1: no such file",
        ),
        ("-r .\n", "DARI-LOCK-REQUIREMENT", "reading '.', named in requirements.txt:1: is a directory"),
        ("-r https://example.invalid/r.txt\n", "DARI-LOCK-REQUIREMENT", "reading requirements.txt:1: "),
        ("./none-1.0-py3-none-any.whl\n", "DARI-LOCK-REQUIREMENT", "reading requirements.txt:1: "),
        ("-r requirements.txt\n", "DARI-LOCK-INCLUDE", "reading requirements.txt:1: the requirement files include "),
        ("-e .\n", "DARI-LOCK-SOURCE", "reading requirements.txt:1: '-e .' is source code, "),
        (".\n", "DARI-LOCK-SOURCE", "reading requirements.txt:1: '.' is source code, "),
        ("git+https://example.invalid/a/b\n", "DARI-LOCK-SOURCE", "reading requirements.txt:1: 'git+https://"),
        ("b @ git+ssh://git@example.invalid/b\n", "DARI-LOCK-SOURCE", "reading requirements.txt:1: 'b @ git+ssh://"),
        ("https://example.invalid/a-1.0.tar.gz\n", "DARI-LOCK-SOURCE", "reading requirements.txt:1: 'https://"),
        ("./a-1.0.zip\n", "DARI-LOCK-SOURCE", "reading requirements.txt:1: './a-1.0.zip' is source code, "),
    ],
)
def test_a_bad_line_is_refused_with_its_file_and_line(tmp_path: Path, text: str, id: str, message: str) -> None:
    """Nothing is guessed and nothing raises a traceback: an id, the place, the reason and a way on."""
    with pytest.raises(UsageError) as caught:
        _digest(tmp_path, text)
    assert (caught.value.id, str(caught.value)[: len(message)]) == (id, message)
    assert caught.value.hint


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are named with their place."""
    (tmp_path / "requirements.txt").write_bytes(b"numpy\n\xff\n")
    with pytest.raises(UsageError, match=r"reading 'requirements\.txt': byte 6 is not UTF-8"):
        inputs_digest(_project(tmp_path), base="b")


def test_a_ring_of_includes_is_shown_whole(tmp_path: Path) -> None:
    """Recursive -r ends with the way around."""
    with pytest.raises(UsageError) as caught:
        _digest(tmp_path, "-r one.txt\n", one="numpy\n-c two.txt\n", two="-r requirements.txt\n")
    assert str(caught.value).endswith("requirements.txt → one.txt → two.txt → requirements.txt")


def test_a_password_in_an_address_is_in_no_message(tmp_path: Path) -> None:
    """What is refused is shown without its credentials."""
    with pytest.raises(UsageError) as caught:
        _digest(tmp_path, "git+https://user:hunter2@example.invalid/a\n")
    assert "hunter2" not in str(caught.value) + caught.value.hint


BASE = "torch>=2.4.0\n-r more.txt\n-c limits.txt\n"


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n\ntorch >= 2.4.0  # why\n-r more.txt\n-c limits.txt\n",
        "-c limits.txt\n-r more.txt\nTORCH>=2.4.0\n",
        "torch>=2.4.0\n--requirement=more.txt\n--constraint limits.txt\n-rmore.txt\n",
        "\ufefftorch\\\n>=2.4.0\r\n-r more.txt\r\n-c limits.txt",
    ],
)
def test_the_same_requirements_have_the_same_digest_however_written(tmp_path: Path, text: str) -> None:
    """Comments, blank lines, order, continuation and spelling change nothing."""
    files = {"more": "numpy\n", "limits": "pandas<3\n"}
    assert _digest(tmp_path, text, **files) == _digest(tmp_path, BASE, **files)


@pytest.mark.parametrize(
    "change",
    [
        lambda project: replace(project, dependencies=("tqdm",)),
        lambda project: replace(project, apt=("git",)),
        lambda project: replace(project, platforms=(Platform("linux", "arm64"),)),
        lambda project: replace(project, lock=LockRules(allow=("numpy",))),
        lambda project: replace(project, lock=LockRules(skip=("numpy",))),
        lambda project: replace(project, lock=LockRules(build=("numpy",))),
        lambda project: replace(project, lock=LockRules(accept_prerelease=("torch",))),
        lambda project: replace(project, lock=LockRules(exclude_newer="2026-01-01")),
        lambda project: _with(project, "more.txt", "numpy<2\n"),
        lambda project: _with(project, "limits.txt", "pandas<2\n"),
        lambda project: _with(project, "requirements.txt", BASE + "--pre\n"),
        lambda project: _with(project, "requirements.txt", BASE + "-i https://example.invalid/simple\n"),
        lambda project: _with(project, "uv.toml", 'index-url = "https://example.invalid"\n'),
        lambda project: _with(project, "pyproject.toml", '[tool.uv]\nindex-url = "https://example.invalid"\n'),
    ],
)
def test_whatever_decides_the_resolution_changes_the_digest(
    tmp_path: Path, change: Callable[[Project], Project]
) -> None:
    """Each input by itself makes the lock stale."""
    project = _project(tmp_path, requirements=BASE, more="numpy\n", limits="pandas<3\n")
    before = inputs_digest(project, base="a/base:1")
    assert inputs_digest(change(project), base="a/base:1") != before


def test_base_and_other_sources_change_the_digest(tmp_path: Path) -> None:
    """Another base, or another archive, is another lock."""
    project = _project(tmp_path, requirements="numpy\n")
    digests = {
        inputs_digest(project, base="a/base:1"),
        inputs_digest(project, base="a/base:2"),
        inputs_digest(project, base="a/base:1", sources=("deb example bookworm",)),
    }
    assert len(digests) == 3


def test_what_does_not_reach_the_resolver_leaves_the_digest(tmp_path: Path) -> None:
    """Source files, environment, command and tag are no input of the lock."""
    project = _project(tmp_path, requirements="numpy\n")
    other = replace(project, files=("train.py",), environment={"A": "b"}, command=("python",), tag="2")
    assert inputs_digest(other, base="b") == inputs_digest(project, base="b")


def test_a_local_wheel_counts_by_its_content(tmp_path: Path) -> None:
    """A wheel built anew under the same name makes the lock stale; touching it doesn't."""
    path = wheel(tmp_path, "mine", "1.0")
    line = "./mine-1.0-py3-none-any.whl\n"
    before = _digest(tmp_path, line)
    os.utime(path, (0, 0))
    assert _digest(tmp_path, line) == before
    wheel(tmp_path, "mine", "1.0", "numpy")
    assert _digest(tmp_path, line) != before


def test_the_place_of_the_project_does_not_count(tmp_path: Path) -> None:
    """Two checkouts have one digest."""
    found = []
    for name in ("a", "b"):
        wheel(tmp_path / name / "house", "mine", "1.0")
        text = "./house/mine-1.0-py3-none-any.whl\nmine\n--find-links ./house\n"
        found.append(_digest(tmp_path / name, text))
    assert found[0] == found[1]


def _with(project: Project, name: str, text: str) -> Project:
    (project.folder / name).write_text(text, encoding="utf-8")
    return project
