"""update-alternatives: the links it makes and the file it keeps, as dpkg writes both.

Source: update-alternatives(1) and dpkg's utils/update-alternatives.c (the file's order, how the best is chosen).
Read 2026-11-23.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from dari.debian.scripts.builtin import known
from dari.debian.scripts.doubt import Outcome, Refused, Text
from dari.debian.scripts.state import Input, Machine
from dari.values.entry import Entry, Kind

_ADMIN: Final = "/var/lib/dpkg/alternatives"
_LINKS: Final = "/etc/alternatives"
_QUIET: Final = frozenset({"--quiet", "--force", "--verbose", "--skip-auto"})


@dataclass(frozen=True, slots=True)
class Choice:
    """One program that may stand behind the link; `slaves` map a slave's name to its file."""

    path: str
    priority: int
    slaves: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Alternative:
    """A link group: its mode, its link, the links of its slaves by name, and the choices."""

    name: str
    mode: str
    link: str
    slaves: Mapping[str, str]
    choices: tuple[Choice, ...]


def update_alternatives(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    """Carry out an --install; --remove and --auto of what isn't there do nothing."""
    words = [word for word in known(arguments) if word not in _QUIET]
    action = words[0] if words else ""
    if action in {"--remove", "--auto", "--remove-all"}:
        if machine.view.find(f"{_ADMIN}/{words[1].rpartition('/')[2]}") is None:
            return Outcome(0)
        raise Refused("it takes an alternative away")
    if action != "--install":
        raise Refused("it sets alternatives in a way that dari doesn't know")
    link, name, path, priority, *rest = words[1:]
    slaves: dict[str, tuple[str, str]] = {}
    while rest[:1] == ["--slave"]:
        slaves[rest[2]] = (rest[1], rest[3])
        rest = rest[4:]
    if isinstance(machine.view.find(path), Entry):
        machine.effect()
        group = _with_choice(_read(machine, name, link), link, slaves, Choice(path, int(priority), {}))
        _install(machine, group)
        return Outcome(0)
    return Outcome(2)


def parse_alternative(name: str, content: str) -> Alternative:
    """Read a file of /var/lib/dpkg/alternatives."""
    lines = iter(content.split("\n"))
    mode, link = next(lines), next(lines)
    slaves: dict[str, str] = {}
    while line := next(lines, ""):
        slaves[line] = next(lines, "")
    choices = []
    while path := next(lines, ""):
        priority = int(next(lines))
        choices.append(Choice(path, priority, {slave: next(lines, "") for slave in slaves}))
    return Alternative(name, mode, link, slaves, tuple(choices))


def render_alternative(group: Alternative) -> str:
    """Write a file of /var/lib/dpkg/alternatives: slaves by name, choices by path."""
    names = sorted(group.slaves)
    lines = [group.mode, group.link, *(line for name in names for line in (name, group.slaves[name])), ""]
    for choice in sorted(group.choices, key=lambda choice: choice.path):
        lines += [choice.path, str(choice.priority), *(choice.slaves.get(name, "") for name in names)]
    return "\n".join([*lines, "", ""])


def _read(machine: Machine, name: str, link: str) -> Alternative:
    content = machine.view.read(f"{_ADMIN}/{name}")
    if not isinstance(content, bytes):
        return Alternative(name, "auto", link, {}, ())
    try:
        return parse_alternative(name, content.decode("utf-8", "surrogateescape"))
    except (StopIteration, ValueError) as error:
        raise Refused(f"the base's record of the alternative {name!r} can't be read") from error


def _with_choice(group: Alternative, link: str, slaves: Mapping[str, tuple[str, str]], choice: Choice) -> Alternative:
    made = replace(choice, slaves={name: path for name, (_, path) in slaves.items()})
    others = tuple(each for each in group.choices if each.path != choice.path)
    links = {**group.slaves, **{name: place for name, (place, _) in slaves.items()}}
    used = {name for each in (*others, made) for name, path in each.slaves.items() if path}
    return replace(
        group,
        link=link,
        slaves={name: place for name, place in links.items() if name in used},
        choices=(*others, made),
    )


def _install(machine: Machine, group: Alternative) -> None:
    machine.view.write(f"{_ADMIN}/{group.name}", render_alternative(group).encode("utf-8", "surrogateescape"))
    if group.mode != "auto":
        return
    ordered = sorted(group.choices, key=lambda choice: choice.path)
    best = max(ordered, key=lambda choice: choice.priority)
    _link(machine, group.name, group.link, best.path)
    for name, link in sorted(group.slaves.items()):
        target = best.slaves.get(name, "")
        # A slave of a choice that the base made is there; one of a new package only where the package has it.
        if target and (machine.view.find(target) is not None or not machine.view.complete):
            _link(machine, name, link, target)


def _link(machine: Machine, name: str, link: str, target: str) -> None:
    entry = machine.view.find(link, follow=False)
    machine.view.link(f"{_LINKS}/{name}", target)
    if isinstance(entry, Entry) and entry.kind is not Kind.SYMLINK:
        return  # update-alternatives doesn't replace a real file by a link either
    machine.view.link(link, f"{_LINKS}/{name}")
