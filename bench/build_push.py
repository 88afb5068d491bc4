"""Build and push the same project with dari and with buildah: one base, one loopback registry, figures and ratios.

    python bench/build_push.py [--base-mb 2048] [--requirements tokenizers pyarrow …]

Cold: both caches empty, the base already in the registry (and, for dari, its lock committed and its inventory
attached there, as a team has them). Then one changed line with warm caches, then nothing changed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.ngc import ngc_layout, push_to  # noqa: E402 - found through the line above
from tests.support.registry import running_registry  # noqa: E402

DARI = Path(sys.executable).parent / "dari"
CA = "/etc/ssl/certs/ca-certificates.crt"
REQUIREMENTS = (
    "transformers==4.51.3",
    "datasets==3.5.0",
    "accelerate==1.6.0",
    "sentencepiece==0.2.0",
    "tqdm",
    "psutil",
)


@dataclass(frozen=True)
class Run:
    """One timed command: seconds of wall time and peak memory of its largest process in MB."""

    seconds: float
    memory: float


def timed(argv: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> Run:
    """Run a command to a good end and time it."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as complaint:
        process = subprocess.Popen(
            argv, cwd=folder, env={**os.environ, **environment}, stdout=complaint, stderr=complaint
        )
        _, status, usage = os.wait4(process.pid, 0)  # of this process and those it waited for, not of earlier ones
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            complaint.seek(0)
            sys.exit(
                f"{' '.join(map(str, argv))} ended with {process.returncode}:\n{complaint.read().decode()[-3000:]}"
            )
    return Run(time.perf_counter() - begin, usage.ru_maxrss / 1000)


@dataclass(frozen=True)
class Peer:
    """A side of the comparison: the commands that build and push, and the folder that is its whole cache."""

    name: str
    commands: tuple[tuple[str | Path, ...], ...]
    environment: Mapping[str, str]
    cache: Path

    def run(self, folder: Path) -> Run:
        """Build and push once."""
        runs = [timed(argv, self.environment, folder) for argv in self.commands]
        return Run(sum(run.seconds for run in runs), max(run.memory for run in runs))

    def forget(self) -> None:
        """Empty the cache."""
        if self.name == "buildah":
            subprocess.run(
                ["buildah", "rm", "-a"], env={**os.environ, **self.environment}, capture_output=True, check=False
            )
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache.mkdir(parents=True)


def dari(host: str, work: Path, project: Path) -> Peer:
    """Describe dari's side."""
    cache = work / "dari-cache"
    command = (DARI, "-q", "build", project, "--to", f"{host}/bench/dari:v1")
    return Peer("dari", (command,), {"DARI_CACHE": str(cache)}, cache)


def buildah(host: str, work: Path, project: Path) -> Peer:
    """Describe buildah's side: chroot isolation, overlay storage, pip's cache switched off as in most Dockerfiles."""
    cache = work / "buildah"
    (work / "storage.conf").write_text(
        f'[storage]\ndriver="overlay"\ngraphroot="{cache}/root"\nrunroot="{cache}/run"\n', encoding="utf-8"
    )
    image = f"{host}/bench/buildah:v1"
    build = (
        "buildah",
        "bud",
        "--isolation=chroot",
        "--network=host",
        "--layers",
        "--tls-verify=false",
        "-v",
        f"{CA}:{CA}:ro",
    )
    commands = ((*build, "-t", image, project), ("buildah", "push", "--tls-verify=false", image))
    return Peer("buildah", commands, {"CONTAINERS_STORAGE_CONF": str(work / "storage.conf")}, cache)


def write_project(folder: Path, base: str, requirements: Sequence[str]) -> None:
    """Write the project twice over: dari.toml, and the Dockerfile that says the same."""
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    (folder / "train.py").write_text("print('step 0')\n", encoding="utf-8")
    (folder / "dari.toml").write_text(
        f'base = "{base}"\nfiles = ["train.py"]\nworkdir = "/workspace"\ncmd = ["python3", "train.py"]\n',
        encoding="utf-8",
    )
    (folder / "Dockerfile").write_text(
        f"FROM {base}\nWORKDIR /workspace\nCOPY requirements.txt /tmp/\n"
        "RUN python3 -m pip install --no-cache-dir --break-system-packages -r /tmp/requirements.txt\n"
        'COPY train.py /workspace/\nCMD ["python3", "train.py"]\n',
        encoding="utf-8",
    )


@contextmanager
def world(base_megabytes: int, requirements: Sequence[str]) -> Iterator[tuple[Path, tuple[Peer, Peer]]]:
    """Set up a registry with the base in it, the project, the lock and the inventory."""
    with tempfile.TemporaryDirectory(prefix="dari-bench-") as name:
        work = Path(name)
        with running_registry(work / "registry") as registry:
            push_to(
                ngc_layout(ROOT / ".cache/tests", padding_mb=base_megabytes),
                registry.host,
                "nvidia/pytorch",
                "24.12-py3",
            )
            base = f"{registry.host}/nvidia/pytorch:24.12-py3"
            write_project(work / "project", base, requirements)
            peers = (dari(registry.host, work, work / "project"), buildah(registry.host, work, work / "project"))
            timed((DARI, "-q", "bases", "scan", base, "--attach"), peers[0].environment, work)
            timed((DARI, "-q", "lock", work / "project"), peers[0].environment, work)
            yield work, peers


def measure(folder: Path, peers: tuple[Peer, Peer]) -> dict[str, dict[str, Run]]:
    """Time each side in each situation."""
    results: dict[str, dict[str, Run]] = {"cold": {}, "one line changed": {}, "nothing changed": {}}
    for peer in peers:
        peer.forget()
        results["cold"][peer.name] = peer.run(folder)
        source = folder / "project/train.py"
        source.write_text(source.read_text(encoding="utf-8") + f"print('changed for {peer.name}')\n", encoding="utf-8")
        results["one line changed"][peer.name] = peer.run(folder)
        results["nothing changed"][peer.name] = peer.run(folder)
    return results


def main() -> None:
    """Measure and print a table (or JSON)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-mb", type=int, default=2048)
    parser.add_argument("--requirements", nargs="+", default=REQUIREMENTS)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with world(chosen.base_mb, chosen.requirements) as (folder, peers):
        results = measure(folder, peers)
    if chosen.json:
        print(json.dumps({case: {name: vars(run) for name, run in runs.items()} for case, runs in results.items()}))
        return
    print(f"{'':18}{'dari':>10}{'buildah':>10}{'ratio':>9}{'dari MB':>10}{'buildah MB':>12}")
    for case, runs in results.items():
        ours, theirs = runs["dari"], runs["buildah"]
        print(
            f"{case:18}{ours.seconds:9.2f}s{theirs.seconds:9.2f}s{theirs.seconds / ours.seconds:8.1f}x"
            f"{ours.memory:10.0f}{theirs.memory:12.0f}"
        )


if __name__ == "__main__":
    main()
