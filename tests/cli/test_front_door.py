"""What holds for every command: help, exit codes, quiet pipes, colour, JSON."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from dari.cli.environment import VARIABLES
from dari.cli.main import COMMANDS
from tests.support.program import DARI, ROOT, Dari


def test_help_names_every_command(dari: Dari) -> None:
    """`dari --help` lists all commands with one line each, examples and exit codes."""
    ran = dari.ok("--help")
    flat = " ".join(ran.out.split())
    assert all(f"{name} {line}" in flat for name, (_, line) in COMMANDS.items())
    assert "Examples:" in ran.out
    assert "Exit codes:" in ran.out


@pytest.mark.parametrize("name", [*sorted(COMMANDS), "bases scan"])
def test_each_command_shows_an_example(dari: Dari, name: str) -> None:
    """Each command's help has an example (a group's help lists its commands instead)."""
    text = dari.ok(*name.split(), "--help").out
    assert "Example" in text or "Commands" in text


def test_help_loads_no_room() -> None:
    """`dari --help` imports neither rooms nor heavy libraries: small commands feel instant."""
    done = subprocess.run(
        (DARI.parent / "python", "-X", "importtime", "-m", "dari", "--help"), capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    heavy = {"dari.flow", "dari.registry", "urllib3", "rich", "uv", "zstandard", "isal", "packaging", "installer"}
    assert not loaded & heavy


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("biuld",), "did you mean 'build'"),
        (("push", "oci:x"), "Missing argument 'REF'"),
        (("inspect", "registry.example/Team/app"), "DARI-REFERENCE-MALFORMED"),
        (("push", "oci:x", "123456789012.dkr.ecr.eu-west-1.amazonaws.com:v1"), "needs a repository"),
        (("build", "--platform", "windows/amd64"), "DARI-PLATFORM-UNKNOWN"),
        (("explain", "DARI-NOPE"), "DARI-EXPLAIN-UNKNOWN"),
        (("validate", "reg.example/app:v1"), "oci:PATH"),
    ],
)
def test_wrong_use_ends_with_2_and_one_clear_line(dari: Dari, argv: tuple[str, ...], says: str) -> None:
    """Wrong use says what is wrong and exits with 2."""
    ran = dari(*argv)
    assert ran.code == 2
    assert says in ran.err


def test_a_project_without_a_file_is_named(dari: Dari, tmp_path: Path) -> None:
    """A folder without dari.toml is wrong use, with the way on."""
    ran = dari("build", tmp_path)
    assert ran.code == 2
    assert "dari.toml" in ran.err


def test_explain_expands_an_id(dari: Dari) -> None:
    """`dari explain ID` says what it means and what to do; without an id it lists all."""
    assert "what to do" in dari.ok("explain", "dari-disk-full").out
    assert dari.json("explain", "DARI-DISK-FULL")["id"] == "DARI-DISK-FULL"
    assert len(dari.json("explain")["ids"]) > 50


def test_a_reader_that_leaves_is_no_error(dari: Dari) -> None:
    """`dari explain | head -1` ends well and complains of nothing."""
    done = subprocess.run(
        ("bash", "-c", f"set -o pipefail; {DARI} explain | head -1"),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DARI_CACHE": str(dari.cache)},
    )
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(dari: Dari, shell: str) -> None:
    """Each shell's completion script names the program."""
    assert "_DARI_COMPLETE" in dari.ok("completion", shell).out


def test_bash_completes_commands() -> None:
    """Completion offers the commands that begin as typed."""
    environment = {**os.environ, "_DARI_COMPLETE": "bash_complete", "COMP_WORDS": "dari bu", "COMP_CWORD": "1"}
    done = subprocess.run((DARI,), env=environment, capture_output=True, text=True, check=False)
    assert "build" in done.stdout
    assert "push" not in done.stdout


def test_colour_is_for_terminals() -> None:
    """Escape codes reach a terminal, and never a pipe or a terminal under NO_COLOR."""
    plain = subprocess.run((DARI, "explain", "NOPE"), capture_output=True, text=True, check=False)
    assert "\x1b" not in plain.stderr
    assert "\x1b" in _on_terminal({})
    assert "\x1b" not in _on_terminal({"NO_COLOR": "1"})


def _on_terminal(more: dict[str, str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | more
    ours, theirs = pty.openpty()
    subprocess.run((DARI, "explain", "NOPE"), stderr=theirs, stdout=theirs, env=environment, check=False)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    return text


def test_the_cache_is_shown_and_emptied(dari: Dari) -> None:
    """`dari cache` counts; `--clear` empties what dari made and nothing else."""
    (dari.cache / "blobs/sha256").mkdir(parents=True)
    (dari.cache / "blobs/sha256/0").write_bytes(b"x" * 1000)
    (dari.cache / "notes.txt").write_text("mine")
    assert dari.json("cache")["bytes"] == 1000
    dari.ok("cache", "--clear")
    assert dari.json("cache")["bytes"] == 0
    assert (dari.cache / "notes.txt").exists()


def test_every_environment_variable_is_documented() -> None:
    """docs/reference/environment.md names each variable dari reads, and no other."""
    text = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    named = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert named == set(VARIABLES)
