"""Walking a maintainer script's tree without running anything: what is known is decided, what isn't goes both ways.

A condition that can't be known is followed into every branch. A branch that ends in failure is one that a package
which installs doesn't take. The others may only do what leaves no trace: an effect that might or might not happen
refuses the script.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from dari.debian.scripts.doubt import UNKNOWN, Doubt, Leaving, Outcome, Refused, Text, joined
from dari.debian.scripts.expand import fields_of, pattern_of, text_of
from dari.debian.scripts.state import Input, Machine, Snapshot, merge, restore, snapshot
from dari.debian.scripts.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Pipeline,
    Redirected,
    Redirection,
    Sequence,
    Simple,
    While,
)

_MOST_ROUNDS: Final = 5000
_DEEPEST_CALL: Final = 40
_PYTHON: Final = re.compile(r"python3(?:\.\d+)?")
_COMPILES: Final = re.compile(r".*/(?:py_compile|compileall)\.py").fullmatch
_DONE: Final = Outcome(0)


def run(machine: Machine, command: Command, stdin: Input) -> Outcome:
    """Walk one command. Raises `Leaving` and `Refused`."""
    outcome = _walked(machine, command, stdin)
    machine.status = outcome.status
    return outcome


def _walked(machine: Machine, command: Command, stdin: Input) -> Outcome:
    match command:
        case Simple():
            return _simple(machine, command, stdin)
        case Pipeline():
            return _pipeline(machine, command, stdin)
        case AndOr():
            return _and_or(machine, command, stdin)
        case Sequence():
            return _sequence(machine, command, stdin)
        case Function():
            machine.functions[command.name] = command.body
            return _DONE
        case _:
            return _compound(machine, command, stdin)


def _compound(machine: Machine, command: If | Case | While | For | Group | Redirected, stdin: Input) -> Outcome:
    match command:
        case If():
            return _if(machine, command.branches, command.otherwise, stdin)
        case Case():
            return _case(machine, command, stdin)
        case While():
            return _while(machine, command, stdin)
        case For():
            return _for(machine, command, stdin)
        case Group():
            return (_subshell if command.subshell else _sequence)(machine, command.body, stdin)
        case Redirected():
            feed = _input(machine, command.redirections, stdin)
            return _written(machine, command.redirections, run(machine, command.command, feed))


def _sequence(machine: Machine, sequence: Sequence, stdin: Input) -> Outcome:
    output: Text = ""
    outcome = _DONE
    for command in sequence.commands:
        try:
            outcome = run(machine, command, stdin)
        except Leaving as leaving:
            leaving.output = joined(output, leaving.output)
            raise
        output = joined(output, outcome.output)
    return replace(outcome, output=output)


def substituted(machine: Machine, body: Sequence) -> Outcome:
    """Run a command substitution."""
    return _subshell(machine, body, Input(""))


def _subshell(machine: Machine, body: Sequence, stdin: Input) -> Outcome:
    kept, certain, ended = snapshot(machine), machine.certain, machine.may_have_ended
    try:
        return _sequence(machine, body, stdin)
    except Leaving as leaving:
        return Outcome(leaving.status, leaving.output)
    finally:
        restore(machine, kept)
        machine.certain, machine.may_have_ended = certain, ended


def _pipeline(machine: Machine, pipeline: Pipeline, stdin: Input) -> Outcome:
    feed = stdin
    outcome = _DONE
    for command in pipeline.commands:
        alone = len(pipeline.commands) == 1
        outcome = run(machine, command, feed) if alone else _subshell(machine, Sequence((command,)), feed)
        feed = Input(outcome.output)
    if pipeline.negated and outcome.status is not None:
        return replace(outcome, status=int(not outcome.status))
    return outcome


def _and_or(machine: Machine, command: AndOr, stdin: Input) -> Outcome:
    outcome = run(machine, command.first, stdin)
    for operator, following in command.rest:
        goes_on = None if outcome.status is None else (outcome.status == 0) is (operator == "&&")
        if goes_on is False:
            continue
        if goes_on:
            output = outcome.output
            outcome = run(machine, following, stdin)
            outcome = replace(outcome, output=joined(output, outcome.output))
            continue
        before = outcome
        both = _either(machine, (partial(run, machine, following, stdin), partial(_unchanged, before)))
        decided = both.status if both.status is not None and (both.status == 0) is (operator == "||") else None
        outcome = Outcome(decided, both.output)
    return outcome


def _unchanged(outcome: Outcome) -> Outcome:
    return outcome


def _if(
    machine: Machine, branches: tuple[tuple[Sequence, Sequence], ...], otherwise: Sequence, stdin: Input
) -> Outcome:
    if not branches:
        return _sequence(machine, otherwise, stdin)
    (condition, body), *rest = branches
    decided = _sequence(machine, condition, stdin)
    if decided.status is None:
        outcome = _either(
            machine,
            (
                lambda: _sequence(machine, body, stdin),
                lambda: _if(machine, tuple(rest), otherwise, stdin),
            ),
        )
    elif decided.status == 0:
        outcome = _sequence(machine, body, stdin)
    else:
        outcome = _if(machine, tuple(rest), otherwise, stdin)
    return replace(outcome, output=joined(decided.output, outcome.output))


def _case(machine: Machine, command: Case, stdin: Input) -> Outcome:
    word = text_of(machine, command.word)
    possible: list[Callable[[], Outcome]] = []
    for patterns, body in command.arms:
        compiled = [pattern_of(machine, pattern) for pattern in patterns]
        if not isinstance(word, Doubt) and any(pattern and pattern.match(word) for pattern in compiled):
            possible.append(partial(_sequence, machine, body, stdin))
            break
        if isinstance(word, Doubt) or None in compiled:
            possible.append(partial(_sequence, machine, body, stdin))
    else:
        if isinstance(word, Doubt) or possible:
            possible.append(partial(_unchanged, _DONE))
    if not possible:
        return _DONE
    return possible[0]() if len(possible) == 1 else _either(machine, tuple(possible))


def _while(machine: Machine, command: While, stdin: Input) -> Outcome:
    output: Text = ""
    for _ in range(_MOST_ROUNDS):
        condition = _sequence(machine, command.condition, stdin)
        if condition.status is None:
            _either(machine, (lambda: _sequence(machine, command.body, stdin), lambda: _DONE))
            return Outcome(None, UNKNOWN)
        if (condition.status == 0) is command.until:
            return Outcome(0, output)
        body, left = _round(machine, command.body, stdin)
        output = joined(output, joined(condition.output, body))
        if left:
            return Outcome(0, output)
    raise Refused("a loop goes on and on")


def _for(machine: Machine, command: For, stdin: Input) -> Outcome:
    fields = machine.arguments if command.words is None else fields_of(machine, command.words)
    output: Text = ""
    for value in fields:
        machine.assign(command.name, value)
        if isinstance(value, Doubt):
            # An unknown field may be any number of fields, none among them.
            _either(machine, (lambda: Outcome(0, _round(machine, command.body, stdin)[0]), lambda: _DONE))
            output = UNKNOWN
            continue
        body, left = _round(machine, command.body, stdin)
        output = joined(output, body)
        if left:
            break
    return Outcome(0, output)


def _round(machine: Machine, body: Sequence, stdin: Input) -> tuple[Text, bool]:
    """Walk a loop's body once; say what it printed and whether it left the loop."""
    try:
        return _sequence(machine, body, stdin).output, False
    except Leaving as leaving:
        if leaving.kind not in {"break", "continue"}:
            raise
        return leaving.output, leaving.kind == "break"


def _either(machine: Machine, ways: tuple[Callable[[], Outcome], ...]) -> Outcome:
    """Follow several ways of which one will be taken."""
    before, certain = snapshot(machine), machine.certain
    open_ways: list[tuple[Callable[[], Outcome], Snapshot, Outcome, bool]] = []
    for way in ways:
        machine.certain = False
        left = False
        try:
            outcome = way()
        except Leaving as leaving:
            if leaving.kind == "exit" and leaving.status != 0:
                restore(machine, before)
                continue
            outcome, left = Outcome(leaving.status, leaving.output), True
            machine.may_have_ended = machine.may_have_ended or leaving.kind == "exit"
        open_ways.append((way, snapshot(machine), outcome, left))
        restore(machine, before)
    machine.certain = certain
    if not open_ways:
        raise Leaving("exit", 1)
    if len(open_ways) == 1:
        return open_ways[0][0]()
    merge(machine, [state for _, state, _, _ in open_ways])
    if any(left for _, _, _, left in open_ways):
        machine.certain = False
    statuses = {outcome.status for _, _, outcome, _ in open_ways}
    outputs = {outcome.output for _, _, outcome, _ in open_ways}
    return Outcome(statuses.pop() if len(statuses) == 1 else None, outputs.pop() if len(outputs) == 1 else UNKNOWN)


def _simple(machine: Machine, command: Simple, stdin: Input) -> Outcome:
    machine.status = 0
    fields = fields_of(machine, command.words)
    if not fields:
        for name, word in command.assignments:
            machine.assign(name, text_of(machine, word))
        outcome = Outcome(machine.status)
        return _written(machine, command.redirections, outcome) if command.redirections else outcome
    try:
        feed = _input(machine, command.redirections, stdin)
        return _written(machine, command.redirections, _called(machine, fields, feed))
    except Refused as refused:
        refused.command = refused.command or command.text
        refused.line = refused.line or command.line
        raise


def _called(machine: Machine, fields: tuple[Text, ...], stdin: Input) -> Outcome:
    name, *arguments = fields
    if isinstance(name, Doubt):
        raise Refused("it runs a program whose name can't be known here")
    if name in machine.functions:
        return _function(machine, machine.functions[name], tuple(arguments), stdin)
    short = name.rpartition("/")[2] or name
    handler = machine.commands.get(short)
    if handler is None and _PYTHON.fullmatch(short) and any(_COMPILES(str(word)) for word in arguments):
        return Outcome(0, UNKNOWN, skipped=True)  # bytecode: Python compiles a module when it is first imported
    if handler is None:
        raise Refused("dari doesn't reproduce this command")
    return handler(machine, tuple(arguments), stdin)


def _function(machine: Machine, body: Command, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    if len(machine.restored) >= _DEEPEST_CALL:
        raise Refused("functions call each other without end")
    kept, certain, machine.arguments = machine.arguments, machine.certain, arguments
    machine.restored.append({})
    try:
        return run(machine, body, stdin)
    except Leaving as leaving:
        if leaving.kind != "return":
            raise
        return Outcome(leaving.status, leaving.output)
    finally:
        machine.arguments = kept
        machine.certain = certain and not machine.may_have_ended
        for name, value in machine.restored.pop().items():
            if value is None:
                machine.variables.pop(name, None)
            else:
                machine.variables[name] = value


def _input(machine: Machine, redirections: tuple[Redirection, ...], stdin: Input) -> Input:
    for redirection in redirections:
        if redirection.operator == "<<":
            return Input(text_of(machine, redirection.word))
        if redirection.operator == "<":
            name = text_of(machine, redirection.word)
            content = UNKNOWN if isinstance(name, Doubt) else machine.view.read(machine.path(name))
            return Input(content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else UNKNOWN)
    return stdin


def _written(machine: Machine, redirections: tuple[Redirection, ...], outcome: Outcome) -> Outcome:
    """Send what was printed where the redirections say; errors go nowhere."""
    for redirection in reversed(redirections):
        if redirection.descriptor != 1 or not redirection.operator.startswith(">"):
            continue
        target = text_of(machine, redirection.word)
        if redirection.operator == ">&" or (isinstance(target, str) and target.startswith("/dev/")):
            return replace(outcome, output="")
        if outcome.skipped:
            return replace(outcome, output="")
        machine.effect()
        if isinstance(outcome.output, Doubt):
            raise Refused("it writes what can't be known here")
        path = machine.path(target)
        before = machine.view.read(path) if redirection.operator == ">>" else b""
        if isinstance(before, Doubt):
            raise Refused(f"it adds to {path}, whose content can't be known here")
        machine.view.write(path, (before or b"") + outcome.output.encode("utf-8", "surrogateescape"))
        return replace(outcome, output="")
    return outcome
