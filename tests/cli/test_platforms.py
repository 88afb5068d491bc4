"""Several platforms from one host: an index whose images are each of their own machine, on scratch and on a base."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from dari.image import write_layout
from dari.lock import read_lock
from dari.system import Store
from dari.values.progress import Silent
from dari.values.reference import Layout
from tests.cli.conftest import project
from tests.support.oci import AMD64, ARM64, check_schema, file, image, unpacked
from tests.support.podman import Podman
from tests.support.program import Dari
from tests.support.registry import RunningRegistry

pytestmark = pytest.mark.system

BOTH: Final = "linux/amd64,linux/arm64"
MACHINES: Final = {"linux/amd64": 62, "linux/arm64": 183}  # e_machine (elf.h): EM_X86_64, EM_AARCH64
SCRIPT: Final = "import markupsafe._speedups, platform\nprint('on', platform.machine())\n"
TOML: Final = 'base = "scratch"\napt = ["python3"]\nfiles = ["main.py"]\ncmd = ["python3", "main.py"]\n'


@dataclass(frozen=True, slots=True)
class Pair:
    """The project, its layout for both platforms, and what `dari build` told."""

    folder: Path
    layout: Layout
    told: dict[str, Any]

    def unpacked(self, place: Path, platform: str) -> Path:
        """Unpack one platform's image; umoci takes a tag for one image alone."""
        digest = next(one["digest"] for one in self.told["platforms"] if one["platform"] == platform)
        command = ("skopeo", "copy", "-q", "--insecure-policy", "--override-arch", platform.partition("/")[2])
        single = Layout(place / "single", "one")
        subprocess.run((*command, str(self.layout), str(single)), check=True, timeout=120)
        assert json.loads((single.path / "index.json").read_bytes())["manifests"][0]["digest"] == digest
        return unpacked(single, place / "bundle")


@pytest.fixture(scope="module")
def pair(warm: Dari, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Build Debian's Python, a wheel with a compiled module and a script for both platforms, once."""
    place = tmp_path_factory.mktemp("both")
    folder = project(place / "project", TOML, {"requirements.txt": "markupsafe==3.0.3\n", "main.py": SCRIPT})
    layout = Layout(place / "out", "v1")
    return Pair(folder, layout, warm.json("build", folder, "--platform", BOTH, "--to", str(layout)))


@pytest.fixture(scope="module")
def arm64(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the arm64 image's root file system."""
    return pair.unpacked(tmp_path_factory.mktemp("arm64"), "linux/arm64")


def elf_machines(root: Path) -> Iterator[int]:
    """Yield the machine of every ELF file below `root`."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                head = stream.read(20)
            if head.startswith(b"\x7fELF"):
                yield int.from_bytes(head[18:20], "little")


def test_the_index_names_both(pair: Pair, warm: Dari) -> None:
    """The layout's tag is an index of two images with their platforms, valid for dari and by the specification."""
    raw = _raw(str(pair.layout))
    check_schema(raw, "image-index-schema.json")
    entries = {f"linux/{entry['platform']['architecture']}": entry["digest"] for entry in json.loads(raw)["manifests"]}
    assert entries == {one["platform"]: one["digest"] for one in pair.told["platforms"]}
    assert warm.json("validate", str(pair.layout))["valid"]


def test_the_lock_holds_both(pair: Pair) -> None:
    """One lock: each platform with its own wheel, its own packages and the same version of Python."""
    lock = read_lock((pair.folder / "dari.lock").read_bytes(), "dari.lock")
    assert [one.platform for one in lock.platforms] == [AMD64, ARM64]
    assert [one.wheels[0].filename.rpartition("_")[2] for one in lock.platforms] == ["64.whl", "aarch64.whl"]
    assert [{deb.architecture for deb in one.debs} for one in lock.platforms] == [{"amd64", "all"}, {"arm64", "all"}]
    assert len({one.python.dotted for one in lock.platforms if one.python}) == 1


def test_every_binary_is_of_its_machine(pair: Pair, arm64: Path, tmp_path: Path) -> None:
    """No amd64 file in the arm64 image nor the other way round, of hundreds."""
    for platform, root in (("linux/arm64", arm64), ("linux/amd64", pair.unpacked(tmp_path, "linux/amd64"))):
        machines = list(elf_machines(root))
        assert len(machines) > 200
        assert set(machines) == {MACHINES[platform]}


def test_dpkg_knows_its_architecture(arm64: Path) -> None:
    """This machine's dpkg reads the arm64 image's records: arm64 packages, all installed."""
    command = ("dpkg-query", f"--admindir={arm64}/var/lib/dpkg", "-W", "-f", "${Architecture} ${db:Status-Status}\n")
    rows = set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines())
    assert rows == {"arm64 installed", "all installed"}


def test_a_foreign_processor_runs_it(arm64: Path) -> None:
    """qemu runs the arm64 image's Python, its compiled modules and dpkg, as a container on such a machine would."""
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if qemu is None:
        pytest.skip("no qemu-user on this machine (apt-get install qemu-user)")
    python = (qemu, "-L", str(arm64), "-E", f"PYTHONHOME={arm64}/usr", str(arm64 / "usr/bin/python3.11"))
    site = f"import sys; sys.path.append({str(arm64 / 'usr/local/lib/python3.11/dist-packages')!r})\n"
    script = f"{site}{SCRIPT}import ssl, sqlite3, ctypes\n"
    done = subprocess.run((*python, "-c", script), capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "on aarch64\n", done.stderr
    dpkg = (qemu, "-L", str(arm64), str(arm64 / "usr/bin/dpkg"), "--print-architecture")
    assert subprocess.run(dpkg, capture_output=True, text=True, check=True, timeout=60).stdout == "arm64\n"
    audit = (*dpkg[:-1], f"--admindir={arm64}/var/lib/dpkg", "--audit")
    assert subprocess.run(audit, capture_output=True, text=True, check=True, timeout=60).stdout == ""


def test_a_registry_holds_the_index(pair: Pair, warm: Dari, registry: RunningRegistry, engine: Podman) -> None:
    """Built again straight to a registry: the same index there; podman takes its machine's image and runs it."""
    name = f"{registry.host}/both/app:v1"
    told = warm.json("build", pair.folder, "--platform", BOTH, "--to", name)
    assert told["digest"] == pair.told["digest"]
    assert _raw(f"docker://{name}") == _raw(str(pair.layout))
    assert engine.run(name) == "on x86_64\n"
    assert warm.json("build", pair.folder, "--platform", BOTH, "--to", name)["push"]["unchanged"]
    sent = warm.json("push", str(pair.layout), f"{registry.host}/pushed/app:v1")
    assert sent["digest"] == pair.told["digest"]


def test_inspect_shows_the_platform_that_was_asked_for(pair: Pair, warm: Dari, registry: RunningRegistry) -> None:
    """`inspect --platform` reads that image; one that isn't there is named with those that are."""
    name = f"{registry.host}/inspected/app:v1"
    warm.ok("push", str(pair.layout), name)
    for one in pair.told["platforms"]:
        told = warm.json("inspect", name, "--platform", one["platform"])
        assert told["digest"] == one["digest"]
        assert told["platforms"] == BOTH.split(",")
        assert told["facts"]["platform"]["value"] == one["platform"]
    ran = warm("inspect", name, "--platform", "linux/s390x")
    assert ran.code == 2
    assert "linux/arm64" in ran.err


def test_a_lock_grows_when_another_platform_is_asked_for(warm: Dari, pair: Pair, tmp_path: Path) -> None:
    """A lock of one platform: `--locked` refuses another and says why; without it the lock is made to hold both."""
    folder = shutil.copytree(pair.folder, tmp_path / "project")
    (folder / "dari.lock").unlink()
    warm.ok("lock", folder, "--platform", "linux/amd64")
    ran = warm("build", folder, "--platform", "linux/arm64", "--locked", "--to", f"oci:{tmp_path}/out")
    assert ran.code == 2
    assert "DARI-LOCK-STALE" in ran.err
    assert "linux/arm64" in ran.err
    told = warm.json("build", folder, "--platform", "linux/arm64", "--to", f"oci:{tmp_path}/out:v1")
    assert [one["platform"] for one in told["platforms"]] == ["linux/arm64"]
    again = warm.json("build", folder, "--platform", BOTH, "--to", f"oci:{tmp_path}/two:v1")
    assert again["digest"] == pair.told["digest"]


def test_a_base_with_two_platforms_keeps_both(warm: Dari, registry: RunningRegistry, tmp_path: Path) -> None:
    """On an index as the base each platform's image stands on its own platform's layers."""
    layout = Layout(tmp_path / "base", "1")
    bases = tuple(
        image(Store(tmp_path / "store"), (file("etc/machine", str(one).encode()),), platform=one)
        for one in (AMD64, ARM64)
    )
    write_layout(layout, bases, complete=True, progress=Silent())
    name = f"{registry.host}/two/base:1"
    warm.ok("push", str(layout), name)
    folder = project(tmp_path / "p", f'base = "{name}"\nfiles = ["a.txt"]\ncmd = ["a"]\n', {"a.txt": "a"})
    told = warm.json("build", folder, "--platform", BOTH, "--to", f"{registry.host}/two/app:1")
    lock = read_lock((folder / "dari.lock").read_bytes(), "dari.lock")
    assert {one.platform: one.manifest for one in lock.platforms} == {one.config.platform: one.digest for one in bases}
    for one, base in zip(told["platforms"], bases, strict=True):
        found = warm.json("inspect", f"{registry.host}/two/app:1", "--platform", one["platform"])
        assert found["layers"][0]["digest"] == str(base.layers[0].descriptor.digest)
        assert len(found["layers"]) == 2


def test_a_base_without_the_platform_is_refused(warm: Dari, registry: RunningRegistry, tmp_path: Path) -> None:
    """A base of one platform can't make an image of another, and nothing is locked."""
    layout = Layout(tmp_path / "base", "1")
    only = image(Store(tmp_path / "store"), (file("etc/machine", b"amd64"),), platform=AMD64)
    write_layout(layout, (only,), complete=True, progress=Silent())
    name = f"{registry.host}/one/base:1"
    warm.ok("push", str(layout), name)
    folder = project(tmp_path / "p", f'base = "{name}"\nfiles = ["a.txt"]\n', {"a.txt": "a"})
    ran = warm("build", folder, "--platform", BOTH, "--to", f"{registry.host}/one/app:1")
    assert ran.code == 2
    assert "DARI-" in ran.err
    assert "linux/arm64" in ran.err
    assert not (folder / "dari.lock").exists()


def test_an_archive_holds_one_platform(warm: Dari, pair: Pair, tmp_path: Path) -> None:
    """Docker's archive has no index: two platforms are refused with the way out; one of them is written."""
    archive = tmp_path / "image.tar"
    ran = warm("build", pair.folder, "--platform", BOTH, "--to", f"docker-archive:{archive}:app:1")
    assert ran.code == 2
    assert "DARI-PLATFORM-ARCHIVE" in ran.err
    assert not archive.exists()
    warm.ok("build", pair.folder, "--platform", "linux/arm64", "--to", f"docker-archive:{archive}:app:1")
    command = ("skopeo", "inspect", "--config", f"docker-archive:{archive}")
    config = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert config["architecture"] == "arm64"


def _raw(location: str) -> bytes:
    command = ("skopeo", "inspect", "--raw", "--tls-verify=false", location)
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
