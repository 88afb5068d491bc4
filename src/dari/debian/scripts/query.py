"""dpkg-query: what scripts ask of other packages, those being put on counted as there (dpkg-query(1))."""

from typing import Final

from dari.debian.scripts.builtin import known
from dari.debian.scripts.doubt import UNKNOWN, Doubt, Outcome, Text
from dari.debian.scripts.state import Input, Machine

_VALUED: Final = frozenset({"-f"})
_ALIASES: Final = {
    "--search": "-S",
    "--listfiles": "-L",
    "--show": "-W",
    "--status": "-s",
    "--list": "-l",
    "--control-path": "-c",
}


def query(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    """Answer whether packages are there, their version and architecture, whose a path is, and what a package has."""
    if any(isinstance(argument, Doubt) for argument in arguments):
        return Outcome(None, UNKNOWN)
    form, actions, operands = "", list[str](), list[str]()
    words = iter(known(arguments))
    for word in words:
        if word in _VALUED:
            form = next(words, "")
        elif word.startswith("--showformat="):
            form = word.partition("=")[2]
        elif word.startswith("-"):
            actions.append(_ALIASES.get(word, word))
        else:
            operands.append(word)
    if len(actions) != 1 or not operands:
        return Outcome(None, UNKNOWN)
    if actions[0] == "-S":
        return _owner(machine, operands)
    return _package(machine, actions[0], operands[0], form)


def _owner(machine: Machine, paths: list[str]) -> Outcome:
    if all(path.lstrip("/") in machine.view.shipped for path in paths):
        return Outcome(0, UNKNOWN)
    return Outcome(1) if machine.view.complete else Outcome(None, UNKNOWN)


def _package(machine: Machine, action: str, operand: str, form: str) -> Outcome:
    name = operand.partition(":")[0]
    if any(character in name for character in "*?["):
        return Outcome(None, UNKNOWN)
    package = machine.view.packages.get(name)
    if package is None:
        return Outcome(1)
    if action == "-L" and package.paths:
        return Outcome(0, "".join(f"{path}\n" for path in package.paths))
    if action == "-W" and form:
        text = form.replace("${Version}", package.version).replace("${Architecture}", package.architecture)
        return Outcome(0, UNKNOWN if "${" in text else text.replace("\\n", "\n"))
    return Outcome(0, UNKNOWN)
