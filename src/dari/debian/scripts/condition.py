"""`test` and `[`: three answers, since a condition may not be known (XCU test)."""

import operator
from collections.abc import Callable, Mapping
from typing import Final

from dari.debian.scripts.doubt import Doubt, Outcome, Refused, Text
from dari.debian.scripts.state import Machine
from dari.values.entry import Entry, Kind

Answer = bool | None
_NUMBERS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-gt": operator.gt,
    "-ge": operator.ge,
    "-lt": operator.lt,
    "-le": operator.le,
}
_FILES: Final = frozenset({"-e", "-f", "-d", "-L", "-h", "-x", "-r", "-w", "-s", "-p", "-S", "-b", "-c", "-u", "-g"})
_UNARY: Final = _FILES | {"-n", "-z", "-t"}
_BINARY: Final = frozenset({"=", "==", "!=", "-nt", "-ot", "-ef", *_NUMBERS})
_THREE: Final = 3
_KINDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "-f": (Kind.FILE, Kind.HARDLINK),
    "-d": (Kind.DIRECTORY,),
    "-L": (Kind.SYMLINK,),
    "-h": (Kind.SYMLINK,),
}


def test(machine: Machine, arguments: tuple[Text, ...]) -> Outcome:
    """Evaluate a condition. Raises `Refused` for one that isn't of a known form."""
    answer, rest = _or(machine, arguments)
    if rest:
        raise Refused("a condition of a form that dari doesn't know")
    return Outcome(None if answer is None else int(not answer))


def either(first: Answer, second: Answer) -> Answer:
    """Return `or` of three-valued answers."""
    if first or second:
        return True
    return None if first is None or second is None else False


def both(first: Answer, second: Answer) -> Answer:
    """Return `and` of three-valued answers."""
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def _or(machine: Machine, arguments: tuple[Text, ...]) -> tuple[Answer, tuple[Text, ...]]:
    answer, rest = _and(machine, arguments)
    while rest[:1] == ("-o",):
        following, rest = _and(machine, rest[1:])
        answer = either(answer, following)
    return answer, rest


def _and(machine: Machine, arguments: tuple[Text, ...]) -> tuple[Answer, tuple[Text, ...]]:
    answer, rest = _primary(machine, arguments)
    while rest[:1] == ("-a",):
        following, rest = _primary(machine, rest[1:])
        answer = both(answer, following)
    return answer, rest


def _primary(machine: Machine, arguments: tuple[Text, ...]) -> tuple[Answer, tuple[Text, ...]]:
    if not arguments:
        return False, ()
    if len(arguments) >= _THREE and arguments[1] in _BINARY:
        return _compared(arguments[0], str(arguments[1]), arguments[2]), arguments[_THREE:]
    if arguments[0] == "!" and len(arguments) > 1:
        answer, rest = _primary(machine, arguments[1:])
        return (None if answer is None else not answer), rest
    if arguments[0] == "(":
        answer, rest = _or(machine, arguments[1:])
        return answer, rest[1:]
    if arguments[0] in _UNARY and len(arguments) > 1:
        return _unary(machine, str(arguments[0]), arguments[1]), arguments[2:]
    return (None if isinstance(arguments[0], Doubt) else bool(arguments[0])), arguments[1:]


def _compared(first: Text, name: str, second: Text) -> Answer:
    if isinstance(first, Doubt) or isinstance(second, Doubt) or name in {"-nt", "-ot", "-ef"}:
        return None
    if name in _NUMBERS:
        try:
            return _NUMBERS[name](int(first), int(second))
        except ValueError:
            return False
    return (first == second) is (name != "!=")


def _unary(machine: Machine, name: str, value: Text) -> Answer:
    if isinstance(value, Doubt):
        return None
    if name in {"-n", "-z"}:
        return bool(value) is (name == "-n")
    if name == "-t" or not value:
        return False
    entry = machine.view.find(machine.path(value), follow=name not in {"-L", "-h"})
    if isinstance(entry, Doubt):
        return None
    return entry is not None and _holds(name, entry)


def _holds(name: str, entry: Entry) -> bool:
    if name == "-s":
        return entry.size > 0
    if name == "-x":
        return entry.kind is Kind.DIRECTORY or bool(entry.mode & 0o111)
    return name in {"-e", "-r", "-w"} or entry.kind in _KINDS.get(name, ())
