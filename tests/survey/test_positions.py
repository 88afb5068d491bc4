"""The locator finds every key that tomllib finds, at the place where it is written."""

import json
import re
import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dari.survey.positions import KeyPath, Position, Spot, spots

LETTERS = st.text("ab1 .#\"'=[]{}\\,\n-é", max_size=4)
BARE = st.text("abc1-_", min_size=1, max_size=3)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "").replace("\n", "") + "'"


KEY = st.one_of(BARE, LETTERS.map(json.dumps), LETTERS.map(_literal))
KEYS = st.lists(KEY, min_size=1, max_size=3).flatmap(
    lambda keys: st.sampled_from([".", " . "]).map(lambda d: d.join(keys))
)
SPACE = st.sampled_from(["", " ", "\n", " # ]},'\"\n", "\n\n  "])
SCALAR = st.one_of(
    st.sampled_from(
        ["1", "-2.5e3", "true", "inf", "1979-05-27", "1979-05-27 07:32:00Z", "07:32:00", "0xff", '""', "''"]
    ),
    LETTERS.map(json.dumps),
    LETTERS.map(_literal),
    LETTERS.map(lambda text: '"""' + text.replace("\\", "\\\\").replace('"""', "").rstrip('"') + '"""'),
    LETTERS.map(lambda text: "'''" + text.replace("'''", "").strip("'") + "'''"),
    st.sampled_from(['"""a"""""', "''''a'''''", '"""\\"""\\""""', '"""\n]\\\n  x"""']),
)


@st.composite
def _array(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items: list[str] = draw(st.lists(values, max_size=3))
    spaces = [draw(SPACE) for _ in range(2 * len(items) + 1)]
    comma = "," if items and draw(st.sampled_from([True, False])) else ""
    body = ",".join(f"{spaces[2 * i]}{item}{spaces[2 * i + 1]}" for i, item in enumerate(items))
    return f"[{body}{comma}{spaces[-1]}]"


@st.composite
def _inline(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    pairs = draw(st.lists(st.tuples(KEYS, values), max_size=3))
    return "{ " + " , ".join(f"{key} = {value}" for key, value in pairs) + " }"


VALUE = st.recursive(SCALAR, lambda values: st.one_of(_array(values), _inline(values)), max_leaves=4)
LINE = st.one_of(
    st.tuples(KEYS, VALUE).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    KEYS.map(lambda key: f"[{key}]"),
    KEYS.map(lambda key: f"[ {key} ] # a comment"),
    KEYS.map(lambda key: f"[[{key}]]"),
    BARE.map(lambda key: f"[[{key}]]"),
    st.just("# k = 'v'"),
    st.just(""),
)


@st.composite
def _documents(draw: st.DrawFn) -> str:
    """Write a document line by line, leaving out each line that would make it invalid."""
    text = ""
    for line in draw(st.lists(LINE, min_size=1, max_size=10)):
        try:
            tomllib.loads(f"{text}{line}\n")
        except tomllib.TOMLDecodeError:
            continue
        text += f"{draw(st.sampled_from(['', '  ']))}{line}\n"
    return text


def _paths(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key), child
        yield from _paths(child, (*path, key))


def _from(text: str, position: Position) -> str:
    lines = text.split("\n")
    return "\n".join([lines[position.line - 1][position.column - 1 :], *lines[position.line :]])


def _is_written_at(text: str, position: Position, value: object) -> bool:
    """Say whether some beginning of the text at `position` is `value` in TOML."""
    rest = _from(text, position)
    for end in range(1, len(rest) + 1):
        try:
            if tomllib.loads(f"k = {rest[:end]}")["k"] in (value, [value]) or value != value:  # noqa: PLR0124 - NaN
                return True
        except tomllib.TOMLDecodeError:
            continue
    return False


@settings(max_examples=300, deadline=None)
@given(_documents())
@example('a = [1, {b = [2, "]"], c.d = 3}]\n[[t]]\nx = 1\n[t.u]\ny = """\n[z]\n"""\n[[t]]\n[[t.v]]\n"q\\u0041" = 1\n')
def test_every_key_is_found_where_it_is_written(text: str) -> None:
    """Every path of tomllib's result is located, no other is, and the text there is that key and that value."""
    document = tomllib.loads(text)
    assume(document)
    found = spots(text)
    expected = dict(_paths(document))
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        if isinstance(key := path[-1], str):
            token = re.match(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""", _from(text, found[path].key))
            assert token
            assert tomllib.loads(f"{token.group()} = 0") == {key: 0}
        if not isinstance(value, dict | list):
            assert _is_written_at(text, found[path].value, value)


@given(_documents())
def test_line_ends_of_windows_move_nothing(text: str) -> None:
    """A document with CRLF has its keys at the same lines and columns."""
    assert spots(text.replace("\n", "\r\n")) == spots(text)


@pytest.mark.parametrize(
    ("text", "path", "line", "column"),
    [
        ("a = 1", ("a",), 1, 1),
        ("\n  a = 1", ("a",), 2, 3),
        ("[t]\n\n'x y'.b = 1", ("t", "x y", "b"), 3, 7),
        ("é = 0\n".replace("é", '"é"') + "b = { '日本' = 1 }", ("b", "日本"), 2, 7),
        ("[[s]]\n[[s]]\nk = 1", ("s", 1, "k"), 3, 1),
        ("a = [\n  1, # one\n  2,\n]", ("a", 1), 3, 3),
    ],
)
def test_places_are_lines_and_characters_from_one(text: str, path: KeyPath, line: int, column: int) -> None:
    """Lines and columns count from 1, columns in characters."""
    assert spots(text)[path].key == Position(line, column)


def test_values_have_places_of_their_own() -> None:
    """A key's spot says where its value begins."""
    assert spots("ab =   'x'")["ab",] == Spot(Position(1, 1), Position(1, 8))
