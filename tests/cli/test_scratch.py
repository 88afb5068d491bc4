"""The embedded default: examples/train from nothing to an image, cold, and every stranger's opinion of it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import pytest

from dari.values.reference import Layout
from tests.support.oci import check_schema, run_bundle, unpacked
from tests.support.podman import Podman
from tests.support.program import DARI, ROOT, Dari
from tests.support.registry import RunningRegistry

pytestmark = pytest.mark.system

PEAK: Final = 250_000_000  # bytes, whatever the layers' size
NOBODY: Final = 65534
# A child's peak begins at what its parent had when it forked, so that a small process starts the program.
_LAUNCHER: Final = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as out:
    out.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(status)
"""


@dataclass(frozen=True, slots=True)
class Cold:
    """What a build with an empty cache left: the project, the layout, the document, the peak of memory in bytes."""

    dari: Dari
    folder: Path
    layout: Layout
    told: dict[str, Any]
    peak: int


def example(folder: Path) -> Path:
    """Copy the example without what building it in place may have left there."""
    return shutil.copytree(
        ROOT / "examples/train", folder, ignore=shutil.ignore_patterns("dari.lock", "out", "__pycache__")
    )


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Cold:
    """Build the example once with an empty cache; every test looks at that."""
    place = tmp_path_factory.mktemp("train")
    folder, layout = example(place / "project"), Layout(place / "out", "v1")
    done = subprocess.run(
        (sys.executable, "-c", _LAUNCHER, place / "peak", DARI, "build", folder, "--to", str(layout), "--json"),
        env={**os.environ, "DARI_CACHE": str(place / "cache")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Cold(Dari(place / "cache"), folder, layout, json.loads(done.stdout), int((place / "peak").read_text()))


@pytest.fixture(scope="module")
def bundle(cold: Cold, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the image as umoci unpacks it, every digest checked, for runc."""
    folder = tmp_path_factory.mktemp("bundle") / "train"
    unpacked(cold.layout, folder)
    return folder


def test_the_layout_is_valid_for_dari_and_for_strangers(cold: Cold) -> None:
    """dari's validator, the image-spec's schemas and its own tool, and skopeo accept the layout."""
    assert cold.dari.json("validate", str(cold.layout))["valid"]
    blobs = cold.layout.path / "blobs/sha256"
    check_schema((cold.layout.path / "index.json").read_bytes(), "image-index-schema.json")
    check_schema((cold.layout.path / "oci-layout").read_bytes(), "image-layout-schema.json")
    manifest = (blobs / cold.told["digest"].removeprefix("sha256:")).read_bytes()
    check_schema(manifest, "image-manifest-schema.json")
    config = (blobs / json.loads(manifest)["config"]["digest"].removeprefix("sha256:")).read_bytes()
    check_schema(config, "config-schema.json")
    said = _output("oci-image-tool", "validate", "--type", "image", "--ref", "name=v1", str(cold.layout.path))
    assert "Validation succeeded" in said
    assert json.loads(_output("skopeo", "inspect", str(cold.layout)))["Digest"] == cold.told["digest"]


def test_memory_stays_small(cold: Cold) -> None:
    """The whole cold build, uv and a wheel of 390 MB included, keeps below 250 MB in every process."""
    assert 10_000_000 < cold.peak <= PEAK


def test_the_training_runs_as_the_images_own_command(cold: Cold, bundle: Path) -> None:
    """runc runs what the image says to run: the loss falls, and the process ends well."""
    command = json.loads(_output("skopeo", "inspect", "--config", str(cold.layout)))["config"]["Cmd"]
    said = run_bundle(bundle, *command)
    first, last = said.split("loss ")[-1].splitlines()[0].split(" → ")
    assert command == ["python3", "train.py"]
    assert float(last) < float(first) / 1.5


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("dpkg", "-l", "python3", "libstdc++6", "libc6"), "ii  python3"),
        (("sh", "-c", "dpkg --audit && echo sound"), "sound"),
        (("sh", "-c", "dpkg --verify && echo sound"), "sound\n"),
        (("python3", "-c", "import ssl, sqlite3, ctypes; print('yes')"), "yes"),
        (("python3", "-c", "import importlib.metadata as m; print(m.version('numpy'), m.version('warp-lang'))"), "1."),
        (("python3", "-c", "import importlib.metadata as m; print(len(list(m.distributions())))"), "2\n"),
        (("sh", "-c", "getent passwd root; ls -ld /tmp"), "drwxrwxrwt"),
        (("find", "/usr/local", "-name", "RECORD", "-size", "0"), ""),
    ],
)
def test_the_container_is_sound(bundle: Path, command: tuple[str, ...], says: str) -> None:
    """dpkg, Python and its metadata agree with what was put there."""
    said = run_bundle(bundle, *command)
    assert says in said
    assert said.strip() or not says


def test_each_file_is_what_its_record_says(bundle: Path) -> None:
    """Python's own reader of RECORDs finds every file of the wheels, with the size and digest promised."""
    script = (
        "import importlib.metadata as m, hashlib, base64\n"
        "n = 0\n"
        "for f in [f for d in m.distributions() for f in d.files if f.hash]:\n"
        "    digest = hashlib.new(f.hash.mode, f.locate().read_bytes()).digest()\n"
        "    assert base64.urlsafe_b64encode(digest).decode().rstrip('=') == f.hash.value, f\n"
        "    n += 1\n"
        "print(n)\n"
    )
    assert int(run_bundle(bundle, "python3", "-c", script)) > 1000


def test_again_and_nothing_is_made(cold: Cold, tmp_path: Path) -> None:
    """Unchanged and with the network forbidden: all layers from the cache, the same digest, the lock untouched."""
    lock = (cold.folder / "dari.lock").read_bytes()
    told = cold.dari.json("--offline", "build", cold.folder, "--to", f"oci:{tmp_path}/again")
    assert told["digest"] == cold.told["digest"]
    assert all(layer["cached"] for layer in told["platforms"][0]["layers"])
    assert not told["lock_written"]
    assert (cold.folder / "dari.lock").read_bytes() == lock


def test_nobody_makes_the_same_image_on_a_cold_cache(cold: Cold, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No root is needed: an unprivileged user with a cache of its own comes to the same lock and the same digest."""
    place = Path(tmp_path_factory.mktemp("nobody"))
    for folder in (
        place,
        *(parent for parent in place.parents if parent.owner() == "root" and "pytest" in str(parent)),
    ):
        folder.chmod(0o755)
    project = example(place / "project")
    for path in (place, *project.rglob("*"), project):
        os.chown(path, NOBODY, NOBODY)
    program, environment = _for_nobody()
    done = subprocess.run(
        (*program, "build", project, "--to", f"oci:{place}/out:v1", "--json"),
        env={**os.environ, **environment, "DARI_CACHE": str(place / "cache"), "HOME": str(place)},
        user=NOBODY,
        group=NOBODY,
        extra_groups=(),
        cwd=place,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == cold.told["digest"]
    assert (project / "dari.lock").read_bytes() == (cold.folder / "dari.lock").read_bytes()
    assert (place / "out/index.json").stat().st_uid == NOBODY


def test_an_archive_is_read_by_skopeo_and_podman(cold: Cold, engine: Podman, tmp_path: Path) -> None:
    """`docker-archive:` is what `docker load` takes: skopeo reads it, podman loads it and runs what is inside."""
    archive = f"docker-archive:{tmp_path}/train.tar:dari/train:v1"
    told = cold.dari.json("build", cold.folder, "--to", archive)
    config = json.loads(_output("skopeo", "inspect", "--config", archive))
    assert config["config"]["Cmd"] == ["python3", "train.py"]
    assert told["platforms"][0]["digest"] == cold.told["platforms"][0]["digest"]
    engine.load(tmp_path / "train.tar")
    assert engine.run("dari/train:v1", "python3", "-c", "import numpy; print(numpy.ones(3).sum())") == "3.0\n"


def test_a_registry_gives_it_to_podman(cold: Cold, engine: Podman, registry: RunningRegistry) -> None:
    """Pushed to docker-registry, pulled and run by podman: the training again."""
    sent = cold.dari.json("push", str(cold.layout), f"{registry.host}/dari/train:v1")
    assert sent["digest"] == cold.told["digest"]
    assert "200 steps" in engine.run(f"{registry.host}/dari/train:v1")


def _for_nobody() -> tuple[tuple[str, ...], dict[str, str]]:
    """Return how an unprivileged user starts dari: this environment's Python may lie where only root may look."""
    site = Path(click.__file__).parents[1]
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    own = {"PYTHONPATH": f"{ROOT / 'src'}:{site}", "PYTHONDONTWRITEBYTECODE": "1"}
    for program, environment in (((str(DARI),), {}), ((system, "-m", "dari"), own)):
        with contextlib.suppress(OSError):
            tried = (*program, "--version")
            if subprocess.run(tried, user=NOBODY, env={**os.environ, **environment}, check=False).returncode == 0:
                return program, environment
    pytest.skip(f"no Python {sys.version_info.major}.{sys.version_info.minor} that an unprivileged user may start")


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr if argv[0] == "oci-image-tool" else done.stdout
