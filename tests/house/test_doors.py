"""Each room has one door, and the house's contracts hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "dari"
ROOMS = ("bases", "debian", "image", "lock", "proof", "registry", "survey", "wheels", "system")


def test_the_import_contracts_hold() -> None:
    """Rooms do not import each other; only flow joins them (import-linter, pyproject.toml)."""
    linter = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_outsiders_enter_a_room_by_its_door(path: Path) -> None:
    """`from dari.ROOM.inside import …` stands only inside ROOM."""
    own_room = path.relative_to(SOURCE).parts[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dari."):
            parts = node.module.split(".")
            assert len(parts) <= 2 or parts[1] not in ROOMS or parts[1] == own_room, (
                f"{path}:{node.lineno} {node.module}"
            )


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_lists_its_names_in_order(room: str) -> None:
    """`__all__` of a door is there, sorted, and complete."""
    tree = ast.parse((SOURCE / room / "__init__.py").read_text(encoding="utf-8"))
    public = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    )
    assert len(public) == len(set(public)) > 0
    imported = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported <= set(public)
