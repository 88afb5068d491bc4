"""Build and push the same project with dari and with buildah: one base, one loopback registry, figures and ratios.

    python bench/build_push.py [--base-mb 2048] [--requirements tokenizers pyarrow …]

Cold: both caches empty, the base already in the registry (and, for dari, its lock committed and its inventory
attached there, as a team has them). Then one changed line with warm caches, then nothing changed. buildah builds from
two Dockerfiles: `COPY . .` before `RUN pip install`, as most have it, and the careful one that copies the source last.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
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


# A process of its own, small: a child's peak memory as the kernel counts it begins with its parent's.
LAUNCHER = """
import os, resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
open(sys.argv[1], "w").write(f"{time.perf_counter() - begin} {used}")
sys.exit(code)
"""


def timed(argv: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> Run:
    """Run a command to a good end and time it."""
    figures = folder / "figures.txt"
    command = (sys.executable, "-I", "-S", "-c", LAUNCHER, figures, *argv)
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{done.stderr.decode()[-3000:]}")
    seconds, memory = figures.read_text(encoding="ascii").split()
    return Run(float(seconds), float(memory))


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
        if self.name != "dari":
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


def buildah(host: str, work: Path, project: Path, *, dockerfile: str) -> Peer:
    """Describe buildah's side: chroot isolation, overlay storage, its own layer cache on."""
    name = "buildah" if dockerfile == "Dockerfile" else "buildah, source last"
    cache = work / f"buildah-{dockerfile}"
    configuration = work / f"{cache.name}.conf"
    configuration.write_text(
        f'[storage]\ndriver="overlay"\ngraphroot="{cache}/root"\nrunroot="{cache}/run"\n', encoding="utf-8"
    )
    image = f"{host}/bench/{cache.name.lower()}:v1"
    options = ("--isolation=chroot", "--network=host", "--layers", "--tls-verify=false", "-v", f"{CA}:{CA}:ro")
    build = ("buildah", "bud", *options, "-f", project / dockerfile, "-t", image, project)
    push = ("buildah", "push", "--tls-verify=false", image)
    return Peer(name, (build, push), {"CONTAINERS_STORAGE_CONF": str(configuration)}, cache)


def write_project(folder: Path, base: str, requirements: Sequence[str]) -> None:
    """Write dari.toml and two Dockerfiles that say the same: source copied first, as most have it, and last."""
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    (folder / "train.py").write_text("print('step 0')\n", encoding="utf-8")
    (folder / "dari.toml").write_text(
        f'base = "{base}"\nfiles = ["train.py"]\nworkdir = "/workspace"\ncmd = ["python3", "train.py"]\n',
        encoding="utf-8",
    )
    install = "RUN python3 -m pip install --no-cache-dir --break-system-packages -r requirements.txt\n"
    command = 'CMD ["python3", "train.py"]\n'
    begin = f"FROM {base}\nWORKDIR /workspace\n"
    (folder / "Dockerfile").write_text(f"{begin}COPY . .\n{install}{command}", encoding="utf-8")
    (folder / "Dockerfile.ordered").write_text(
        f"{begin}COPY requirements.txt .\n{install}COPY train.py .\n{command}", encoding="utf-8"
    )


@contextmanager
def world(base_megabytes: int, requirements: Sequence[str]) -> Iterator[tuple[Path, tuple[Peer, ...]]]:
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
            project = work / "project"
            peers = (
                dari(registry.host, work, project),
                buildah(registry.host, work, project, dockerfile="Dockerfile"),
                buildah(registry.host, work, project, dockerfile="Dockerfile.ordered"),
            )
            timed((DARI, "-q", "bases", "scan", base, "--attach"), peers[0].environment, work)
            timed((DARI, "-q", "lock", work / "project"), peers[0].environment, work)
            yield work, peers


def measure(folder: Path, peers: tuple[Peer, ...]) -> dict[str, dict[str, Run]]:
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
    for case, runs in results.items():
        ours = runs["dari"]
        print(f"{case:17} dari {ours.seconds:7.2f} s {ours.memory:4.0f} MB", end="")
        for name, theirs in list(runs.items())[1:]:
            print(f"   {name} {theirs.seconds:7.2f} s: {theirs.seconds / ours.seconds:6.1f}x", end="")
        print()


if __name__ == "__main__":
    main()
