"""dari as a user runs it: a process of its own, with a cache of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

ROOT = Path(__file__).parents[2]
DARI = Path(sys.executable).parent / "dari"
SCHEMAS = ROOT / "docs/reference/schema"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Dari:
    """The program with its cache under `cache`."""

    cache: Path
    environment: dict[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()  # a program that starts it: as another user, with less memory

    def __call__(self, *argv: str | Path, folder: Path | None = None, timeout: float = 280) -> Ran:
        """Run `dari argv…` to its end."""
        done = subprocess.run(
            (*self.launcher, DARI, *map(str, argv)),
            cwd=folder,
            env={**os.environ, "DARI_CACHE": str(self.cache), "NO_COLOR": "1", **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *argv: str | Path) -> Ran:
        """Run a command that must end well."""
        ran = self(*argv)
        assert ran.code == 0, f"dari {' '.join(map(str, argv))} ended with {ran.code}:\n{ran.out}\n{ran.err}"
        return ran

    def json(self, *argv: str | Path) -> dict[str, Any]:
        """Run a command that must end well, with --json, and hold its document against its schema."""
        document: dict[str, Any] = json.loads(self.ok(*argv, "--json").out)
        kind = document["schema"].split("/")[1]
        jsonschema.validate(document, json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8")))
        return document
