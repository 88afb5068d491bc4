"""What the shell itself does: dash's built-in commands (dash(1))."""

from collections.abc import Callable, Mapping
from typing import Final

from dari.debian.scripts.condition import test
from dari.debian.scripts.doubt import UNKNOWN, Doubt, Leaving, Outcome, Refused, Text, joined
from dari.debian.scripts.state import Handler, Input, Machine

# Libraries of shell functions that scripts read in, and what they define: all of them speak to a person.
_LIBRARIES: Final = {
    "/usr/share/debconf/confmodule": (),
    "/usr/share/dpkg/sh/dpkg-error.sh": ("setup_colors", "debug", "error", "warning", "badusage", "notice"),
    "/lib/lsb/init-functions": ("log_begin_msg", "log_end_msg", "log_daemon_msg", "log_warning_msg"),
    "/usr/lib/lsb/init-functions": ("log_begin_msg", "log_end_msg", "log_daemon_msg", "log_warning_msg"),
}


def builtins() -> Mapping[str, Handler]:
    """Return the handlers by name."""
    return {
        ":": lambda *_: Outcome(0),
        "true": lambda *_: Outcome(0),
        "false": lambda *_: Outcome(1),
        "echo": _echo,
        "printf": _printf,
        "test": lambda machine, arguments, _: test(machine, arguments),
        "[": _bracket,
        "set": _set,
        "export": _export,
        "readonly": _export,
        "local": _local,
        "unset": _unset,
        "shift": _shift,
        "umask": _umask,
        "trap": lambda *_: Outcome(0),
        "hash": lambda *_: Outcome(0),
        "wait": lambda *_: Outcome(0),
        "cd": _cd,
        "read": _read,
        ".": _source,
        "command": _command,
        "which": lambda machine, arguments, _: _located(machine, arguments),
        "type": lambda machine, arguments, _: _located(machine, arguments),
        "cat": _cat,
        "basename": _basename,
        "dirname": _dirname,
        "exec": _exec,
        **{kind: _leaving(kind) for kind in ("exit", "return", "break", "continue")},
    }


def known(arguments: tuple[Text, ...]) -> tuple[str, ...]:
    """Return arguments as text. Raises `Refused` where one isn't known."""
    if any(isinstance(argument, Doubt) for argument in arguments):
        raise Refused("one of its arguments can't be known here")
    return tuple(argument for argument in arguments if isinstance(argument, str))


def _leaving(kind: str) -> Handler:
    def leave(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
        if not arguments:
            raise Leaving(kind, machine.status if kind in {"exit", "return"} else 0)
        value = arguments[0]
        raise Leaving(kind, int(value) if isinstance(value, str) and value.isdecimal() else None)

    return leave


def _echo(_: Machine, arguments: tuple[Text, ...], __: Input) -> Outcome:
    if any(isinstance(argument, Doubt) for argument in arguments):
        return Outcome(0, UNKNOWN)
    words = list(known(arguments))
    end = "\n"
    if words[:1] == ["-n"]:
        words, end = words[1:], ""
    return Outcome(0, " ".join(words).replace("\\n", "\n").replace("\\t", "\t") + end)


def _printf(_: Machine, arguments: tuple[Text, ...], __: Input) -> Outcome:
    if not arguments or any(isinstance(argument, Doubt) for argument in arguments):
        return Outcome(0, UNKNOWN)
    form, *words = known(arguments)
    text = form.replace("\\n", "\n").replace("\\t", "\t").replace("%%", "\0")
    pieces = text.split("%s")
    if "%" in "".join(pieces) or len(words) > len(pieces) - 1:
        return Outcome(0, UNKNOWN)
    filled = pieces[0] + "".join(
        (words[number] if number < len(words) else "") + piece for number, piece in enumerate(pieces[1:])
    )
    return Outcome(0, filled.replace("\0", "%"))


def _bracket(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    if not arguments or arguments[-1] != "]":
        raise Refused("a [ has no ]")
    return test(machine, arguments[:-1])


def _set(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    if arguments[:1] == ("--",):
        machine.arguments = arguments[1:]
    elif arguments and not (isinstance(arguments[0], str) and arguments[0][:1] in {"-", "+"}):
        machine.arguments = arguments
    return Outcome(0)


def _export(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    for argument in known(arguments):
        name, equals, value = argument.partition("=")
        if equals:
            machine.assign(name, value)
    return Outcome(0)


def _local(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    for argument in arguments:
        if isinstance(argument, Doubt):
            raise Refused("it declares a variable whose value can't be known here")
        name, equals, value = argument.partition("=")
        if machine.restored:
            machine.restored[-1].setdefault(name, machine.variables.get(name))
        if equals:
            machine.assign(name, value)
    return Outcome(0)


def _umask(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    mask = known(arguments)
    if len(mask) == 1 and mask[0].isdecimal():
        machine.view.umask = int(mask[0], 8)
    return Outcome(0)


def _unset(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    for name in known(arguments):
        machine.variables.pop(name, None)
    return Outcome(0)


def _shift(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    count = int(known(arguments)[0]) if arguments else 1
    if count > len(machine.arguments):
        return Outcome(1)
    machine.arguments = machine.arguments[count:]
    return Outcome(0)


def _cd(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    machine.directory = machine.path(arguments[0]) if arguments else "/root"
    return Outcome(0)


def _read(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    names = [name for name in known(arguments) if not name.startswith("-")]
    line = stdin.line()
    if isinstance(line, Doubt):
        for name in names:
            machine.assign(name, UNKNOWN)
        return Outcome(None)
    values = (line or "").split(None, len(names) - 1) if names else []
    for number, name in enumerate(names):
        machine.assign(name, values[number].strip() if number < len(values) else "")
    return Outcome(1 if line is None else 0)


def _source(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    path = machine.path(arguments[0])
    if path not in _LIBRARIES:
        raise Refused(f"it reads in {path}")
    for name in _LIBRARIES[path]:
        # A new mapping: the table of commands is shared by every script.
        machine.commands = {**machine.commands, name: lambda *_: Outcome(0)}
    return Outcome(0)


def _exec(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    if arguments:
        raise Refused("it becomes another program")
    del machine, stdin
    return Outcome(0)


def _command(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    if arguments[:1] in {("-v",), ("-V",)}:
        return _located(machine, arguments[1:])
    name = known(arguments[:1])[0]
    if name not in machine.commands:
        raise Refused("dari doesn't reproduce this command")
    return machine.commands[name](machine, arguments[1:], stdin)


def _located(machine: Machine, arguments: tuple[Text, ...]) -> Outcome:
    output: Text = ""
    status: int | None = 0
    for name in known(arguments):
        if name.startswith("-"):
            continue
        if name in machine.functions:
            found: Text | None = name
        elif name.startswith("/"):
            entry = machine.view.find(name)
            found = entry if isinstance(entry, Doubt) else name if entry else None
        else:
            found = machine.view.program(name)
        if isinstance(found, Doubt):
            status, output = (None, UNKNOWN) if status == 0 else (status, UNKNOWN)
        elif found is None:
            status = 1
        else:
            output = joined(output, f"{found}\n")
    return Outcome(status, output)


def _cat(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    if not arguments:
        return Outcome(0, stdin.all())
    output: Text = ""
    for name in arguments:
        if name == "-":
            output = joined(output, stdin.all())
            continue
        content = UNKNOWN if isinstance(name, Doubt) else machine.view.read(machine.path(name))
        if content is None:
            return Outcome(1, output)
        output = joined(output, content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else UNKNOWN)
    return Outcome(0, output)


def _basename(_: Machine, arguments: tuple[Text, ...], __: Input) -> Outcome:
    return _cut(arguments, lambda path, suffix: path.rstrip("/").rpartition("/")[2].removesuffix(suffix))


def _dirname(_: Machine, arguments: tuple[Text, ...], __: Input) -> Outcome:
    return _cut(arguments, lambda path, _: path.rpartition("/")[0] or ("/" if path.startswith("/") else "."))


def _cut(arguments: tuple[Text, ...], cut: Callable[[str, str], str]) -> Outcome:
    if not arguments or any(isinstance(argument, Doubt) for argument in arguments):
        return Outcome(0, UNKNOWN)
    path, *suffix = known(arguments)
    return Outcome(0, cut(path, suffix[0] if suffix else "") + "\n")
