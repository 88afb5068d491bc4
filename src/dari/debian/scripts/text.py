"""Commands that only look: a few are worked out, of the others nothing is known, and no harm done."""

import re
from collections.abc import Mapping
from typing import Final

from dari.debian.scripts.builtin import known
from dari.debian.scripts.doubt import UNKNOWN, Doubt, Outcome, Text
from dari.debian.scripts.state import Handler, Input, Machine
from dari.values.entry import Entry, Kind

_UNKNOWABLE: Final = [
    "awk",
    "cmp",
    "comm",
    "cut",
    "date",
    "deb-systemd-escape",
    "df",
    "diff",
    "dpkg-architecture",
    "dpkg-vendor",
    "egrep",
    "env",
    "expr",
    "fgrep",
    "file",
    "find",
    "getconf",
    "head",
    "hostname",
    "id",
    "ischroot",
    "locale",
    "logname",
    "md5sum",
    "mountpoint",
    "nproc",
    "od",
    "pidof",
    "ps",
    "pwd",
    "realpath",
    "seq",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "sleep",
    "sort",
    "stat",
    "systemd-detect-virt",
    "tail",
    "tr",
    "tty",
    "uniq",
    "wc",
    "whoami",
]
_PLAIN_SED: Final = re.compile(r"[\w @:;,=%-]+")
_PLAIN: Final = re.compile(r"\^?[\w /:.@+-]*\$?")


def text_commands() -> Mapping[str, Handler]:
    """Return the handlers by name."""
    return {
        **dict.fromkeys(_UNKNOWABLE, _unknowable),
        "getcap": lambda *_: Outcome(0),
        "grep": _grep,
        "ls": _ls,
        "readlink": _readlink,
        "sed": _sed,
        "uname": lambda _, arguments, __: Outcome(0, UNKNOWN if arguments not in {(), ("-s",)} else "Linux\n"),
        # An entry of a layer has no capabilities; scripts fall back to set-user-id where setcap fails.
        "setcap": lambda *_: Outcome(1),
        "mktemp": lambda *_: Outcome(0, "/tmp/dari\n"),  # noqa: S108 - a name in the image that is; nothing is made
    }


def _unknowable(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    del machine, arguments, stdin
    return Outcome(None, UNKNOWN)


def _grep(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    if any(isinstance(argument, Doubt) for argument in arguments):
        return Outcome(None, UNKNOWN)
    operands = [word for word in known(arguments) if not word.startswith("-")]
    options = "".join(word for word in known(arguments) if word.startswith("-"))
    if set(options) - set("-qsxF") or not operands or not _PLAIN.fullmatch(operands[0]) or len(operands) > 2:  # noqa: PLR2004 - pattern and file
        return Outcome(None, UNKNOWN)
    text = stdin.all() if len(operands) == 1 else _content(machine, operands[1])
    if text is None:
        return Outcome(2)
    if isinstance(text, Doubt):
        return Outcome(None, UNKNOWN)
    pattern = re.compile(re.escape(operands[0]) if "F" in options else operands[0].replace("+", r"\+"))
    matches = pattern.fullmatch if "x" in options else pattern.search
    found = [line for line in text.splitlines() if matches(line)]
    return Outcome(0 if found else 1, "" if "q" in options else "".join(f"{line}\n" for line in found))


def _content(machine: Machine, name: str) -> Text | None:
    content = machine.view.read(machine.path(name))
    return content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content


def _ls(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    if any(isinstance(argument, Doubt) for argument in arguments):
        return Outcome(None, UNKNOWN)
    found = [machine.view.find(machine.path(word)) for word in known(arguments) if not word.startswith("-")]
    if any(isinstance(entry, Doubt) for entry in found):
        return Outcome(None, UNKNOWN)
    return Outcome(0 if all(isinstance(entry, Entry) for entry in found) else 2, UNKNOWN)


def _sed(_: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    """Replace plain text; every other script of sed stays unknown."""
    expression = arguments[-1] if arguments and isinstance(arguments[-1], str) else ""
    parts = expression[2:].split(expression[1:2]) if expression[:1] == "s" and len(expression) > 1 else []
    text = stdin.all()
    plain = len(parts) == 3 and _PLAIN_SED.fullmatch(parts[0]) and not set(parts[1]) & {"&", "\\"}  # noqa: PLR2004
    if not plain or parts[2] not in {"", "g"} or len(arguments) != 1 or isinstance(text, Doubt):
        return Outcome(None, UNKNOWN)
    count = -1 if parts[2] else 1
    return Outcome(0, "".join(line.replace(parts[0], parts[1], count) for line in text.splitlines(keepends=True)))


def _readlink(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    if any(isinstance(argument, Doubt) for argument in arguments):
        return Outcome(None, UNKNOWN)
    options = [word for word in known(arguments) if word.startswith("-")]
    path = machine.path(known(arguments)[-1])
    entry = machine.view.find(path, follow=bool(options))
    if isinstance(entry, Doubt) or (entry is None and not machine.view.complete):
        return Outcome(None, UNKNOWN)
    if entry is None or (not options and entry.kind is not Kind.SYMLINK):
        return Outcome(1)
    return Outcome(0, f"/{entry.path}\n" if options else f"{entry.target}\n")
