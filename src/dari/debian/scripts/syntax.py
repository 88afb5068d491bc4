"""The shell language of maintainer scripts, as a tree (POSIX.1-2017, Shell Command Language; dash's `local`).

Only the nouns; `parser` makes them and `machine` walks them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """Text as it stands; `quoted` text is neither split nor matched against files."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name` or `${name operator word}`; `operator` is '', 'len', or as POSIX writes it: ':-', '+', '##', '%'…."""

    name: str
    operator: str
    word: "Word"
    quoted: bool


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(…)` or backticks."""

    body: "Sequence"
    quoted: bool


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`$((…))`: its text is kept, its value is never known."""

    text: str
    quoted: bool


Word = tuple[Literal | Parameter | Substitution | Arithmetic, ...]


@dataclass(frozen=True, slots=True)
class Redirection:
    """`operator` is '<', '>', '>>', '<<', '>&' or '<&'; `word` a path, a descriptor, or a here-document's text."""

    descriptor: int
    operator: str
    word: Word


@dataclass(frozen=True, slots=True)
class Simple:
    """Assignments, words and redirections on one line of the script; `text` is how it was written."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by '|', perhaps negated."""

    commands: tuple["Command", ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class AndOr:
    """Commands joined by '&&' and '||'."""

    first: "Command"
    rest: tuple[tuple[str, "Command"], ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands one after another."""

    commands: tuple["Command", ...]


@dataclass(frozen=True, slots=True)
class If:
    """Conditions with their bodies, in order, and what holds otherwise."""

    branches: tuple[tuple[Sequence, Sequence], ...]
    otherwise: Sequence


@dataclass(frozen=True, slots=True)
class Case:
    """A word and its arms: patterns and body."""

    word: Word
    arms: tuple[tuple[tuple[Word, ...], Sequence], ...]


@dataclass(frozen=True, slots=True)
class While:
    """`until` is a while whose condition is turned round."""

    condition: Sequence
    body: Sequence
    until: bool


@dataclass(frozen=True, slots=True)
class For:
    """A loop over words; None stands for the positional parameters."""

    name: str
    words: tuple[Word, ...] | None
    body: Sequence


@dataclass(frozen=True, slots=True)
class Function:
    """A definition."""

    name: str
    body: "Command"


@dataclass(frozen=True, slots=True)
class Group:
    """`{ …; }`, or `( … )` with a state of its own."""

    body: Sequence
    subshell: bool


@dataclass(frozen=True, slots=True)
class Redirected:
    """A compound command with redirections."""

    command: "Command"
    redirections: tuple[Redirection, ...]


Command = Simple | Pipeline | AndOr | Sequence | If | Case | While | For | Function | Group | Redirected
