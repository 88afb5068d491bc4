"""Users and groups: looking them up, and making a system group as adduser does (adduser.conf(5), group(5)).

Making users is refused: a package that needs one runs a service, which an image for training doesn't start.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from dari.debian.scripts.builtin import known
from dari.debian.scripts.doubt import UNKNOWN, Doubt, Outcome, Refused, Text
from dari.debian.scripts.state import Handler, Input, Machine

_FILES: Final = {"passwd": "/etc/passwd", "group": "/etc/group"}
_FIRST_SYSTEM_ID, _LAST_SYSTEM_ID = 100, 999
_VALUED: Final = frozenset({"-g", "--gid", "-K", "--key"})
_SHADOWED: Final = 0o640


def account_commands() -> Mapping[str, Handler]:
    """Return the handlers by name."""
    return {
        "getent": _getent,
        "addgroup": _add_group,
        "groupadd": _add_group,
        "shadowconfig": _shadowconfig,
        **dict.fromkeys(("adduser", "useradd", "usermod", "systemd-sysusers", "newusers"), _refused),
        **dict.fromkeys(("groupmod", "deluser", "delgroup", "userdel", "groupdel", "chpasswd"), _refused),
    }


def user_id(machine: Machine, name: str) -> int:
    """Return a user's number. Raises `Refused` where it can't be known."""
    return _id(machine, "passwd", name)


def group_id(machine: Machine, name: str) -> int:
    """Return a group's number. Raises `Refused` where it can't be known."""
    return _id(machine, "group", name)


def _id(machine: Machine, database: str, name: str) -> int:
    if name.isdecimal():
        return int(name)
    if name == "root":
        return 0
    for row in _rows(machine, database) or ():
        if row[0] == name:
            return int(row[2])
    raise Refused(f"the {'user' if database == 'passwd' else 'group'} {name!r} isn't known")


def _rows(machine: Machine, database: str) -> tuple[tuple[str, ...], ...] | None:
    content = machine.view.read(_FILES[database])
    if not isinstance(content, bytes):
        return None
    return tuple(tuple(line.split(":")) for line in content.decode("utf-8", "surrogateescape").splitlines() if line)


def _getent(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    if any(isinstance(argument, Doubt) for argument in arguments) or not arguments or arguments[0] not in _FILES:
        return Outcome(None, UNKNOWN)
    database, *names = known(arguments)
    rows = _rows(machine, database)
    if rows is None:
        return Outcome(None, UNKNOWN)
    found = [row for row in rows if not names or row[0] in names or row[2] in names]
    return Outcome(0 if found or not names else 2, "".join(f"{':'.join(row)}\n" for row in found))


def _add_group(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = dict[str, str](), list[str]()
    words = iter(known(arguments))
    for word in words:
        if word.startswith("-"):
            options[word] = next(words, "") if word in _VALUED else ""
        else:
            operands.append(word)
    wanted = options.get("-g") or options.get("--gid") or ""
    if len(operands) != 1 or not (options.keys() & {"--system", "-r"} or wanted):
        raise Refused("it makes a group that isn't a system group")
    rows = _rows(machine, "group")
    if rows is None:
        raise Refused("it makes a group, and the base's /etc/group isn't known")
    if any(row[0] == operands[0] for row in rows):
        return Outcome(0)
    machine.effect()
    number = int(wanted) if wanted else next(_free({int(row[2]) for row in rows}))
    _append(machine, "/etc/group", f"{operands[0]}:x:{number}:\n")
    if isinstance(machine.view.read("/etc/gshadow"), bytes):
        _append(machine, "/etc/gshadow", f"{operands[0]}:!::\n")
    return Outcome(0)


def _free(taken: set[int]) -> Iterator[int]:
    yield from (number for number in range(_FIRST_SYSTEM_ID, _LAST_SYSTEM_ID + 1) if number not in taken)
    raise Refused("no number for a system group is free")


def _append(machine: Machine, path: str, line: str) -> None:
    before = machine.view.read(path)
    machine.view.write(path, (before if isinstance(before, bytes) else b"") + line.encode())


def _shadowconfig(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    """Move passwords to shadow and gshadow, with no dates: an image has no day of birth (shadow(5), gshadow(5))."""
    users, groups = _rows(machine, "passwd"), _rows(machine, "group")
    if known(arguments) != ("on",) or users is None or groups is None:
        raise Refused("it changes how passwords are kept, and the base's accounts aren't known")
    machine.effect()
    shadow = group_id(machine, "shadow")
    for path, content in (
        ("/etc/shadow", "".join(f"{row[0]}:{row[1]}::0:99999:7:::\n" for row in users)),
        ("/etc/gshadow", "".join(f"{row[0]}:{row[1]}::{row[3]}\n" for row in groups)),
    ):
        machine.view.write(path, content.encode("utf-8", "surrogateescape"), mode=_SHADOWED)
        machine.view.modify(path, gid=shadow)
    for path, rows in (("/etc/passwd", users), ("/etc/group", groups)):
        moved = "".join(f"{':'.join((row[0], 'x', *row[2:]))}\n" for row in rows)
        machine.view.write(path, moved.encode("utf-8", "surrogateescape"))
    return Outcome(0)


def _refused(_: Machine, __: tuple[Text, ...], ___: Input) -> Outcome:
    raise Refused("it changes user accounts")
