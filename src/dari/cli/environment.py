"""The only reader of environment variables: they become Settings once, at the door."""

import os
from pathlib import Path
from typing import Final

import click

from dari.values.settings import Settings

# Every variable dari reads, and what for (docs/reference/environment.md is checked against this table).
VARIABLES: Final = {
    "DARI_CACHE": "where dari keeps its cache (default: $XDG_CACHE_HOME/dari, else ~/.cache/dari)",
    "DARI_DEBUG": "print the traceback of a bug",
    "DARI_INSECURE_REGISTRIES": "registries (host:port, comma-separated) spoken to without TLS; loopback may always be",
    "DARI_UPLOADS": "layers in flight at once (default 8)",
    "DOCKER_CONFIG": "folder of Docker's config.json, read for credentials",
    "NO_COLOR": "no colour, whatever the terminal",
    "REGISTRY_AUTH_FILE": "credentials file in the format of containers-auth.json",
    "SOURCE_DATE_EPOCH": "the time, in seconds since 1970, that images are said to be created at (default 0)",
    "XDG_CACHE_HOME": "base of the default cache folder",
    "XDG_RUNTIME_DIR": "where podman login keeps its credentials",
}
_LATEST_TIME: Final = 253_402_300_799  # the last second that RFC 3339 can write: 9999-12-31T23:59:59Z
_MOST_DIGITS: Final = 20


def variable(name: str) -> str:
    """Return a declared variable's value, empty where unset."""
    if name not in VARIABLES:
        raise KeyError(name)
    return os.environ.get(name, "")


def settings(context: click.Context) -> Settings:
    """Make the run's settings from the environment and the front door's flags."""
    home = Path.home()
    flags = context.find_root().obj
    cache = variable("DARI_CACHE") or str(Path(variable("XDG_CACHE_HOME") or home / ".cache") / "dari")
    return Settings(
        cache=Path(cache).expanduser(),
        docker_configs=_credential_files(home),
        insecure_registries=(*filter(None, variable("DARI_INSECURE_REGISTRIES").split(",")), *flags["insecure"]),
        offline=flags["offline"],
        uploads=_number("DARI_UPLOADS", 8, range(1, 65)),
        workers=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        epoch=_number("SOURCE_DATE_EPOCH", 0, range(_LATEST_TIME + 1)),
    )


def _credential_files(home: Path) -> tuple[Path, ...]:
    """List credential files in the order skopeo and docker between them ask."""
    candidates = [
        variable("REGISTRY_AUTH_FILE"),
        variable("XDG_RUNTIME_DIR") and f"{variable('XDG_RUNTIME_DIR')}/containers/auth.json",
        str(home / ".config/containers/auth.json"),
        str(Path(variable("DOCKER_CONFIG") or home / ".docker") / "config.json"),
    ]
    return tuple(Path(name) for name in candidates if name)


def _number(name: str, default: int, allowed: range) -> int:
    text = variable(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS and int(text) in allowed):
        wanted = f"a whole number from {allowed.start} to {allowed.stop - 1}"
        raise click.UsageError(f"{name}={text!r} in the environment is not {wanted}")
    return int(text)
