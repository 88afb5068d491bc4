"""The main job on an NGC-shaped base in a registry: lock, build, push, run; the base untouched and not downloaded."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import project
from tests.support.podman import Podman
from tests.support.program import Dari
from tests.support.registry import RunningRegistry

pytestmark = pytest.mark.system

REQUIREMENTS = "torch>=2.4\nnumpy<2\npyyaml\ntokenizers==0.21.1\ntqdm==4.67.1\n"


def toml(base: str, more: str = "") -> str:
    """Return a dari.toml on `base`."""
    return f'base = "{base}"\nfiles = ["train.py"]\ncmd = ["python3", "train.py"]\n{more}'


@pytest.fixture(scope="module")
def folder(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with wheels of its own, Debian packages and a training script."""
    script = "import tokenizers, torch, yaml, numpy\nprint('step 0', torch.__version__, numpy.__version__)\n"
    return project(
        tmp_path_factory.mktemp("project"),
        toml(base, 'apt = ["git", "libgl1"]\n'),
        {"requirements.txt": REQUIREMENTS, "train.py": script},
    )


@pytest.fixture(scope="module")
def built(warm: Dari, folder: Path, registry: RunningRegistry) -> dict[str, Any]:
    """Return what `dari build` told of building the project straight to the registry."""
    return warm.json("build", folder, "--to", f"{registry.host}/team/app:v1")


def test_the_image_runs_with_the_bases_own_torch(
    built: dict[str, Any], engine: Podman, registry: RunningRegistry
) -> None:
    """Podman pulls what was pushed and runs its command: our wheels beside the base's torch and numpy."""
    assert built["push"]["digest"] == built["digest"]
    assert "step 0 2.6.0a0+df5bbc09d1.nv24.12 1.26.4" in engine.run(f"{registry.host}/team/app:v1")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("python3 -m pip check", "No broken requirements found"),
        ("python3 -m pip list", "tokenizers         0.21.1"),
        ("tqdm --version", "4.67.1"),
        ("git --version", "git version"),
        ("dpkg -l git libgl1", "ii  git"),
        ("dpkg --audit && echo sound", "sound"),
        ("dpkg --verify git libgl1 && echo sound", "sound"),
        ("apt-get install -s --no-install-recommends git", "git is already the newest version"),
        ("cat /etc/pip/constraint.txt", "torch"),
        ("find / -xdev -name '.wh.*' | wc -l", "0"),
    ],
)
def test_the_container_is_sound(engine: Podman, registry: RunningRegistry, command: str, says: str) -> None:
    """pip, dpkg and apt agree with what was put there; entry points run."""
    said = " ".join(engine.run(f"{registry.host}/team/app:v1", "sh", "-c", command).split())
    assert " ".join(says.split()) in said


def test_the_base_is_mounted_not_downloaded(dari: Dari, folder: Path, base: str, registry: RunningRegistry) -> None:
    """A build with an empty cache asks the registry for no layer of the base: its bytes never leave it."""
    dari.ok("bases", "scan", base, "--attach")
    dari.ok("cache", "--clear")
    layers = {layer["digest"] for layer in dari.json("inspect", base)["layers"]}
    before = registry.requests()
    told = dari.json("build", folder, "--locked", "--to", f"{registry.host}/elsewhere/app:v1")
    asked = registry.requests()[len(before) :]
    assert told["push"]["blobs"]["mounted"] == len(layers)
    assert any(method == "PUT" and "/manifests/" in path for method, path in asked)
    assert not [path for method, path in asked if method == "GET" and path.rpartition("/")[2] in layers]


def test_one_changed_line_sends_one_small_layer(
    warm: Dari, built: dict[str, Any], folder: Path, registry: RunningRegistry
) -> None:
    """After a change of source only the project's layer, the config and the manifest go out."""
    target = f"{registry.host}/team/app:v1"
    script = (folder / "train.py").read_text(encoding="utf-8")
    (folder / "train.py").write_text(script + "# changed\n", encoding="utf-8")
    changed = warm.json("build", folder, "--to", target)
    (folder / "train.py").write_text(script, encoding="utf-8")
    assert changed["digest"] != built["digest"]
    assert changed["push"]["blobs"]["uploaded"] == 2  # the layer and the config
    assert changed["push"]["sent_bytes"] < 20_000
    assert warm.json("build", folder, "--to", target)["digest"] == built["digest"]


def test_nothing_changed_sends_nothing(
    warm: Dari, built: dict[str, Any], folder: Path, registry: RunningRegistry
) -> None:
    """The same project again: every layer from the cache, the same digest, no byte sent."""
    warm.ok("build", folder, "--to", f"{registry.host}/team/app:v1")
    again = warm.json("build", folder, "--to", f"{registry.host}/team/app:v1")
    assert again["digest"] == built["digest"]
    assert again["push"]["unchanged"]
    assert all(layer["cached"] for one in again["platforms"] for layer in one["layers"])


def test_two_machines_make_one_digest(
    dari: Dari, built: dict[str, Any], folder: Path, registry: RunningRegistry
) -> None:
    """One lock, an empty cache, another number of processors: the same digest."""
    dari.environment["SOURCE_DATE_EPOCH"] = "0"
    told = dari.json("build", folder, "--locked", "--to", f"{registry.host}/other/app:v1")
    assert told["digest"] == built["digest"]


def test_a_second_lock_takes_no_network(warm: Dari, built: dict[str, Any], folder: Path) -> None:
    """An unchanged project is locked and built into a layout with the network forbidden."""
    assert built["platforms"]
    assert warm.json("--offline", "lock", folder)["changed"] is False
    told = warm.json("--offline", "build", folder, "--to", f"oci:{folder}/out")
    assert told["sparse"]
    assert told["digest"] == built["digest"]


def test_a_sparse_layout_is_pushed_with_its_base(
    warm: Dari, built: dict[str, Any], folder: Path, registry: RunningRegistry
) -> None:
    """`build --to oci:` without the base, then `push`: the registry mounts what the layout only names."""
    warm.ok("build", folder, "--to", f"oci:{folder}/sparse:v1")
    sent = warm.json("push", f"oci:{folder}/sparse:v1", f"{registry.host}/third/app:v1")
    assert sent["digest"] == built["digest"]
    assert sent["blobs"]["mounted"] >= built["platforms"][0]["base_layers"]


def test_a_complete_layout_is_valid_for_strangers(warm: Dari, folder: Path) -> None:
    """`--complete` writes the base's layers too: dari's own validator and skopeo read the whole image."""
    warm.ok("build", folder, "--complete", "--to", f"oci:{folder}/whole:v1")
    assert warm.json("validate", f"oci:{folder}/whole:v1")["valid"]
    shown = subprocess.run(
        ("skopeo", "inspect", f"oci:{folder}/whole:v1"), capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(shown.stdout)["Architecture"] == "amd64"
    archive = folder / "image.tar"
    subprocess.run(
        ("skopeo", "copy", "-q", f"oci:{folder}/whole:v1", f"dir:{folder}/dir"),
        check=True,
        capture_output=True,
        timeout=120,
    )
    warm.ok("build", folder, "--to", f"docker-archive:{archive}:team/app:v1")
    subprocess.run(("skopeo", "inspect", f"docker-archive:{archive}"), check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("requirement", "id", "says"),
    [
        ("torch>=2.6", "DARI-LOCK-CLASH", 'accept-prerelease = ["torch"]'),
        ("numpy>=2", "DARI-LOCK-CLASH", "numpy"),
        ("torchaudio", "DARI-", "torchaudio"),
        ("deepspeed", "DARI-LOCK-SDIST", 'build = ["deepspeed"]'),
    ],
)
def test_a_clash_names_both_sides_and_the_ways_out(
    warm: Dari, base: str, tmp_path: Path, requirement: str, id: str, says: str
) -> None:
    """What would touch or break the base's stack is refused before anything is built, and says what to do."""
    folder = project(tmp_path / "p", toml(base), {"requirements.txt": f"{requirement}\n", "train.py": ""})
    ran = warm("lock", folder)
    assert ran.code == 1
    assert id in ran.err
    assert says in ran.err
    assert not (folder / "dari.lock").exists()


def test_a_project_file_may_not_shadow_torch(warm: Dari, base: str, registry: RunningRegistry, tmp_path: Path) -> None:
    """The proof refuses files laid over the base's torch, names the cause, and publishes nothing."""
    site = "/usr/local/lib/python3.11/dist-packages"
    folder = project(
        tmp_path / "p",
        f'base = "{base}"\nfiles = ["torch/"]\nworkdir = "{site}"\n',
        {"torch/__init__.py": "print('not torch')\n"},
    )
    ran = warm("build", folder, "--to", f"{registry.host}/bad/app:v1")
    assert ran.code == 1
    assert "DARI-PROOF-REPLACES" in ran.err
    assert "torch" in ran.err
    assert warm("inspect", f"{registry.host}/bad/app:v1").code in {2, 3}


def test_a_deliberate_replacement_leaves_one_version(
    warm: Dari, base: str, registry: RunningRegistry, engine: Podman, tmp_path: Path
) -> None:
    """`allow = ["numpy"]`: the new numpy is there alone, the base's is gone with its metadata, torch is as it was."""
    folder = project(
        tmp_path / "p", toml(base, 'allow = ["numpy"]\n'), {"requirements.txt": "numpy==2.1.3\n", "train.py": ""}
    )
    warm.ok("build", folder, "--to", f"{registry.host}/replaced/app:v1")
    script = (
        "import importlib.metadata as m, numpy, torch;"
        "print(numpy.__version__, [d.version for d in m.distributions() if d.name == 'numpy'], torch.__version__)"
    )
    said = engine.run(f"{registry.host}/replaced/app:v1", "python3", "-c", script)
    assert "2.1.3 ['2.1.3'] 2.6.0a0+df5bbc09d1.nv24.12" in said
