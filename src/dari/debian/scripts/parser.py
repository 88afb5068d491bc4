"""From a maintainer script's text to its tree. What isn't read exactly isn't read at all: it raises."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from dari.debian.scripts.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Literal,
    Pipeline,
    Redirected,
    Redirection,
    Sequence,
    Simple,
    While,
    Word,
)
from dari.debian.scripts.words import Reader, expandable, read_word

_RESERVED: Final = frozenset(
    ["if", "then", "elif", "else", "fi", "case", "esac", "for", "while", "until", "do", "done", "{", "}", "!", "in"]
)
_CLOSING: Final = frozenset(["then", "elif", "else", "fi", "do", "done", "esac", "}"])
_REDIRECTION: Final = re.compile(r"(?P<descriptor>\d?)(?P<operator><<-|<<|<&|>&|>>|>\||<>|<|>)")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
_FUNCTION: Final = re.compile(r"(?:function[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*\([ \t]*\)", re.ASCII)
_KEYWORD: Final = re.compile(r"[a-z]+(?=[\s;&|()<>]|$)|[{}!](?=[\s;&|()<>]|$)")


def parse(text: str) -> Sequence:
    """Read a whole script. Raises `Unreadable`."""
    reader = Reader(text if text.endswith("\n") else f"{text}\n")
    body = _sequence(reader)
    if reader.place < len(reader.text):
        raise reader.fail(f"{reader.peek(20)!r} is out of place")
    return body


def _nested(reader: Reader, closing: str) -> Sequence:
    body = _sequence(reader)
    if closing:
        _expect(reader, closing)
    return body


def _sequence(reader: Reader) -> Sequence:
    commands: list[Command] = []
    while True:
        _skip_lines(reader)
        if not reader.peek() or reader.peek() == ")" or reader.peek(2) == ";;" or _keyword(reader) in _CLOSING:
            return Sequence(tuple(commands))
        commands.append(_and_or(reader))
        reader.skip_blanks()
        if reader.peek() in {";", "&"} and reader.peek(2) != ";;":
            reader.place += 1


def _skip_lines(reader: Reader) -> None:
    reader.skip_blanks()
    while reader.peek() == "\n":
        reader.place += 1
        reader.skip_blanks()


def _keyword(reader: Reader) -> str:
    match = _KEYWORD.match(reader.text, reader.place)
    return match[0] if match and match[0] in _RESERVED else ""


def _expect(reader: Reader, token: str) -> None:
    _skip_lines(reader)
    if not reader.text.startswith(token, reader.place):
        raise reader.fail(f"{token!r} is missing")
    reader.place += len(token)


def _and_or(reader: Reader) -> Command:
    first = _pipeline(reader)
    rest = []
    reader.skip_blanks()
    while reader.peek(2) in {"&&", "||"}:
        operator = reader.peek(2)
        reader.place += 2
        _skip_lines(reader)
        rest.append((operator, _pipeline(reader)))
        reader.skip_blanks()
    return AndOr(first, tuple(rest)) if rest else first


def _pipeline(reader: Reader) -> Command:
    reader.skip_blanks()
    negated = _keyword(reader) == "!"
    if negated:
        reader.place += 1
    commands = [_command(reader)]
    reader.skip_blanks()
    while reader.peek() == "|" and reader.peek(2) != "||":
        reader.place += 1
        _skip_lines(reader)
        commands.append(_command(reader))
        reader.skip_blanks()
    return Pipeline(tuple(commands), negated) if negated or len(commands) > 1 else commands[0]


def _command(reader: Reader) -> Command:
    reader.skip_blanks()
    compound = _compound(reader)
    if compound is None:
        function = _FUNCTION.match(reader.text, reader.place)
        if not function:
            return _simple(reader)
        reader.place = function.end()
        _skip_lines(reader)
        return Function(function[1], _command(reader))
    redirections = []
    reader.skip_blanks()
    while redirection := _redirection(reader):
        redirections.append(redirection)
        reader.skip_blanks()
    return Redirected(compound, tuple(redirections)) if redirections else compound


def _compound(reader: Reader) -> Command | None:
    keyword = "(" if reader.peek() == "(" else _keyword(reader)
    reading = _COMPOUNDS.get(keyword)
    if reading is None:
        return None
    reader.place += len(keyword)
    return reading(reader)


def _group(reader: Reader) -> Group:
    body = _sequence(reader)
    _expect(reader, "}")
    return Group(body, subshell=False)


def _parenthesised(reader: Reader) -> Group:
    body = _sequence(reader)
    _expect(reader, ")")
    return Group(body, subshell=True)


def _while(reader: Reader) -> While:
    condition = _sequence(reader)
    return While(condition, _do(reader), until=False)


def _until(reader: Reader) -> While:
    condition = _sequence(reader)
    return While(condition, _do(reader), until=True)


def _if(reader: Reader) -> If:
    branches = []
    otherwise = Sequence(())
    keyword = "if"
    while keyword in {"if", "elif"}:
        condition = _sequence(reader)
        _expect(reader, "then")
        branches.append((condition, _sequence(reader)))
        keyword = _keyword(reader)
        reader.place += len(keyword)
    if keyword == "else":
        otherwise = _sequence(reader)
        _expect(reader, "fi")
    elif keyword != "fi":
        raise reader.fail("an if has no fi")
    return If(tuple(branches), otherwise)


def _case(reader: Reader) -> Case:
    reader.skip_blanks()
    word = read_word(reader, _nested)
    _expect(reader, "in")
    arms = []
    _skip_lines(reader)
    while _keyword(reader) != "esac":
        if reader.peek() == "(":
            reader.place += 1
        patterns = [_pattern(reader)]
        while reader.peek() == "|":
            reader.place += 1
            patterns.append(_pattern(reader))
        _expect(reader, ")")
        arms.append((tuple(patterns), _sequence(reader)))
        if reader.peek(2) == ";;":
            reader.place += 2
        _skip_lines(reader)
        if not reader.peek():
            raise reader.fail("a case has no esac")
    reader.place += len("esac")
    return Case(word, tuple(arms))


def _pattern(reader: Reader) -> Word:
    _skip_lines(reader)
    word = read_word(reader, _nested)
    reader.skip_blanks()
    if not word:
        raise reader.fail("a pattern is missing")
    return word


def _for(reader: Reader) -> For:
    reader.skip_blanks()
    name = "".join(part.text for part in read_word(reader, _nested) if isinstance(part, Literal))
    _skip_lines(reader)
    words: list[Word] | None = None
    if _keyword(reader) == "in":
        reader.place += len("in")
        words = []
        reader.skip_blanks()
        while word := read_word(reader, _nested):
            words.append(word)
            reader.skip_blanks()
    reader.skip_blanks()
    if reader.peek() == ";":
        reader.place += 1
    return For(name, None if words is None else tuple(words), _do(reader))


def _do(reader: Reader) -> Sequence:
    _expect(reader, "do")
    body = _sequence(reader)
    _expect(reader, "done")
    return body


def _simple(reader: Reader) -> Simple:
    start, line = reader.place, reader.line
    assignments: list[tuple[str, Word]] = []
    words: list[Word] = []
    redirections: list[Redirection] = []
    while True:
        reader.skip_blanks()
        if redirection := _redirection(reader):
            redirections.append(redirection)
            continue
        assignment = None if words else _ASSIGNMENT.match(reader.text, reader.place)
        if assignment:
            reader.place = assignment.end()
            assignments.append((assignment[1], read_word(reader, _nested)))
        elif word := read_word(reader, _nested):
            words.append(word)
        else:
            break
    if reader.place == start:
        raise reader.fail(f"{reader.peek(20)!r} is out of place")
    text = " ".join(reader.text[start : reader.place].replace("\\\n", " ").split())
    return Simple(tuple(assignments), tuple(words), tuple(redirections), line, text)


def _redirection(reader: Reader) -> Redirection | None:
    match = _REDIRECTION.match(reader.text, reader.place)
    if not match:
        return None
    reader.place = match.end()
    reader.skip_blanks()
    operator = match["operator"].replace(">|", ">")
    descriptor = int(match["descriptor"] or (0 if operator.startswith("<") else 1))
    start = reader.place
    word = read_word(reader, _nested)
    if not word:
        raise reader.fail("a redirection leads nowhere")
    if not operator.startswith("<<"):
        return Redirection(descriptor, operator, word)
    delimiter = "".join(part.text for part in word if isinstance(part, Literal))
    quoted = any(character in reader.text[start : reader.place] for character in "'\"\\")
    return _here_document(reader, delimiter, quoted=quoted, indented=operator == "<<-")


def _here_document(reader: Reader, delimiter: str, *, quoted: bool, indented: bool) -> Redirection:
    """Take the text of a here-document out of the lines that follow, at once: the tree is then complete."""
    end_of_line = reader.text.find("\n", reader.place)
    lines = reader.text[end_of_line + 1 :].split("\n")
    body: list[str] = []
    for number, line in enumerate(lines):
        text = line.lstrip("\t") if indented else line
        if text == delimiter:
            rest = "\n".join(lines[number + 1 :])
            reader.text = f"{reader.text[: end_of_line + 1]}{rest}"
            reader.taken += number + 1
            content = "".join(f"{each}\n" for each in body)
            word = (Literal(content, quoted=True),) if quoted else expandable(content, _nested)
            return Redirection(0, "<<", word)
        body.append(text)
    raise reader.fail("a here-document has no end")


_COMPOUNDS: Final[Mapping[str, Callable[[Reader], Command]]] = {
    "(": _parenthesised,
    "{": _group,
    "if": _if,
    "case": _case,
    "for": _for,
    "while": _while,
    "until": _until,
}
