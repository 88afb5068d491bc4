"""Control data: versions in dpkg's order, paragraphs, relations, the status file."""

import contextlib
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dari.values.debian import DebianVersion, installed_packages, is_install_state, paragraphs, relations
from dari.values.malformed import Malformed

LETTERS = st.sampled_from("019aZ.+~")
PIECES = st.text(LETTERS, min_size=1, max_size=6)
VERSIONS = st.builds(
    lambda epoch, upstream, revision: epoch + "1" + upstream + revision,
    st.sampled_from(["", "0:", "1:", "12:"]),
    PIECES,
    st.one_of(st.just(""), PIECES.map(lambda text: f"-{text}")),
)


@pytest.mark.system
@settings(max_examples=120, deadline=None)
@given(VERSIONS, VERSIONS)
def test_versions_sort_as_dpkg_sorts_them(first: str, second: str) -> None:
    """dpkg --compare-versions is the judge of any two versions."""
    have, want = DebianVersion.parse(first), DebianVersion.parse(second)
    operator = "lt" if have < want else "gt" if have > want else "eq"
    assert subprocess.run(["dpkg", "--compare-versions", first, operator, second], check=False).returncode == 0


@given(VERSIONS, VERSIONS)
def test_versions_are_ordered_totally(first: str, second: str) -> None:
    """Exactly one of <, = and > holds, and <= and >= agree with it."""
    have, want = DebianVersion.parse(first), DebianVersion.parse(second)
    assert [have < want, have == want, have > want].count(True) == 1
    assert (have <= want) == (not have > want)
    assert (have >= want) == (not have < want)
    assert str(have) == first


@pytest.mark.parametrize("text", ["", "1.0-", "a b", "1:", "-1", "1_0", "x:1", "1.0\n2"])
def test_what_is_no_version_is_refused(text: str) -> None:
    """A version has letters, digits and . + ~ - alone, and no empty revision."""
    with pytest.raises(Malformed, match="not a Debian version"):
        DebianVersion.parse(text)


def test_paragraphs_keep_continuations_and_drop_comments() -> None:
    """Names are lower case, a value keeps its line breaks, comments and blank lines go."""
    content = b"# note\nPackage: a\nDescription: short\n long one\n .\n\n\nPackage: b\r\nEmpty:\n"
    assert [dict(each) for each in paragraphs(content)] == [
        {"package": "a", "description": "short\nlong one\n."},
        {"package": "b", "empty": ""},
    ]


@pytest.mark.parametrize(("content", "line"), [(b" lost", "line 1"), (b"a: b\n\nnonsense\n", "line 3")])
def test_what_is_no_paragraph_names_its_line(content: bytes, line: str) -> None:
    """A line that is neither field, continuation nor comment is refused by its number."""
    with pytest.raises(Malformed, match=line):
        list(paragraphs(content))


@given(st.binary(max_size=200))
def test_any_bytes_are_paragraphs_or_malformed(content: bytes) -> None:
    """Nothing but Malformed comes out of reading hostile bytes."""
    with contextlib.suppress(Malformed):
        assert all(name and "\n" not in name for each in paragraphs(content) for name in each)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("libc6 (>= 2.36), perl:any", [["libc6 (>= 2.36)"], ["perl:any"]]),
        ("debconf (>= 0.5) | debconf-2.0", [["debconf (>= 0.5)", "debconf-2.0"]]),
        ("a [amd64 arm64], b [!amd64], c [linux-any]", [["a"], ["c"]]),
        ("x (<<1), y(>=2:3~) | z [armhf], ", [["x (<< 1)"], ["y (>= 2:3~)"]]),
        ("build <!nocheck>", [["build"]]),
        ("", []),
    ],
)
def test_relations(text: str, expected: list[list[str]]) -> None:
    """A field is a conjunction of alternatives, less those for other architectures."""
    assert [[str(each) for each in group] for group in relations(text, "amd64")] == expected


def test_a_garbled_relation_is_refused() -> None:
    """What isn't name, qualifier, version and architectures is no relation."""
    with pytest.raises(Malformed, match="not a relation"):
        relations("a (approximately 2)", "amd64")


def test_installed_packages_are_those_that_work() -> None:
    """Removed and half-installed packages don't satisfy anything."""
    status = b"".join(
        f"Package: {name}\nStatus: install ok {state}\nVersion: 1\nProvides: x (= 1), y\n\n".encode()
        for name, state in [
            ("a", "installed"),
            ("b", "config-files"),
            ("c", "half-configured"),
            ("d", "triggers-pending"),
        ]
    )
    assert [(package.name, package.provides) for package in installed_packages(status)] == [
        ("a", ("x (= 1)", "y")),
        ("d", ("x (= 1)", "y")),
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("var/lib/dpkg/alternatives/editor", True),
        ("var/lib/dpkg/triggers/File", True),
        ("var/lib/dpkg/triggers/Lock", False),
        ("etc/group", True),
        ("etc/shadow", False),
        ("etc/hosts", False),
    ],
)
def test_install_state(path: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """An inventory keeps what installing changes, and no secret."""
    assert is_install_state(path) is expected
