"""Arguments, environment and terminal. One file a command: parse, one call to flow, one report."""

from dari.cli.main import run

__all__ = ["run"]
