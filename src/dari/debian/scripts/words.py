"""Reading words: quotes, parameters, substitutions. `Reader` is the place in the text that all of the parser shares."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dari.debian.scripts.syntax import Arithmetic, Literal, Parameter, Sequence, Substitution, Word

_NAME: Final = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]", re.ASCII)
_BRACED: Final = re.compile(
    r"\{(?:#(?P<length>[A-Za-z_]\w*|[0-9@*])\}|(?P<name>[A-Za-z_]\w*|[0-9]+|[@*#?$!-])(?P<operator>:?[-+=?]|##?|%%?)?)",
    re.ASCII,
)
_BLANK: Final = re.compile(r"(?:[ \t\r]|\\\n)+|#[^\n]*")
END_OF_WORD: Final = frozenset(" \t\r\n;&|<>()")


class Unreadable(Exception):  # noqa: N818 - it reads as what it is, and never leaves this room
    """The text isn't shell that dari reads; says where."""


@dataclass(slots=True)
class Reader:
    """A script and the place reached in it; `taken` counts the lines of here-documents taken out before it."""

    text: str
    place: int = 0
    taken: int = 0

    @property
    def line(self) -> int:
        """The number of the line reached."""
        return self.text.count("\n", 0, self.place) + 1 + self.taken

    def peek(self, size: int = 1) -> str:
        """Return the next characters, fewer at the end."""
        return self.text[self.place : self.place + size]

    def skip_blanks(self) -> None:
        """Go past blanks, continued lines and a comment."""
        while match := _BLANK.match(self.text, self.place):
            if match[0].startswith("#") and self.place and self.text[self.place - 1] not in END_OF_WORD:
                return
            self.place = match.end()

    def fail(self, reason: str) -> Unreadable:
        """Return the error that says where reading stopped."""
        return Unreadable(f"line {self.line}: {reason}")


Substituted = Callable[[Reader, str], Sequence]


def read_word(reader: Reader, nested: Substituted) -> Word:
    """Read one word at the place reached; empty where none stands there."""
    parts: list[Literal | Parameter | Substitution | Arithmetic] = []
    while (character := reader.peek()) and character not in END_OF_WORD:
        if character == "'":
            end = reader.text.find("'", reader.place + 1)
            if end < 0:
                raise reader.fail("a ' is not closed")
            parts.append(Literal(reader.text[reader.place + 1 : end], quoted=True))
            reader.place = end + 1
        elif character == '"':
            reader.place += 1
            parts.extend(_until(reader, '"', nested))
            reader.place += 1
        elif character == "\\":
            if reader.peek(2) != "\\\n":
                parts.append(Literal(reader.peek(2)[1:], quoted=True))
            reader.place += 2
        elif character in "$`":
            parts.append(_dollar(reader, nested, quoted=False))
        else:
            start = reader.place
            while (character := reader.peek()) and character not in END_OF_WORD and character not in "'\"\\$`":
                reader.place += 1
            parts.append(Literal(reader.text[start : reader.place], quoted=False))
    return tuple(parts)


def expandable(text: str, nested: Substituted) -> Word:
    """Read the text of a here-document whose delimiter isn't quoted."""
    reader = Reader(text)
    return tuple(_until(reader, "", nested))


def _until(
    reader: Reader, closing: str, nested: Substituted, *, quoted: bool = True
) -> list[Literal | Parameter | Substitution | Arithmetic]:
    """Read double-quoted text up to `closing` (not past it); with '', up to the end. Patterns aren't `quoted`."""
    parts: list[Literal | Parameter | Substitution | Arithmetic] = [Literal("", quoted=True)]
    special = {"$", "`", "\\", closing}
    while (character := reader.peek()) != closing:
        if not character:
            raise reader.fail(f"a {closing} is not closed")
        if character == "\\":
            following = reader.peek(2)[1:]
            if following in {"$", "`", "\\", '"', "}"}:
                parts.append(Literal(following, quoted=True))
            elif following != "\n":
                parts.append(Literal(reader.peek(2), quoted=True))
            reader.place += 2
        elif character in "$`":
            parts.append(_dollar(reader, nested, quoted=True))
        else:
            start = reader.place
            while (character := reader.peek()) and character not in special:
                reader.place += 1
            parts.append(Literal(reader.text[start : reader.place], quoted))
    return parts


def _dollar(reader: Reader, nested: Substituted, *, quoted: bool) -> Literal | Parameter | Substitution | Arithmetic:
    if reader.peek() == "`":
        return _backticks(reader, nested, quoted=quoted)
    if reader.peek(3) == "$((":
        return _arithmetic(reader, quoted=quoted)
    if reader.peek(2) == "$(":
        reader.place += 2
        return Substitution(nested(reader, ")"), quoted)
    reader.place += 1
    return _parameter(reader, nested, quoted=quoted)


def _parameter(reader: Reader, nested: Substituted, *, quoted: bool) -> Literal | Parameter:
    if braced := _BRACED.match(reader.text, reader.place):
        reader.place = braced.end()
        if braced["length"]:
            return Parameter(braced["length"], "len", (), quoted)
        if not braced["operator"] and reader.peek() != "}":
            raise reader.fail("a ${…} that dari doesn't know")
        is_pattern = (braced["operator"] or "")[:1] in {"#", "%"}
        word = _until(reader, "}", nested, quoted=not is_pattern) if braced["operator"] else []
        reader.place += 1
        return Parameter(braced["name"], braced["operator"] or "", tuple(word), quoted)
    if name := _NAME.match(reader.text, reader.place):
        reader.place = name.end()
        return Parameter(name[0], "", (), quoted)
    return Literal("$", quoted)


def _backticks(reader: Reader, nested: Substituted, *, quoted: bool) -> Substitution:
    end = reader.place + 1
    while end < len(reader.text) and reader.text[end] != "`":
        end += 2 if reader.text[end] == "\\" else 1
    inner = re.sub(r"\\([$`\\])", r"\1", reader.text[reader.place + 1 : end])
    if end >= len(reader.text):
        raise reader.fail("a ` is not closed")
    reader.place = end + 1
    return Substitution(nested(Reader(inner), ""), quoted)


def _arithmetic(reader: Reader, *, quoted: bool) -> Arithmetic:
    start, depth = reader.place + 1, 0
    for place in range(start, len(reader.text)):
        depth += {"(": 1, ")": -1}.get(reader.text[place], 0)
        if not depth:
            text = reader.text[start : place + 1]
            reader.place = place + 1
            return Arithmetic(text, quoted)
    raise reader.fail("a $(( is not closed")
