"""The inventory of a real root file system says what dpkg, Python and readelf say inside it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from dari.bases import decode, encode, scan, scan_archive_stream
from dari.system import stream
from dari.values.elf import contains
from dari.values.fact import Known
from dari.values.image import Image
from dari.values.inventory import Inventory
from dari.values.progress import Silent
from tests.support import ngc, ngc_stack

pytestmark = pytest.mark.system

_LIST_DISTRIBUTIONS = """
import importlib.metadata as m, json
print(json.dumps([[d.metadata["Name"], d.version, sorted(d.requires or [])] for d in m.distributions()]))
"""
_DESCRIBE_PYTHON = """
import json, platform, site, sys, sysconfig, os
paths = sysconfig.get_paths()
print(json.dumps([list(sys.version_info[:2]), os.path.realpath(sys.executable), paths["purelib"], paths["scripts"],
    paths["data"], [p for p in site.getsitepackages() if os.path.isdir(p)], platform.libc_ver()[1]]))
"""


def _inside(root: Path, *argv: str) -> str:
    """Run a program inside the root file system, in namespaces of its own."""
    command = ("unshare", "--fork", "--pid", "--mount", f"--root={root}", *argv)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout


def test_packages_are_those_that_dpkg_lists(ngc_inventory: Inventory, ngc_root: Path) -> None:
    """Name, version and architecture of every installed package, as dpkg-query prints them."""
    printed = _inside(ngc_root, "dpkg-query", "--show", "--showformat=${Package} ${Version} ${Architecture}\n")
    assert sorted(f"{one.name} {one.version} {one.architecture}" for one in ngc_inventory.packages) == sorted(
        printed.splitlines()
    )
    assert ngc_inventory.dpkg_status == (ngc_root / "var/lib/dpkg/status").read_bytes()


def test_distributions_are_those_that_python_lists(ngc_inventory: Inventory, ngc_root: Path) -> None:
    """Name, version and requirements of every distribution, as importlib.metadata sees them; the removed one is not."""
    listed = json.loads(_inside(ngc_root, "python3", "-c", _LIST_DISTRIBUTIONS))
    assert sorted([one.name, one.version, sorted(one.requires)] for one in ngc_inventory.distributions) == sorted(
        listed
    )
    assert "nvfuser" not in {one.name for one in ngc_inventory.distributions}


def test_python_is_the_one_that_starts(ngc_inventory: Inventory, ngc_root: Path) -> None:
    """Version, interpreter, install scheme, search path and glibc, as the interpreter itself says them."""
    version, executable, purelib, scripts, data, sites, glibc = json.loads(
        _inside(ngc_root, "python3", "-c", _DESCRIBE_PYTHON)
    )
    assert isinstance(ngc_inventory.python, Known)
    python = ngc_inventory.python.value
    assert list(python.version) == version
    assert python.interpreter == executable
    assert [f"/{python.scheme.purelib}", f"/{python.scheme.scripts}", f"/{python.scheme.data}"] == [
        purelib,
        scripts,
        data,
    ]
    assert [f"/{site}" for site in python.search_path] == sites
    assert python.glibc == tuple(map(int, glibc.split(".")))


def test_protected_paths_are_there(ngc_inventory: Inventory, ngc_root: Path) -> None:
    """Every protected path exists, and every file of torch and of the CUDA folder is among them."""
    protected = set(ngc_inventory.protected_paths)
    assert all(os.path.lexists(ngc_root / path) for path in protected)
    packages = next(ngc_root.glob("usr/local/lib/python3.*/dist-packages"))
    own = [
        *(packages / "torch").rglob("*"),
        *packages.glob("torch-*/*"),
        *(ngc_root / "usr/local/cuda-12.6").rglob("*"),
    ]
    files = {str(path.relative_to(ngc_root)) for path in own if path.is_file() and "__pycache__" not in path.parts}
    assert len(files) > 15
    assert files <= protected
    assert {"etc/pip/constraint.txt", "usr/local/cuda", "opt/nvidia/nvidia_entrypoint.sh"} <= protected


def test_directory_links_are_those_of_the_file_system(ngc_inventory: Inventory, ngc_root: Path) -> None:
    """Every link that leads to a directory, with that directory's real path below the root."""
    script = "import os,json\nprint(json.dumps({os.path.join(a,n)[1:]: os.path.realpath(os.path.join(a,n))[1:]"
    script += " for a,d,f in os.walk('/') for n in d if os.path.islink(os.path.join(a,n))}))"
    assert ngc_inventory.directory_links == json.loads(_inside(ngc_root, "python3", "-c", script))


def test_libraries_carry_their_symbols(ngc_inventory: Inventory) -> None:
    """A wheel's undefined symbols can be looked up in the base's torch and CUDA."""
    libraries = {one.soname: one for one in ngc_inventory.libraries}
    assert {"libtorch.so", "libtorch_cpu.so", "libc10.so", "libcudart.so.12", "libnccl.so.2", "libcudnn.so.9"} <= set(
        libraries
    )
    exports = libraries["libcudart.so.12"].exports
    assert isinstance(exports, Known)
    assert contains(exports.value.packed, b"cudaMalloc")
    assert not contains(exports.value.packed, b"cudaNothingOfTheKind")


def test_the_rest_is_as_the_base_was_made(ngc_inventory: Inventory, ngc_root: Path) -> None:
    """OS release, package sources with their keys, the constraint file's pins, the config's variables."""
    release = dict(line.split("=", 1) for line in (ngc_root / "etc/os-release").read_text().splitlines())
    assert ngc_inventory.os_release.codename == release["VERSION_CODENAME"]
    assert ngc_inventory.os_release.id == release["ID"]
    assert {one.suite.partition("-")[0] for one in ngc_inventory.apt_sources} == {release["VERSION_CODENAME"]}
    assert all(len(one.keyring) > 1000 for one in ngc_inventory.apt_sources)
    pins = (ngc_root / "etc/pip/constraint.txt").read_text().splitlines()
    assert list(ngc_inventory.constraints) == [line for line in pins if not line.startswith("#")]
    assert f"torch=={ngc_stack.TORCH}" in ngc_inventory.constraints
    assert ngc_inventory.environment["CUDA_DRIVER_VERSION"] == "560.35.05"
    assert ngc_inventory.missing == {}


def test_the_inventory_survives_its_file(ngc_inventory: Inventory) -> None:
    """What is encoded is decoded, and twice the same bytes are written."""
    content = encode(ngc_inventory)
    assert decode(content) == ngc_inventory
    assert encode(decode(content)) == content


def test_what_an_engine_saves_gives_the_same_inventory(
    ngc_image: Image, ngc_inventory: Inventory, tmp_path: Path
) -> None:
    """One stream in docker's archive format, as it comes out of the program, gives what the layers give."""
    layout = ngc.ngc_layout(Path(__file__).parents[2] / ".cache/tests")
    archive = tmp_path / "saved.tar"
    for hop in (
        ("--dest-decompress", f"oci:{layout}:{ngc.TAG}", f"dir:{tmp_path}/plain"),
        (f"dir:{tmp_path}/plain", f"docker-archive:{archive}:ngc:1"),
    ):
        subprocess.run(("skopeo", "copy", "-q", "--insecure-policy", *hop), check=True)
    with stream(("cat", str(archive)), timeout=60) as chunks:
        assert scan_archive_stream(chunks, ngc_image, Silent()) == ngc_inventory


def test_one_worker_sees_what_several_see(ngc_image: Image, ngc_inventory: Inventory) -> None:
    """The number of threads changes the time, never the inventory."""
    assert scan(ngc_image, Silent(), workers=1) == ngc_inventory
