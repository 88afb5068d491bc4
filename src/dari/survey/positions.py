"""Where every key of a TOML document stands: tomllib gives the values, this gives their lines and columns.

It reads only documents that tomllib has accepted, so it never judges; it walks. Grammar: https://toml.io/en/v1.0.0.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

KeyPath = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE: Final = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text, counted from 1, in lines and characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a key is first written, and where its value begins. An array's item has its value's place for both."""

    key: Position
    value: Position


@dataclass(frozen=True, slots=True)
class _Walk:
    """The document under way. `tables` counts the items of each array of tables met so far."""

    text: str
    spots: dict[KeyPath, tuple[int, int]] = field(default_factory=dict)
    tables: dict[KeyPath, int] = field(default_factory=dict)


def spots(text: str) -> Mapping[KeyPath, Spot]:
    r"""Find every key and array item of a TOML document: `('env', 'A')`, `('files', 0)`, `('apt-sources', 1, 'uri')`.

    The text must be valid TOML (with '\n' line ends, or '\r\n'). Deep nesting raises `RecursionError`.
    """
    walk = _Walk(text.replace("\r\n", "\n"))
    index, table = 0, KeyPath()
    while (index := _after(_BLANK, walk.text, index)) < len(walk.text):
        if walk.text[index] == "[":
            index, table = _header(walk, index)
        else:
            index = _pair(walk, index, table)
    starts = [0, *(match.end() for match in re.finditer(r"\n", walk.text))]
    return {path: Spot(_position(starts, key), _position(starts, value)) for path, (key, value) in walk.spots.items()}


def _position(starts: list[int], index: int) -> Position:
    low, high = 0, len(starts)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if starts[middle] <= index else (low, middle)
    return Position(low + 1, index - starts[low] + 1)


def _after(pattern: re.Pattern[str], text: str, index: int) -> int:
    match = pattern.match(text, index)
    return match.end() if match else index


def _header(walk: _Walk, index: int) -> tuple[int, KeyPath]:
    """Read `[a.b]` or `[[a.b]]`; return what follows it and the table that its pairs go into."""
    brackets = 2 if walk.text.startswith("[[", index) else 1
    index, keys = _keys(walk, _after(_SPACE, walk.text, index + brackets))
    path = KeyPath()
    for number, (key, start) in enumerate(keys, 1):
        path = (*path, key)
        walk.spots.setdefault(path, (start, start))
        if brackets == 2 and number == len(keys):  # noqa: PLR2004 - [[…]]
            walk.tables[path] = walk.tables.get(path, 0) + 1
        if path in walk.tables:
            path = (*path, walk.tables[path] - 1)
            walk.spots.setdefault(path, (start, start))
    return index + brackets, path


def _pair(walk: _Walk, index: int, table: KeyPath) -> int:
    """Read `a.b = value` into `table`; return what follows it."""
    index, keys = _keys(walk, index)
    value = _after(_SPACE, walk.text, index + 1)
    path = table
    for key, start in keys:
        path = (*path, key)
        walk.spots.setdefault(path, (start, value))
    return _value(walk, value, path)


def _keys(walk: _Walk, index: int) -> tuple[int, list[tuple[str, int]]]:
    """Read a dotted key; return what follows it (and its spaces) and each part with its place."""
    keys: list[tuple[str, int]] = []
    while match := _KEY.match(walk.text, index):
        word = match.group()
        # tomllib itself undoes the escapes of a quoted key
        keys.append((tomllib.loads(f"k = {word}")["k"] if word[0] in "\"'" else word, index))
        index = _after(_SPACE, walk.text, match.end())
        if walk.text[index : index + 1] != ".":
            break
        index = _after(_SPACE, walk.text, index + 1)
    return index, keys


def _value(walk: _Walk, index: int, path: KeyPath) -> int:
    match walk.text[index : index + 1]:
        case "[":
            return _array(walk, index + 1, path)
        case "{":
            return _inline_table(walk, index + 1, path)
        case '"' | "'":
            return _after(_STRING, walk.text, index)
        case _:
            return _after(_BARE, walk.text, index)


def _array(walk: _Walk, index: int, path: KeyPath) -> int:
    number = 0
    while (index := _after(_BLANK, walk.text, index)) < len(walk.text) and walk.text[index] != "]":
        walk.spots[(*path, number)] = (index, index)
        index = _after(_BLANK, walk.text, _value(walk, index, (*path, number)))
        index += walk.text[index : index + 1] == ","
        number += 1
    return index + 1


def _inline_table(walk: _Walk, index: int, path: KeyPath) -> int:
    while (index := _after(_BLANK, walk.text, index)) < len(walk.text) and walk.text[index] != "}":
        index = _after(_BLANK, walk.text, _pair(walk, index, path))
        index += walk.text[index : index + 1] == ","
    return index + 1
