"""Commands that make, change and remove files, on the view instead of a disk (coreutils)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from dari.debian.scripts.accounts import group_id, user_id
from dari.debian.scripts.builtin import known
from dari.debian.scripts.doubt import Doubt, Outcome, Refused, Text
from dari.debian.scripts.state import Handler, Input, Machine
from dari.values.entry import Entry, Kind

_NEW_DIRECTORY: Final = 0o755


def file_commands() -> Mapping[str, Handler]:
    """Return the handlers by name."""
    return {
        "mkdir": _mkdir,
        "touch": _touch,
        "ln": _ln,
        "cp": _cp,
        "mv": _mv,
        "rm": _rm,
        "rmdir": _rmdir,
        "chmod": _chmod,
        "chown": _chown,
        "chgrp": _chgrp,
        "install": _install,
        "restorecon": lambda *_: Outcome(0),
    }


def _split(arguments: tuple[Text, ...], valued: frozenset[str] = frozenset()) -> tuple[dict[str, str], list[str]]:
    """Split options from operands; options in `valued` take the word that follows."""
    options: dict[str, str] = {}
    operands: list[str] = []
    words = iter(known(arguments))
    for word in words:
        if word == "--":
            operands.extend(words)
        elif word in valued:
            options[word] = next(words, "")
        elif word.startswith("--"):
            name, _, value = word.partition("=")
            options[name] = value
        elif word.startswith("-") and len(word) > 1:
            options.update({f"-{letter}": "" for letter in word[1:]})
        else:
            operands.append(word)
    return options, operands


def _mode(text: str, before: int) -> int:
    if text.isdecimal():
        return int(text, 8)
    mode = before
    for clause in text.split(","):
        who = clause.rstrip("rwxs").rstrip("+=-")
        sign, letters = clause[len(who) : len(who) + 1], clause[len(who) + 1 :]
        if sign not in {"+", "-"} or not set(who) <= set("ugoa") or not set(letters) <= set("rwxs"):
            raise Refused(f"the mode {text!r} isn't one that dari reads")
        bits = sum({"r": 4, "w": 2, "x": 1, "s": 0}[letter] for letter in letters)
        for each in who.replace("a", "ugo") or "ugo":
            shifted = bits << {"u": 6, "g": 3, "o": 0}[each]
            shifted |= {"u": 0o4000, "g": 0o2000, "o": 0}[each] if "s" in letters else 0
            mode = mode | shifted if sign == "+" else mode & ~shifted
    return mode


def _mkdir(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = _split(arguments, frozenset({"-m", "--mode"}))
    mode = options.get("-m") or options.get("--mode") or ""
    status = 0
    for operand in operands:
        path = machine.path(operand)
        if isinstance(machine.view.find(path), Entry):
            status = status if "-p" in options or "--parents" in options else 1
            continue
        machine.effect()
        machine.view.make_directory(path, mode=_mode(mode, _NEW_DIRECTORY) if mode else _NEW_DIRECTORY)
    return Outcome(status)


def _touch(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = _split(arguments, frozenset({"-r", "-d", "-t"}))
    for operand in operands:
        path = machine.path(operand)
        if machine.view.find(path, follow="--no-dereference" not in options) is None:
            machine.effect()
            machine.view.write(path, b"")
    return Outcome(0)


def _ln(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = _split(arguments)
    if len(operands) != 2 or ("-s" not in options and "--symbolic" not in options):  # noqa: PLR2004 - target and link
        raise Refused("a link of a kind that dari doesn't make")
    machine.effect()
    target, path = operands[0], machine.path(operands[1])
    entry = machine.view.find(path)
    if isinstance(entry, Entry) and entry.kind is Kind.DIRECTORY and not options.keys() & {"-n", "-T"}:
        path = f"{path.rstrip('/')}/{target.rpartition('/')[2]}"
    if machine.view.find(path, follow=False) is not None and "-f" not in options and "--force" not in options:
        return Outcome(1)
    machine.view.link(path, target)
    return Outcome(0)


def _destination(machine: Machine, source: str, target: str) -> str:
    path = machine.path(target)
    entry = machine.view.find(path)
    if isinstance(entry, Entry) and entry.kind is Kind.DIRECTORY:
        return f"{path.rstrip('/')}/{source.rpartition('/')[2]}"
    return path


def _cp(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = _split(arguments)
    *sources, target = operands
    for source in sources:
        entry = machine.view.find(machine.path(source), follow=not options.keys() & {"-a", "-d", "-P"})
        if entry is None:
            return Outcome(1)
        if isinstance(entry, Doubt) or entry.kind not in {Kind.FILE, Kind.SYMLINK}:
            raise Refused(f"what it copies, {source}, is a directory or can't be known here")
        machine.effect()
        kept = entry if options.keys() & {"-a", "-p", "-d"} else replace(entry, uid=0, gid=0, mode=entry.mode & 0o755)
        machine.view.place(_destination(machine, source, target), kept)
    return Outcome(0)


def _mv(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    operands = _split(arguments)[1]
    *sources, target = operands
    for source in sources:
        path = machine.path(source)
        entry = machine.view.find(path, follow=False)
        if entry is None:
            return Outcome(1)
        if isinstance(entry, Doubt) or entry.kind is Kind.DIRECTORY:
            raise Refused(f"what it moves, {source}, can't be known here")
        machine.effect()
        machine.view.place(_destination(machine, source, target), entry)
        machine.view.remove(path)
    return Outcome(0)


def _rm(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = _split(arguments)
    status = 0
    for operand in operands:
        path = machine.path(operand)
        entry = machine.view.find(path, follow=False)
        if not isinstance(entry, Entry):
            status = status if "-f" in options else 1
            continue
        if entry.kind is Kind.DIRECTORY:
            if options.keys() & {"-r", "-R", "--recursive"}:
                raise Refused(f"it removes the directory {operand}")
            status = 1  # as rm says: Is a directory
            continue
        machine.effect()
        machine.view.remove(path)
    return Outcome(status)


def _rmdir(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    operands = _split(arguments)[1]
    for operand in operands:
        if isinstance(machine.view.find(machine.path(operand), follow=False), Entry):
            raise Refused(f"it removes the directory {operand}")
    return Outcome(0 if not operands else 1)


def _chmod(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = _split(arguments)
    if options.keys() & {"-R", "--reference"}:
        raise Refused("it changes the modes of a whole directory")
    for operand in operands[1:]:
        path = machine.path(operand)
        entry = machine.view.find(path)
        machine.effect()
        machine.view.modify(path, mode=_mode(operands[0], entry.mode if isinstance(entry, Entry) else 0))
    return Outcome(0)


def _chown(machine: Machine, arguments: tuple[Text, ...], _: Input) -> Outcome:
    options, operands = _split(arguments)
    if options.keys() & {"-R", "--reference"}:
        raise Refused("it changes the owner of a whole directory")
    user, group = (*operands[0].replace(".", ":", 1).split(":"), "")[:2]
    for operand in operands[1:]:
        machine.effect()
        machine.view.modify(
            machine.path(operand),
            uid=user_id(machine, user) if user else None,
            gid=group_id(machine, group) if group else None,
        )
    return Outcome(0)


def _chgrp(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    options, operands = _split(arguments)
    return _chown(machine, (*options, f":{operands[0]}", *operands[1:]), stdin)


def _install(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    options, operands = _split(arguments, frozenset({"-m", "-o", "-g", "--mode", "--owner", "--group"}))
    if "-d" not in options and "--directory" not in options:
        raise Refused("it installs files by `install`")
    mode = options.get("-m") or options.get("--mode") or "0755"
    for operand in operands:
        _mkdir(machine, ("-p", "-m", mode, operand), stdin)
        owner = f"{options.get('-o', '')}:{options.get('-g', '')}"
        if owner != ":":
            _chown(machine, (owner, operand), stdin)
    return Outcome(0)
