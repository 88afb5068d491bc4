"""The guide's own project, requirements as people write them, on an NGC-shaped base: locked, built, pushed, run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from dari.bases import decode
from tests.support.podman import Podman
from tests.support.program import ROOT, Dari
from tests.support.registry import RunningRegistry

pytestmark = pytest.mark.system

GUIDE: Final = ROOT / "examples/llama3"
UNTOUCHED: Final = re.compile(
    r"torch|torchvision|torchaudio|triton|pytorch-triton|nvidia-.*|flash-attn|transformer-engine.*|apex|numpy|protobuf"
    r"|fsspec|pyyaml|pip|setuptools"
)
DIGESTS: Final = (
    "import hashlib, json, pathlib\n"
    "paths = [pathlib.Path('/', path) for path in PATHS]\n"
    "found = {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths if p.is_file()}\n"
    "print(json.dumps(found))\n"
)


def guide(folder: Path, base: str, *, without: str = "") -> Path:
    """Copy the example and point it at the test's registry; `without` names keys of dari.toml to leave out."""
    shutil.copytree(GUIDE, folder, ignore=shutil.ignore_patterns("dari.lock", "out", "__pycache__"))
    lines = (folder / "dari.toml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("base =", "registry =", f"{without} =" if without else "#"))]
    (folder / "dari.toml").write_text("\n".join([f'base = "{base}"', *kept, ""]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the guide's project on the base in the registry."""
    return guide(tmp_path_factory.mktemp("guide") / "llama3", base)


@pytest.fixture(scope="module")
def locked(warm: Dari, folder: Path) -> dict[str, Any]:
    """Return what `dari lock` told of it, the first time."""
    return warm.json("lock", folder)


@pytest.fixture(scope="module")
def built(warm: Dari, folder: Path, locked: dict[str, Any], registry: RunningRegistry) -> dict[str, Any]:
    """Return what `dari build` told, straight to the registry."""
    assert locked["changed"]
    return warm.json("build", folder, "--locked", "--to", f"{registry.host}/guide/llama3:v1")


@pytest.fixture(scope="module")
def name(built: dict[str, Any], registry: RunningRegistry) -> str:
    """Return the image's name in the registry."""
    assert built["push"]["digest"] == built["digest"]
    return f"{registry.host}/guide/llama3:v1"


def test_the_bases_stack_is_given_and_never_in_the_delta(locked: dict[str, Any]) -> None:
    """What the base has is left out, named as given; what it lacks is added, some fifty wheels."""
    one = locked["platforms"][0]
    added = {wheel["name"] for wheel in one["wheels"]}
    assert not [each for each in added if UNTOUCHED.fullmatch(each)]
    assert added >= {"transformers", "datasets", "accelerate", "evaluate", "tokenizers", "deepspeed", "mpi4py", "boto3"}
    given = {each["requirement"]: each["version"] for each in one["given"]}
    assert given.keys() == {"torch", "torchvision", "protobuf", "numpy<2", "pyyaml", "fsspec", "flash-attn"}
    assert given["torch"] == "2.6.0a0+df5bbc09d1.nv24.12"
    assert {deb["name"] for deb in one["debs"]} >= {"git", "vim", "libgl1"}
    assert "libc6" not in {deb["name"] for deb in one["debs"]}


def test_every_requirement_is_accounted_for(locked: dict[str, Any]) -> None:
    """Each line of requirements.txt is added, given, or left out by name."""
    one = locked["platforms"][0]
    names = {wheel["name"] for wheel in one["wheels"]} | {each["name"] for each in one["given"]} | {"torchaudio"}
    lines = (GUIDE / "requirements.txt").read_text(encoding="utf-8").split()
    assert {re.split(r"[<>=]", line)[0].replace("_", "-") for line in lines} <= names
    skipped = [finding for finding in locked["findings"] if finding["id"] == "DARI-LOCK-SKIPPED"]
    assert [finding["where"] for finding in skipped] == ["requirements.txt:3"]


def test_what_the_base_holds_back_is_said(locked: dict[str, Any]) -> None:
    """Versions that are older only because of the base are reported, each with what of the base is the reason."""
    held = {each["name"]: each for each in locked["platforms"][0]["held_back"]}
    assert held["pyarrow"]["because"] == "numpy is 1.26.4 in the base, and >=2 is needed"
    assert held["transformers"]["because"].startswith("torch is 2.6.0a0+df5bbc09d1.nv24.12 in the base")
    warned = {finding["message"].split()[0] for finding in locked["findings"] if finding["id"] == "DARI-LOCK-HELD-BACK"}
    assert warned == held.keys()


@pytest.mark.parametrize(
    ("without", "says"),
    [
        ("skip", ("DARI-LOCK-BINARY", "torchaudio", 'skip = ["torchaudio"]')),
        ("build", ("DARI-LOCK-SDIST", "deepspeed", 'build = ["deepspeed"]')),
    ],
)
def test_each_decision_of_the_project_is_needed(
    warm: Dari, base: str, tmp_path: Path, without: str, says: tuple[str, ...]
) -> None:
    """Without `skip` torchaudio is a clash, without `build` deepspeed is refused; each names what settles it."""
    folder = guide(tmp_path / "llama3", base, without=without)
    (folder / "requirements.txt").write_text(
        "torch\ntorchaudio\ndeepspeed\nnumpy<2\n", encoding="utf-8"
    )  # less to wait for
    ran = warm("lock", folder)
    assert ran.code == 1
    for word in says:
        assert word in ran.err
    assert not (folder / "dari.lock").exists()


def test_the_second_lock_is_the_same_without_a_network(warm: Dari, folder: Path, locked: dict[str, Any]) -> None:
    """Locked again offline: nothing to do. Made anew offline, from what was fetched: the same file to the byte."""
    before = (folder / "dari.lock").read_bytes()
    again = warm.json("--offline", "lock", folder)
    assert not again["changed"]
    assert again["platforms"] == locked["platforms"]
    stale = re.sub(rb'(?m)^inputs = "sha256:\w+"', b'inputs = "sha256:' + b"0" * 64 + b'"', before)
    assert stale != before
    (folder / "dari.lock").write_bytes(stale)  # as after a change of the requirements: the base stays pinned
    assert warm.json("--offline", "lock", folder)["changed"]
    assert (folder / "dari.lock").read_bytes() == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("python3 -c 'import transformers as t; print(t.__version__, t.is_torch_available())'", " True"),
        ("python3 -c 'import datasets, pyarrow, pandas; print(pandas.Series([1, 2]).sum())'", "3"),
        ("python3 -c 'import tokenizers, sentencepiece, boto3, psutil, cpuinfo, mpi4py, yaml; print(1)'", "1"),
        ("dpkg -l git vim libgl1 | grep -c ^ii", "3"),
        ("dpkg --audit && echo sound", "sound"),
        ("dpkg --verify git vim libgl1 && echo sound", "sound"),
        ("git --version", "git version 2"),
        ("vim --version | head -1", "VIM - Vi IMproved"),
        ("readlink -f /usr/bin/vi", "/usr/bin/vim"),
        ("python3 -c 'import ctypes; print(ctypes.CDLL(\"libGL.so.1\")._name)'", "libGL.so.1"),
        ("python3 -m pip check", "No broken requirements found"),
        ("apt-get check && echo sound", "sound"),
        ("head -1 train.py; ls configs", "llama3-8b.yaml"),
        ("echo $HF_HOME $NCCL_DEBUG $NCCL_VERSION", "/data/huggingface WARN 2.23.4"),
    ],
)
def test_the_container_is_sound(engine: Podman, name: str, command: str, says: str) -> None:
    """Podman runs what was pushed: the libraries import, the programs run, pip, dpkg and apt agree."""
    assert says in engine.run(name, "bash", "-c", command)


def test_the_bases_files_are_the_same_to_the_byte(
    warm: Dari, base: str, engine: Podman, name: str, tmp_path: Path
) -> None:
    """Every protected file of the base has the same sha256 in the image, and not one is missing."""
    warm.ok("bases", "scan", base, "--to", tmp_path / "inventory")
    inventory = decode((tmp_path / "inventory").read_bytes())
    paths = sorted(inventory.protected_paths)
    script = DIGESTS.replace("PATHS", repr(paths))
    ours = json.loads(engine.run(name, "python3", "-c", script))
    theirs = json.loads(engine.run(base, "python3", "-c", script))
    assert ours == theirs
    assert any(path.endswith("torch/lib/libtorch_cuda.so") for path in ours)
    assert len(ours) > 50


def test_the_base_is_referenced(built: dict[str, Any], locked: dict[str, Any], registry: RunningRegistry) -> None:
    """The base's layers are mounted in the registry; the image names its base by digest for those who rebase."""
    assert built["push"]["blobs"]["mounted"] == built["platforms"][0]["base_layers"] == 3
    assert built["platforms"][0]["layers"]
    assert "@sha256:" in locked["base"]
