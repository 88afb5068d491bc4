"""A project of a few kilobytes on the small base, with wheels of its own: locked and built without a network."""

from collections.abc import Sequence
from pathlib import Path

from tests.support.python_wheels import write_wheel


def small_project(folder: Path, base: object, *, wheels: Sequence[str] = ("demo",), more: str = "") -> Path:
    """Write a project with train.py that requires `wheels`, which lie beside it; `more` goes into dari.toml."""
    (folder / "wheels").mkdir(parents=True, exist_ok=True)
    (folder / "dari.toml").write_text(
        f'base = "{base}"\nfiles = ["train.py"]\ncmd = ["python3", "train.py"]\n{more}', encoding="utf-8"
    )
    (folder / "train.py").write_text("print('step 0')\n", encoding="utf-8")
    for name in wheels:
        write_wheel(
            folder / "wheels", {f"{name}/__init__.py": b"answer = 42\n"}, filename=f"{name}-1.0-py3-none-any.whl"
        )
    (folder / "requirements.txt").write_text(
        "\n".join(("--no-index", "--find-links ./wheels", *wheels, "")) if wheels else "", encoding="utf-8"
    )
    return folder
