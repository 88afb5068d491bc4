"""Debian's docker-registry on a free loopback port, for tests: open, or behind a login."""

import base64
import contextlib
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

USER: Final = "dari"
PASSWORD: Final = "correct horse: battery"  # noqa: S105 - of a registry that lives for one test
# bcrypt of PASSWORD at the lowest cost; docker-registry reads no other kind.
_HTPASSWD: Final = "dari:$2y$04$abcdefghijklmnopqrstuuLWwnUiysqxaAvQXpJaPAchjKHrkmxwG\n"
_REQUEST: Final = re.compile(r'\] "([A-Z]+) (\S+) HTTP/')
_START_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """A registry that runs. `host` is `127.0.0.1:PORT`; `folder` is where it keeps its storage."""

    host: str
    folder: Path

    def requests(self) -> list[tuple[str, str]]:
        """Return method and path of every request that was answered so far, from the access log."""
        return _REQUEST.findall((self.folder / "log").read_text(encoding="utf-8"))


@contextlib.contextmanager
def running_registry(
    folder: Path, *, login: bool = False, certificate: tuple[Path, Path] | None = None
) -> Iterator[RunningRegistry]:
    """Run docker-registry over `folder`; with `login` for USER alone; over TLS with (certificate, key)."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn"},  # beside it, a line for each request: see `requests`
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"}
        | ({"tls": {"certificate": str(certificate[0]), "key": str(certificate[1])}} if certificate else {}),
    }
    if login:
        (folder / "htpasswd").write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "registry.json").write_text(json.dumps(settings))  # JSON is YAML
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(("docker-registry", "serve", folder / "registry.json"), stdout=log, stderr=log) as process,
    ):
        try:
            _wait(port, process)
            yield RunningRegistry(f"127.0.0.1:{port}", folder)
        finally:
            process.terminate()


def write_login(path: Path, host: str, *, password: str = PASSWORD) -> Path:
    """Write a Docker credential file with a login for `host`."""
    packed = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": packed}}}))
    return path


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"docker-registry does not answer on port {port} (status {process.poll()})")
