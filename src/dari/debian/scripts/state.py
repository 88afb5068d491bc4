"""The state of one script's evaluation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dari.debian.scripts.doubt import UNKNOWN, Doubt, Outcome, Refused, Text
from dari.debian.scripts.syntax import Command, Sequence
from dari.debian.scripts.view import View


@dataclass(slots=True)
class Input:
    """What a command reads: text that is used up line by line."""

    rest: Text

    def line(self) -> Text | None:
        """Take one line; None at the end."""
        if isinstance(self.rest, Doubt) or not self.rest:
            return self.rest or None
        line, _, self.rest = self.rest.partition("\n")
        return line

    def all(self) -> Text:
        """Take everything that is left."""
        text, self.rest = self.rest, ""
        return text


Handler = Callable[["Machine", tuple[Text, ...], Input], Outcome]


@dataclass(slots=True)
class Machine:
    """One script's evaluation. `certain` is False while it follows a branch that may not be taken."""

    view: View
    commands: Mapping[str, Handler]
    variables: dict[str, Text]
    substituted: Callable[["Machine", Sequence], Outcome]
    arguments: tuple[Text, ...] = ()
    directory: str = "/"
    functions: dict[str, Command] = field(default_factory=dict)
    restored: list[dict[str, Text | None]] = field(default_factory=list)
    certain: bool = True
    may_have_ended: bool = False
    status: int | None = 0

    def value(self, name: str) -> Text | None:
        """Return a parameter's value; None where it is unset."""
        if name == "?":
            return UNKNOWN if self.status is None else str(self.status)
        if name == "#":
            return str(len(self.arguments))
        if name.isdecimal() and name != "0":
            return self.arguments[int(name) - 1] if int(name) <= len(self.arguments) else None
        return UNKNOWN if name in {"$", "!", "-"} else self.variables.get(name)

    def assign(self, name: str, value: Text) -> None:
        """Set a variable."""
        self.variables[name] = value

    def positional(self) -> tuple[Text, ...]:
        """Return "$@"."""
        return self.arguments

    def substitute(self, body: Sequence) -> Text:
        """Run a command substitution in a state of its own."""
        outcome = self.substituted(self, body)
        self.status = outcome.status
        return outcome.output

    def paths(self, pattern: str) -> tuple[str, ...]:
        """Return what a pattern matches among the known files, written as the pattern is."""
        return _relative(self.view.matching(self.path(pattern)), pattern)

    def path(self, name: Text) -> str:
        """Return a path as absolute. Raises `Refused` where it isn't known."""
        if isinstance(name, Doubt):
            raise Refused("it names a path that can't be known here")
        return name if name.startswith("/") else f"{self.directory.rstrip('/')}/{name}"

    def effect(self) -> None:
        """Say that a change is about to be made. Raises `Refused` in a branch that may not be taken."""
        if not self.certain:
            raise Refused("whether it runs depends on something that can't be known here")


Snapshot = tuple[dict[str, Text], tuple[Text, ...], str, dict[str, Command]]


def snapshot(machine: Machine) -> Snapshot:
    """Keep what a subshell or a branch may not change for good."""
    return dict(machine.variables), machine.arguments, machine.directory, dict(machine.functions)


def restore(machine: Machine, state: Snapshot) -> None:
    """Take a snapshot back."""
    machine.variables, machine.arguments = dict(state[0]), state[1]
    machine.directory, machine.functions = state[2], dict(state[3])


def merge(machine: Machine, states: list[Snapshot]) -> None:
    """Know of each variable what all branches agree on."""
    names = {name for variables, *_ in states for name in variables}
    for name in names:
        values = {variables.get(name) for variables, *_ in states}
        value = values.pop() if len(values) == 1 else UNKNOWN
        machine.variables[name] = "" if value is None else value


def _relative(found: tuple[str, ...], pattern: str) -> tuple[str, ...]:
    if pattern.startswith("/"):
        return found
    depth = pattern.count("/") + 1
    return tuple("/".join(path.split("/")[-depth:]) for path in found)
