"""/etc/shells: add-shell(8), and update-shells(8) of debianutils 5.

update-shells takes what packages list in shells.d, each shell also by the path that merged /usr gives it.
"""

from collections.abc import Iterator
from typing import Final

from dari.debian.part import placed
from dari.debian.scripts.builtin import known
from dari.debian.scripts.doubt import Outcome, Refused, Text
from dari.debian.scripts.state import Input, Machine

_SHELLS: Final = "/etc/shells"
_TEMPLATE: Final = "/usr/share/debianutils/shells"
_LISTS: Final = "/usr/share/debianutils/shells.d"
_STATE: Final = "/var/lib/shells.state"


def add_shell(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    """Add shells to /etc/shells where they aren't there yet."""
    lines = _lines(machine, _SHELLS)
    if lines is None:
        raise Refused("it adds a login shell, and the base's /etc/shells isn't known")
    added = [name for argument in known(arguments) for name in _names(machine, argument)]
    _write(machine, _SHELLS, [*lines, *(name for name in dict.fromkeys(added) if name not in lines)])
    return Outcome(0)


def update_shells(machine: Machine, _: tuple[Text, ...], __: Input) -> Outcome:
    """Bring /etc/shells in line with what packages list."""
    lines = _lines(machine, _SHELLS)
    if lines is None:
        if not machine.view.complete:
            raise Refused("it adds login shells, and the base's /etc/shells isn't known")
        lines = _lines(machine, _TEMPLATE) or []
    listed: list[str] = []
    for path in (_TEMPLATE, *machine.view.matching(f"{_LISTS}/*")):
        for line in _lines(machine, path) or ():
            if shell := line.partition("#")[0]:
                listed.extend(_names(machine, shell))
    before = _lines(machine, _STATE) or []
    listed = list(dict.fromkeys(listed))
    new = [shell for shell in listed if shell not in lines and shell not in before]
    _write(machine, _SHELLS, [*lines, *new])
    _write(machine, _STATE, listed)
    return Outcome(0)


def _names(machine: Machine, shell: str) -> Iterator[str]:
    yield shell
    directory, _, name = shell.rpartition("/")
    real = f"/{placed(directory.strip('/'), machine.view.links)}/{name}"
    if real != shell:
        yield real


def _lines(machine: Machine, path: str) -> list[str] | None:
    content = machine.view.read(path)
    return content.decode("utf-8", "surrogateescape").splitlines() if isinstance(content, bytes) else None


def _write(machine: Machine, path: str, lines: list[str]) -> None:
    machine.effect()
    machine.view.write(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
