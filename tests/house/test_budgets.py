"""Small rooms: the budgets of files, functions and parameters."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "dari"
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 400, 40, 6


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count lines from the first statement after the docstring: prose is not budgeted."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_file_reads_in_one_sitting(path: Path) -> None:
    """A file has at most 400 lines, a function 40, a signature six parameters."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    for function in _functions(path):
        where = f"{path.relative_to(SOURCE)}:{function.lineno} {function.name}"
        arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
        own = [name for name in arguments if name not in {"self", "cls"}]
        assert _body_lines(function) <= MOST_FUNCTION_LINES, where
        is_command = any("command" in ast.dump(decorator) for decorator in function.decorator_list)
        assert is_command or len(own) <= MOST_PARAMETERS or function.name == "__init__", where


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_room_is_a_drawer(path: Path) -> None:
    """No file is named after what it isn't about."""
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
