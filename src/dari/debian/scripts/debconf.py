"""debconf as a frontend that asks nobody: every question is answered by its template's default (debconf-devel(7)).

Answers live as long as one set of packages is followed; the image's own database stays as it was, and debconf
fills it when a package is next configured there.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from dari.debian.package import Package
from dari.debian.scripts.builtin import known
from dari.debian.scripts.doubt import UNKNOWN, Doubt, Outcome, Text
from dari.debian.scripts.state import Handler, Input, Machine
from dari.values.debian import paragraphs
from dari.values.malformed import Malformed

_NO_SUCH_QUESTION: Final = 10
_NAME_AND_VALUE: Final = 2


def debconf_commands(packages: Iterable[Package]) -> Mapping[str, Handler]:
    """Return the handlers by name, with the questions that `packages` bring."""
    answers: dict[str, Text] = {}
    for package in packages:
        answers.update(_defaults(package.control.files.get("templates", b"")))

    def get(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
        name = arguments[0] if arguments else UNKNOWN
        if isinstance(name, Doubt):
            machine.assign("RET", UNKNOWN)
            return Outcome(None)
        machine.assign("RET", answers.get(name, ""))
        return Outcome(0 if name in answers else _NO_SUCH_QUESTION)

    def put(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
        name = known(arguments[:1])[0]
        value = arguments[1] if len(arguments) == _NAME_AND_VALUE else UNKNOWN
        answers[name] = value if machine.certain or answers.get(name) == value else UNKNOWN
        return Outcome(0)

    def unknown(machine: Machine, _: tuple[Text, ...], __: Input) -> Outcome:
        machine.assign("RET", UNKNOWN)
        return Outcome(0)

    return {"db_get": get, "db_set": put, "db_metaget": unknown, "db_fget": unknown}


def _defaults(templates: bytes) -> Mapping[str, str]:
    try:
        return {
            paragraph["template"]: paragraph.get("default", "")
            for paragraph in paragraphs(templates)
            if paragraph.get("template")
        }
    except Malformed:
        return {}
