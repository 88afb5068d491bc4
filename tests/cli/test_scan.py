"""`dari bases scan`: once for a team, through the registry; into a file; from an engine that has the image already."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dari.bases import decode
from dari.image import write_layout
from dari.system import Store
from dari.values import media
from dari.values.progress import Silent
from dari.values.reference import Layout
from tests.support.oci import host_shell, image
from tests.support.podman import Podman
from tests.support.program import Dari
from tests.support.registry import RunningRegistry

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def scanned(base: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """Return what the first machine's scan told, and the inventory it wrote: attached, and to a file."""
    folder = tmp_path_factory.mktemp("first-machine")
    told = Dari(folder / "cache").json("bases", "scan", base, "--attach", "--to", folder / "base.inventory")
    return told, (folder / "base.inventory").read_bytes()


def test_a_scan_says_what_is_in_the_base(scanned: tuple[dict[str, Any], bytes]) -> None:
    """The document names the system, its Python, the GPU stack's distributions and libraries, and pip's constraints."""
    told, _ = scanned
    protected = {one["name"] for one in told["distributions"] if one["protected"]}
    assert {"torch", "torchvision", "triton"} <= protected
    assert "nvfuser" not in protected  # the top layer whites it out
    assert {one["name"] for one in told["packages"]} >= {"libc6", "python3"}
    assert any(path.endswith("/torch/lib/libtorch_cuda.so") for path in told["libraries"])
    assert any(line.startswith("torch==2.6.0a0+df5bbc09d1.nv24.12") for line in told["constraints"])
    assert told["attached"]


def test_the_file_holds_the_same_inventory(scanned: tuple[dict[str, Any], bytes]) -> None:
    """`--to FILE` writes an inventory that can be read again and says what the document says."""
    told, content = scanned
    inventory = decode(content)
    assert str(inventory.manifest) == told["digest"]
    assert [one.name for one in inventory.distributions] == [one["name"] for one in told["distributions"]]
    assert len(inventory.protected_paths) == told["protected_paths"]


def test_a_second_machine_reads_no_layer(
    scanned: tuple[dict[str, Any], bytes], dari: Dari, base: str, registry: RunningRegistry, tmp_path: Path
) -> None:
    """With an empty cache the inventory comes through the registry's referrers: no layer of the base is asked for."""
    layers = {layer["digest"] for layer in dari.json("inspect", base)["layers"]}
    before = len(registry.requests())
    dari.ok("bases", "scan", base, "--to", tmp_path / "base.inventory")
    asked = {path.rpartition("/")[2] for method, path in registry.requests()[before:] if method == "GET"}
    assert asked
    assert not asked & layers
    assert (tmp_path / "base.inventory").read_bytes() == scanned[1]


def test_strangers_see_what_is_attached(
    scanned: tuple[dict[str, Any], bytes], base: str, registry: RunningRegistry
) -> None:
    """The artifact is listed with its type and with annotations that say of what it is, to any client."""
    told, _ = scanned
    name = base.rpartition(":")[0]
    tag = told["digest"].replace(":", "-")  # docker-registry has no referrers API: the list is under this tag
    entry = json.loads(_raw(f"{name}:{tag}"))["manifests"][0]
    artifact = json.loads(_raw(f"{name}@{entry['digest']}"))
    assert entry["artifactType"] == artifact["artifactType"] == media.DARI_INVENTORY
    assert artifact["subject"]["digest"] == told["digest"]
    assert artifact["annotations"] == entry["annotations"]
    assert artifact["annotations"] == {
        "dev.dari.inventory.version": artifact["annotations"]["dev.dari.inventory.version"],
        "dev.dari.inventory.subject": told["digest"],
        "dev.dari.inventory.platform": told["platform"],
        "dev.dari.inventory.os": f"{told['os']['id']} {told['os']['version']}",
        "dev.dari.inventory.python": told["python"],
        "dev.dari.inventory.packages": str(len(told["packages"])),
        "dev.dari.inventory.distributions": str(len(told["distributions"])),
    }


def test_attaching_twice_leaves_one(scanned: tuple[dict[str, Any], bytes], base: str, dari: Dari) -> None:
    """A colleague who attaches the same inventory again adds nothing to the list."""
    told, _ = scanned
    dari.ok("bases", "scan", base, "--attach")
    listed = json.loads(_raw(f"{base.rpartition(':')[0]}:{told['digest'].replace(':', '-')}"))["manifests"]
    assert len(listed) == 1


def test_an_engine_that_has_the_image_is_read_instead(
    scanned: tuple[dict[str, Any], bytes],
    dari: Dari,
    base: str,
    engine: Podman,
    registry: RunningRegistry,
) -> None:
    """`--engine podman` reads podman's copy, byte for byte the same inventory, and no layer from the registry."""
    written = dari.cache.with_name("base.inventory")
    engine.pull(base)
    dari.environment.update(engine.environment)
    layers = {layer["digest"] for layer in dari.json("inspect", base)["layers"]}
    before = len(registry.requests())
    told = dari.json("bases", "scan", base, "--engine", "podman", "--to", written)
    asked = {path.rpartition("/")[2] for method, path in registry.requests()[before:] if method == "GET"}
    assert not asked & layers
    assert told["digest"] == scanned[0]["digest"]
    assert decode(written.read_bytes()) == decode(scanned[1])
    assert written.read_bytes() == scanned[1]


def test_an_engines_plain_gzip_image_is_read_too(
    dari: Dari, engine: Podman, registry: RunningRegistry, tmp_path: Path
) -> None:
    """An image whose layers are gzip alone comes in Docker's format: the same inventory as the registry's."""
    layout = Layout(tmp_path / "small", "1")
    write_layout(layout, (image(Store(tmp_path / "store"), host_shell()),), complete=True, progress=Silent())
    name = f"{registry.host}/small/shell:1"
    dari.ok("push", str(layout), name)
    engine.pull(name)
    dari.environment.update(engine.environment)
    dari.ok("bases", "scan", name, "--engine", "podman", "--to", tmp_path / "by-engine")
    dari.ok("bases", "scan", name, "--again", "--to", tmp_path / "by-registry")
    assert (tmp_path / "by-engine").read_bytes() == (tmp_path / "by-registry").read_bytes()


def test_an_engine_without_the_image_is_named(
    scanned: tuple[dict[str, Any], bytes], dari: Dari, engine: Podman, registry: RunningRegistry, base: str
) -> None:
    """Where podman hasn't the image the command says so, in podman's words."""
    subprocess.run(
        ("skopeo", "copy", "-q", "--all", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false",
         f"docker://{base}", f"docker://{registry.host}/never/pulled:1"), check=True, timeout=120,
    )  # fmt: skip
    dari.environment.update(engine.environment)
    ran = dari("bases", "scan", f"{registry.host}/never/pulled:1", "--engine", "podman")
    assert ran.code == 3
    assert "podman" in ran.err
    assert "DARI-" in ran.err


def test_only_images_in_a_registry_carry_an_inventory(dari: Dari, base: str, tmp_path: Path) -> None:
    """`--attach` to a layout is wrong use; scanning it works and gives the same inventory as its registry."""
    layout = f"oci:{tmp_path}/base:1"
    subprocess.run(
        ("skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", f"docker://{base}", layout),
        check=True,
        timeout=120,
    )
    ran = dari("bases", "scan", layout, "--attach")
    assert ran.code == 2
    assert "DARI-ATTACH-WHERE" in ran.err
    assert dari.json("bases", "scan", layout)["digest"] == dari.json("inspect", base)["digest"]


def _raw(reference: str) -> str:
    command = ("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
