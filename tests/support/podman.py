"""Podman as a user's engine: its own storage in a folder, runc, no network of its own, plain HTTP to one registry."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Podman:
    """An engine with private storage; nothing of the machine's configuration takes part."""

    environment: dict[str, str]

    def run(self, image: str, *argv: str) -> str:
        """Run a command in a fresh container of `image` and return what it printed."""
        return self._call("run", "--rm", image, *argv)

    def pull(self, image: str) -> None:
        """Bring an image into the engine's own storage."""
        self._call("pull", "--quiet", image)

    def load(self, archive: Path) -> None:
        """Read what `docker save` would write."""
        self._call("load", "--quiet", "--input", str(archive))

    def _call(self, *argv: str) -> str:
        done = subprocess.run(
            ("podman", *argv),
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"podman {' '.join(argv)}: {done.stdout}\n{done.stderr}")
        return done.stdout


@contextlib.contextmanager
def podman(folder: Path, registry_host: str) -> Iterator[Podman]:
    """Set podman up under `folder`. Its limits are this process's own: a small machine may not raise them."""
    folder.mkdir(parents=True)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    tasks = Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii").strip()
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver="overlay"\ngraphroot="{folder}/root"\nrunroot="{folder}/run"\n', encoding="utf-8"
    )
    (folder / "containers.conf").write_text(
        '[containers]\nnetns="host"\nipcns="host"\nutsns="host"\ncgroupns="host"\nlog_driver="k8s-file"\n'
        f'default_ulimits=["nofile={files}:{files}","nproc={tasks}:{tasks}"]\n'
        '[engine]\nruntime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="file"\nlock_type="file"\n'
        f'tmp_dir="{folder}/tmp"\n',  # else two engines share /run/libpod, and each waits for the other's containers
        encoding="utf-8",
    )
    (folder / "registries.conf").write_text(
        f'unqualified-search-registries=[]\n[[registry]]\nlocation="{registry_host}"\ninsecure=true\n', encoding="utf-8"
    )
    engine = Podman(
        {
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        }
    )
    try:
        yield engine
    finally:
        with contextlib.suppress(AssertionError):
            engine._call("system", "reset", "--force")
