"""dpkg's own little databases as scripts ask and change them: versions, diversions, overrides (dpkg(1) and friends)."""

from collections.abc import Mapping
from typing import Final

from dari.debian.scripts.accounts import group_id, user_id
from dari.debian.scripts.builtin import known
from dari.debian.scripts.doubt import UNKNOWN, Doubt, Outcome, Refused, Text
from dari.debian.scripts.query import query
from dari.debian.scripts.state import Handler, Input, Machine
from dari.values.debian import DebianVersion
from dari.values.malformed import Malformed

_DIVERSIONS: Final = "/var/lib/dpkg/diversions"
_OVERRIDES: Final = "/var/lib/dpkg/statoverride"
# What each comparison says when the first version is the lesser, equal, greater; and when the first is empty, both
# are, the second is (dpkg's src/main/enquiry.c, cmpversions).
_COMPARISONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("le", "<", "<="), "110110"),
    **dict.fromkeys(("lt", "<<"), "100100"),
    **dict.fromkeys(("eq", "="), "010010"),
    "ne": "101101",
    **dict.fromkeys(("ge", ">", ">="), "011011"),
    **dict.fromkeys(("gt", ">>"), "001001"),
    "le-nl": "110011",
    "lt-nl": "100001",
    "ge-nl": "011110",
    "gt-nl": "001100",
}
_QUESTIONS: Final = frozenset({"-s", "-l", "-L", "-S", "-W", "--status", "--list", "--listfiles", "--search", "--show"})
_ROW: Final = 3
_OVERRIDE: Final = 4


def database_commands(architecture: str) -> Mapping[str, Handler]:
    """Return the handlers by name; `architecture` is Debian's name of the image's own."""

    def dpkg(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
        if arguments[:1] == ("--compare-versions",):
            return _compare(arguments[1:])
        if arguments[:1] == ("--print-architecture",):
            return Outcome(0, f"{architecture}\n")
        if arguments[:1] and arguments[0] in _QUESTIONS:
            return query(machine, arguments, stdin)
        raise Refused("it calls dpkg")

    return {
        "dpkg": dpkg,
        "dpkg-divert": _divert,
        "dpkg-maintscript-helper": _maintscript_helper,
        "dpkg-query": query,
        "dpkg-realpath": _realpath,
        "dpkg-statoverride": _override,
    }


def _compare(arguments: tuple[Text, ...]) -> Outcome:
    if any(isinstance(argument, Doubt) for argument in arguments):
        return Outcome(None)
    first, name, second = known(arguments)
    if name not in _COMPARISONS:
        raise Refused(f"a comparison {name!r} that dari doesn't know")
    if not first or not second:
        place = 3 + bool(not second) + bool(first)
    else:
        try:
            have, want = DebianVersion.parse(first), DebianVersion.parse(second)
        except Malformed:
            return Outcome(1)
        place = 0 if have < want else 2 if have > want else 1
    return Outcome(int(_COMPARISONS[name][place] == "0"))


def _rows(machine: Machine, path: str, size: int) -> list[tuple[str, ...]]:
    content = machine.view.read(path)
    lines = content.decode("utf-8", "surrogateescape").splitlines() if isinstance(content, bytes) else []
    if path == _OVERRIDES:
        return [tuple(line.split(None, size - 1)) for line in lines if line]
    return [tuple(lines[place : place + size]) for place in range(0, len(lines) - size + 1, size)]


def _divert(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = dict[str, str](), list[str]()
    words = iter(known(arguments))
    for word in words:
        if word in {"--package", "--divert"}:
            options[word] = next(words, "")
        elif word.startswith("--"):
            options[word] = ""
        else:
            operands.append(word)
    path = operands[0] if operands else ""
    rows = _rows(machine, _DIVERSIONS, _ROW)
    present = next((row for row in rows if row[0] == path), None)
    if "--list" in options:
        return Outcome(0, "".join(f"diversion of {row[0]} to {row[1]} by {row[2]}\n" for row in rows))
    if "--listpackage" in options:
        return Outcome(0, f"{'LOCAL' if present[2] == ':' else present[2]}\n" if present else "")
    if "--truename" in options:
        return Outcome(0, f"{present[1] if present else path}\n")
    if "--remove" in options:
        if present is None:
            return Outcome(0)
        raise Refused(f"it takes back the diversion of {path}")
    if present is not None:
        return Outcome(0)
    machine.effect()
    target = options.get("--divert", f"{path}.distrib")
    calling = machine.variables.get("DPKG_MAINTSCRIPT_PACKAGE", ":")
    package = ":" if "--local" in options else options.get("--package", str(calling))
    text = "".join(f"{line}\n" for row in (*rows, (path, target, package)) for line in row)
    machine.view.write(_DIVERSIONS, text.encode("utf-8", "surrogateescape"))
    return Outcome(0)


def _override(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    words = known(arguments)
    operands = [word for word in words if not word.startswith("-")]
    rows = _rows(machine, _OVERRIDES, _OVERRIDE)
    if "--list" in words:
        found = [row for row in rows if not operands or row[-1] in operands]
        return Outcome(0 if found else 1, "".join(f"{' '.join(row)}\n" for row in found))
    if "--add" not in words or len(operands) != _OVERRIDE:
        raise Refused("it changes overrides in a way that dari doesn't know")
    machine.effect()
    user, group, mode, path = operands
    text = "".join(f"{' '.join(row)}\n" for row in (*rows, tuple(operands)))
    machine.view.write(_OVERRIDES, text.encode("utf-8", "surrogateescape"))
    if "--update" in words:
        machine.view.modify(path, mode=int(mode, 8), uid=user_id(machine, user), gid=group_id(machine, group))
    return Outcome(0)


def _maintscript_helper(_: Machine, arguments: tuple[Text, ...], __: Input) -> Outcome:
    """On a first installation each of these does nothing (dpkg-maintscript-helper(1): they act on an older version)."""
    actions = {"rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink", "supports"}
    if not arguments or arguments[0] not in actions:
        raise Refused("dpkg-maintscript-helper is asked for something that dari doesn't know")
    return Outcome(0)


def _realpath(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    operands = [word for word in known(arguments) if not word.startswith("-")]
    entry = machine.view.find(machine.path(operands[-1]))
    return Outcome(None, UNKNOWN) if entry is None or isinstance(entry, Doubt) else Outcome(0, f"/{entry.path}\n")
