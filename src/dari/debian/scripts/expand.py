"""From words to fields: parameters, substitutions, splitting, patterns (XCU 2.6)."""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Final, Protocol

from dari.debian.scripts.doubt import UNKNOWN, Doubt, Text
from dari.debian.scripts.syntax import Arithmetic, Literal, Parameter, Sequence, Substitution, Word

_GLOB: Final = re.compile(r"[*?\[]")


class Shell(Protocol):
    """What expansion asks of the machine."""

    def value(self, name: str) -> Text | None:
        """Return a parameter's value; None where it is unset."""
        ...

    def assign(self, name: str, value: Text) -> None:
        """Set a parameter."""
        ...

    def positional(self) -> tuple[Text, ...]:
        """Return "$@"."""
        ...

    def substitute(self, body: Sequence) -> Text:
        """Run a command substitution and return its output."""
        ...

    def paths(self, pattern: str) -> tuple[str, ...]:
        """Return what a pattern matches among the files."""
        ...


def text_of(shell: Shell, word: Word) -> Text:
    """Expand a word to one text: no splitting, no patterns (assignments, redirections, case)."""
    values = [_value(shell, part) for part in word]
    return "".join(value for value in values if isinstance(value, str)) if _known(values) else UNKNOWN


def fields_of(shell: Shell, words: Iterable[Word]) -> tuple[Text, ...]:
    """Expand words to the fields of a command."""
    return tuple(field for word in words for field in _fields(shell, word))


def pattern_of(shell: Shell, word: Word) -> re.Pattern[str] | None:
    """Return what a case pattern matches; None where it isn't known."""
    source = _pattern_source(shell, word)
    return re.compile(translate(source), re.DOTALL) if isinstance(source, str) else None


def _known(values: Iterable[Text]) -> bool:
    return not any(isinstance(value, Doubt) for value in values)


def _fields(shell: Shell, word: Word) -> list[Text]:
    if not shell.positional() and _is_all_arguments(word):
        return []
    done: list[Text] = []
    current: list[tuple[Text, bool]] = []
    for part in word:
        if isinstance(part, Parameter) and part.name == "@" and part.quoted and not part.operator:
            pieces = [[(value, True)] for value in shell.positional()]
        else:
            pieces = _split(_value(shell, part), part)
        for number, piece in enumerate(pieces):
            if number:
                done.extend(_finished(shell, current))
                current = []
            current = [*current, *piece]
    return done + _finished(shell, current)


def _split(value: Text, part: Literal | Parameter | Substitution | Arithmetic) -> list[list[tuple[Text, bool]]]:
    """Cut an unquoted expansion at its blanks; a blank at an end cuts it off from its neighbour."""
    if part.quoted or isinstance(part, Literal) or isinstance(value, Doubt):
        return [[(value, part.quoted)]] if part.quoted or value else [[]]
    pieces: list[list[tuple[Text, bool]]] = [[(piece, False)] for piece in value.split()]
    return [
        *([[]] if value[:1].isspace() else []),
        *(pieces or [[]]),
        *([[]] if pieces and value[-1:].isspace() else []),
    ]


def _is_all_arguments(word: Word) -> bool:
    """Say whether a word is "$@" and nothing else: with no arguments it is no field, where "" is an empty one."""
    rest = [part for part in word if not (isinstance(part, Literal) and not part.text)]
    return len(rest) == 1 and isinstance(rest[0], Parameter) and rest[0].name == "@" and not rest[0].operator


def _finished(shell: Shell, pieces: list[tuple[Text, bool]]) -> list[Text]:
    if not pieces:
        return []
    if not _known(text for text, _ in pieces):
        return [UNKNOWN]
    text = "".join(text for text, _ in pieces if isinstance(text, str))
    if any(_GLOB.search(text) for text, quoted in pieces if isinstance(text, str) and not quoted):
        return list(shell.paths(text)) or [text]
    return [text]


def _value(shell: Shell, part: Literal | Parameter | Substitution | Arithmetic) -> Text:
    if isinstance(part, Literal):
        return part.text
    if isinstance(part, Arithmetic):
        return UNKNOWN
    if isinstance(part, Substitution):
        output = shell.substitute(part.body)
        return output.rstrip("\n") if isinstance(output, str) else UNKNOWN
    if part.name in {"@", "*"}:
        values = shell.positional()
        return " ".join(value for value in values if isinstance(value, str)) if _known(values) else UNKNOWN
    return _parameter(shell, part)


def _parameter(shell: Shell, part: Parameter) -> Text:
    value = shell.value(part.name)
    if isinstance(value, Doubt):
        return UNKNOWN
    if part.operator in {"", "len"}:
        return (value or "") if not part.operator else str(len(value or ""))
    if part.operator[0] in "#%":
        return _trimmed(shell, value or "", part)
    missing = value is None or (part.operator.startswith(":") and not value)
    if part.operator.endswith("+"):
        return "" if missing else text_of(shell, part.word)
    if not missing:
        return value or ""
    replacement = text_of(shell, part.word)
    if part.operator.endswith("="):
        shell.assign(part.name, replacement)
    return replacement


def _trimmed(shell: Shell, value: str, part: Parameter) -> Text:
    source = _pattern_source(shell, part.word)
    if isinstance(source, Doubt):
        return UNKNOWN
    matches: Callable[[str], object] = re.compile(translate(source), re.DOTALL).match
    places = range(len(value) + 1)
    if part.operator.startswith("#"):
        order = places if part.operator == "#" else reversed(places)
        return next((value[place:] for place in order if matches(value[:place])), value)
    order = reversed(places) if part.operator == "%" else places
    return next((value[:place] for place in order if matches(value[place:])), value)


def _pattern_source(shell: Shell, word: Word) -> Text:
    source = []
    for part in word:
        value = _value(shell, part)
        if isinstance(value, Doubt):
            return UNKNOWN
        quoted = part.quoted or (isinstance(part, Literal) and part.quoted)
        source.append(_GLOB.sub(lambda match: f"[{match[0]}]", value) if quoted else value)
    return "".join(source)
