"""One TOML file under reading: its values, where they stand, and everything that is wrong with them."""

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dari.errors import UsageError
from dari.survey.keys import Key, Kind, nearest_key
from dari.survey.positions import KeyPath, Position, Spot, spots

_WHERE: Final = re.compile(r" \((?:at line (?P<line>\d+), column (?P<column>\d+)|at end of document)\)$")
_START: Final = Position(1, 1)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong. Printed as compilers do: `dari.toml:7:1: …`."""

    file: str
    position: Position
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.position.line}:{self.position.column}: {self.text}"


@dataclass(frozen=True, slots=True)
class Document:
    """A table of a TOML file. `problems` gathers what is found wrong while it is read; `report` raises it."""

    path: Path
    table: Mapping[str, object]
    spots: Mapping[KeyPath, Spot]
    problems: list[Problem]
    prefix: KeyPath = ()

    def below(self, *path: str | int) -> "Document":
        """Return the table at `path` in this one: an empty one where no table stands there."""
        value: object = self.table
        for step in path:
            if isinstance(value, Mapping):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int):
                value = value[step]
        table = value if isinstance(value, Mapping) else {}
        return Document(self.path, table, self.spots, self.problems, (*self.prefix, *path))

    def complain(self, text: str, *path: str | int, at_key: bool = False) -> None:
        """Note that something is wrong with the value (or the key) at `path`."""
        spot = self.spots.get((*self.prefix, *path), Spot(_START, _START))
        self.problems.append(Problem(str(self.path), spot.key if at_key else spot.value, text))

    def check_keys(self, keys: tuple[Key, ...]) -> None:
        """Complain about every key that isn't one of `keys`, and about required ones that are missing."""
        for name in self.table.keys() - {key.name for key in keys}:
            meant = nearest_key(name, keys)
            self.complain(f"unknown key {name!r}" + (f"; did you mean {meant!r}?" if meant else ""), name, at_key=True)
        for key in keys:
            if key.required and key.name not in self.table:
                self.complain(f"{key.name!r} is missing", at_key=True)

    def text(self, name: str) -> str:
        """Return a text, empty where none is given."""
        value = self.table.get(name, "")
        if isinstance(value, str):
            return value
        self._mistyped(name, Kind.TEXT, value)
        return ""

    def texts(self, name: str, kind: Kind = Kind.TEXTS) -> tuple[tuple[int, str], ...]:
        """Return a list of texts with their numbers in the list, empty where none is given."""
        values = self.table.get(name, [])
        if not isinstance(values, list):
            self._mistyped(name, kind, values)
            return ()
        for number, value in enumerate(values):
            if not isinstance(value, str):
                self.complain(f"{name!r}: a text is wanted in this list, not {said(value)}", name, number)
        return tuple((number, value) for number, value in enumerate(values) if isinstance(value, str))

    def boolean(self, name: str) -> bool | None:
        """Return true or false, or None where neither is given."""
        value = self.table.get(name)
        if value is None or isinstance(value, bool):
            return value
        self._mistyped(name, Kind.BOOLEAN, value)
        return None

    def mapping(self, name: str) -> Mapping[str, str]:
        """Return a table of texts, sorted by name, empty where none is given."""
        values = self.table.get(name, {})
        if not isinstance(values, dict):
            self._mistyped(name, Kind.TABLE, values)
            return {}
        for key, value in values.items():
            if not isinstance(value, str):
                self.complain(f"'{name}.{key}': a text is wanted, not {said(value)}", name, key)
        return {key: value for key, value in sorted(values.items()) if isinstance(value, str)}

    def tables(self, name: str) -> tuple["Document", ...]:
        """Return an array of tables, empty where none is given."""
        values = self.table.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self._mistyped(name, Kind.TABLES, values)
            return ()
        return tuple(self.below(name, number) for number in range(len(values)))

    def _mistyped(self, name: str, kind: Kind, value: object) -> None:
        self.complain(f"{name!r}: {kind} is wanted, not {said(value)}", name)

    def report(self) -> None:
        """Raise `UsageError` (DARI-PROJECT-INVALID) with every problem found so far, a line each, in file order."""
        if self.problems:
            raise UsageError(
                "DARI-PROJECT-INVALID",
                "\n".join(str(problem) for problem in sorted(set(self.problems))),
                hint="docs/reference/dari-toml.md lists every key",
            )


def said(value: object) -> str:
    """Say what a value is, with the way to write it as text where that is probably what was meant."""
    match value:
        case bool():
            what, quoted = str(value).lower(), str(value).lower()
        case int() | float():
            what, quoted = f"the number {value}", str(value)
        case dt.date() | dt.time():
            what, quoted = "a date or time", value.isoformat()
        case str():
            what, quoted = "a text", ""  # never the text itself: it may be a secret
        case _:
            what, quoted = "a list" if isinstance(value, list) else "a table", ""
    return what + (f'; write "{quoted}" in quotes for a text' if quoted else "")


def read_document(path: Path) -> Document:
    """Read a TOML file. Raises `OSError`, or `UsageError` (DARI-PROJECT-INVALID) with line and column."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        position = Position(before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode("utf-8")) + 1)
        raise _not_toml(Problem(str(path), position, "this is not UTF-8")) from error
    try:
        return Document(path, tomllib.loads(text), spots(text), [])
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(Problem(str(path), *_syntax(str(error), text))) from error
    except RecursionError as error:
        raise _not_toml(Problem(str(path), _START, "it is nested too deeply")) from error


def _not_toml(problem: Problem) -> UsageError:
    return UsageError("DARI-PROJECT-INVALID", str(problem), hint="the file isn't TOML as it is: see https://toml.io")


def _syntax(message: str, text: str) -> tuple[Position, str]:
    """Take tomllib's message apart: where, and what."""
    match = _WHERE.search(message)
    what = message[: match.start()] if match else message
    what = what[:1].lower() + what[1:]
    if match and match["line"]:
        return Position(int(match["line"]), int(match["column"])), what
    lines = text.split("\n")
    return Position(len(lines), len(lines[-1]) + 1), what
