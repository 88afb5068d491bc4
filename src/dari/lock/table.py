"""One TOML table, read strictly: each member once, of its kind, and nothing left over."""

from collections.abc import Mapping
from typing import Any, TypeVar

from dari.values.digest import Digest
from dari.values.malformed import Malformed
from dari.values.platform import Platform

T = TypeVar("T")


class Table:
    """A table on its way into a value. Every method raises `Malformed` (DARI-LOCK-MALFORMED), naming the place."""

    def __init__(self, document: Mapping[str, Any], where: str) -> None:
        self._document = document
        self._where = where
        self._read: set[str] = set()

    def has(self, name: str) -> bool:
        """Say whether there is such a member."""
        return name in self._document

    def text(self, name: str) -> str:
        """Return a text."""
        return self._member(name, str)

    def number(self, name: str) -> int:
        """Return a number that isn't negative."""
        value = self._member(name, int)
        if isinstance(value, bool) or value < 0:
            raise self.malformed(name, "a number, 0 or more")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self._member(name, list)
        if not all(isinstance(value, str) for value in values):
            raise self.malformed(name, "a list of texts")
        return tuple(values)

    def path(self, name: str) -> str:
        """Return a path inside the image, without a leading slash; '' is the root. It can't climb out of it."""
        text = self.text(name)
        if text and not _is_path(text):
            raise self.malformed(name, "a path inside the image")
        return text

    def program(self, name: str) -> str:
        """Return the absolute path of a program, as the first line of a script can name it."""
        text = self.text(name)
        if not (text.startswith("/") and _is_path(text[1:])) or any(sign.isspace() for sign in text):
            raise self.malformed(name, "the absolute path of a program")
        return text

    def pair(self, name: str) -> tuple[int, int]:
        """Return two numbers written as `3.12`."""
        major, _, minor = self.text(name).partition(".")
        if not (major.isascii() and minor.isascii() and major.isdecimal() and minor.isdecimal()):
            raise self.malformed(name, "two numbers with a dot")
        return int(major), int(minor)

    def digest(self, name: str) -> Digest:
        """Return a digest."""
        try:
            return Digest.parse(self.text(name))
        except Malformed as error:
            if error.id == "DARI-LOCK-MALFORMED":
                raise
            raise self.malformed(name, "a digest") from error

    def platform(self, name: str) -> Platform:
        """Return a platform."""
        try:
            return Platform.parse(self.text(name))
        except Malformed as error:
            if error.id == "DARI-LOCK-MALFORMED":
                raise
            raise self.malformed(name, "a platform that dari builds for") from error

    def table(self, name: str) -> "Table":
        """Return a table inside this one."""
        return Table(self._member(name, dict), f"{self._where}: {name}")

    def optional_table(self, name: str) -> "Table | None":
        """Return a table inside this one, or None where there is none."""
        return self.table(name) if self.has(name) else None

    def tables(self, name: str) -> tuple["Table", ...]:
        """Return a list of tables, empty where there is none."""
        if not self.has(name):
            return ()
        values = self._member(name, list)
        if not all(isinstance(value, dict) for value in values):
            raise self.malformed(name, "a list of tables")
        return tuple(Table(value, f"{self._where}: {name} {number}") for number, value in enumerate(values, start=1))

    def finish(self) -> None:
        """Refuse members that nobody read."""
        unknown = sorted(self._document.keys() - self._read)
        if unknown:
            raise Malformed(
                "DARI-LOCK-MALFORMED",
                f"{self._where} has a member {unknown[0]!r} that this dari doesn't know",
                hint="run `dari lock` again",
            )

    def malformed(self, name: str, wanted: str) -> Malformed:
        """Return the error for a member that isn't what it must be."""
        return Malformed(
            "DARI-LOCK-MALFORMED",
            f"{self._where}: {name!r} is not {wanted}",
            hint="run `dari lock` again; the lock is not written by hand",
        )

    def _member(self, name: str, kind: type[T]) -> T:
        value = self._document.get(name)
        self._read.add(name)
        if not isinstance(value, kind):
            raise self.malformed(name, {str: "a text", int: "a number", list: "a list", dict: "a table"}[kind])
        return value


def _is_path(text: str) -> bool:
    return "\0" not in text and not {"", ".", ".."}.intersection(text.split("/"))
