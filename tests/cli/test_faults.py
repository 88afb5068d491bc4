"""Faults, end to end: rotten caches, cut layers, full disks. What is wrong is found, told, mended; never published."""

import contextlib
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.program import Dari
from tests.support.registry import RunningRegistry, running_registry
from tests.support.small_base import push_small_base, small_base
from tests.support.small_project import small_project

pytestmark = pytest.mark.system

NOISE = random.Random(1).randbytes(3_000_000)  # noqa: S311 - content that doesn't compress, the same each time


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a project with two wheels and three megabytes of its own."""
    made = small_project(tmp_path / "p", small_base(tmp_path), wheels=("demo", "other"))
    (made / "train.py").write_bytes(NOISE)
    return made


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _rotten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("where", ["blobs", "records"])
@pytest.mark.parametrize("harm", [_cut, _rotten, _emptied, Path.unlink], ids=lambda harm: harm.__name__.strip("_"))
def test_a_damaged_cache_is_mended(
    dari: Dari, folder: Path, tmp_path: Path, harm: Callable[[Path], None], where: str
) -> None:
    """Every file of a kind harmed at once: the next run says nothing wrong and makes the same image, a valid one."""
    before = dari.json("build", folder, "--to", f"oci:{tmp_path}/first")
    for path in sorted(dari.cache.glob(f"{where}/**/*")):
        if path.is_file():
            path.chmod(0o644)
            harm(path)
    (folder / "wheels/late.txt").write_text("one more file to look at", encoding="utf-8")
    after = dari.json("build", folder, "--to", f"oci:{tmp_path}/second")
    assert after["digest"] == before["digest"]
    assert dari.json("validate", f"oci:{tmp_path}/second")["valid"]


def test_one_wrong_digit_in_a_layers_record_is_found(dari: Dari, folder: Path, tmp_path: Path) -> None:
    """A record that is still well-formed but says another diffID would make an image that no engine takes."""
    before = dari.json("build", folder, "--to", f"oci:{tmp_path}/first")
    for path in dari.cache.glob("records/layer/*"):
        text = path.read_text(encoding="utf-8")
        place = text.index('"diff_id":"sha256:') + len('"diff_id":"sha256:')
        path.write_text(f"{text[:place]}{'1' if text[place] == '0' else '0'}{text[place + 1 :]}", encoding="utf-8")
    after = dari.json("build", folder, "--to", f"oci:{tmp_path}/second")
    assert after["digest"] == before["digest"]
    assert dari.json("validate", f"oci:{tmp_path}/second")["valid"]


@pytest.mark.parametrize("harm", [_cut, _rotten], ids=["cut", "rotten"])
def test_a_rotten_wheel_is_fetched_again_when_its_layer_is_made(
    dari: Dari, folder: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """The layer has gone and the wheel it came from has changed: right bytes are fetched, or nothing is built."""
    before = dari.json("build", folder, "--to", f"oci:{tmp_path}/first")
    layers = {layer["digest"].partition(":")[2] for layer in before["platforms"][0]["layers"]}
    for path in dari.cache.glob("blobs/sha256/*"):
        path.chmod(0o644)
        (Path.unlink if path.name in layers else harm)(path)
    after = dari.json("build", folder, "--locked", "--to", f"oci:{tmp_path}/second")
    assert after["digest"] == before["digest"]
    assert dari.json("validate", f"oci:{tmp_path}/second")["valid"]


@pytest.mark.parametrize("harm", [_cut, _rotten], ids=["cut", "rotten"])
def test_a_base_layer_that_is_cut_or_rotten(dari: Dari, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """Scanning finds it, names the layer, keeps no inventory; when the registry is mended, it works."""
    with running_registry(tmp_path / "registry") as running:
        base = push_small_base(tmp_path, f"{running.host}/base:1")
        manifest = json.loads(_raw(base))
        digits = manifest["layers"][1]["digest"].partition(":")[2]
        blob = running.folder / f"storage/docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data"
        whole = blob.read_bytes()
        harm(blob)
        folder = small_project(tmp_path / "p", base)
        ran = dari("build", folder, "--to", f"oci:{tmp_path}/out")
        assert ran.code == 3, ran.err
        assert "[DARI-" in ran.err
        assert digits[:12] in ran.err
        assert not (folder / "dari.lock").exists()
        assert not list(dari.cache.glob("records/inventory/*"))
        blob.write_bytes(whole)
        dari.ok("build", folder, "--to", f"oci:{tmp_path}/out")


def _raw(reference: str) -> bytes:
    argv = ("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
    return subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout


# ── full disks ─────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _small_disk(place: Path, size: str) -> Iterator[Path]:
    place.mkdir()
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place), capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is refused here")
    try:
        yield place
    finally:
        subprocess.run(("umount", "-l", place), check=True)


def _enlarged(place: Path) -> None:
    subprocess.run(("mount", "-o", "remount,size=64m", place), check=True)


def _nothing_torn(place: Path) -> None:
    """Check that no half-written file stays, and that every blob is what its name says."""
    assert not [path for path in place.rglob("*partial*") if path.is_file()]
    assert not list(place.glob("partial/*"))
    for path in place.rglob("blobs/sha256/*"):
        summed = subprocess.run(("sha256sum", path), check=True, capture_output=True, text=True).stdout
        assert summed.startswith(path.name)


def test_a_cache_on_a_full_disk(folder: Path, tmp_path: Path) -> None:
    """The disk fills while a layer is written: one line, exit code 3, nothing torn; with room it works."""
    with _small_disk(tmp_path / "disk", "2m") as disk:
        dari = Dari(disk / "cache")
        ran = dari("build", folder, "--to", f"oci:{tmp_path}/out")
        assert ran.code == 3, ran.err
        assert "[DARI-LAYER-UNWRITABLE]" in ran.err or "[DARI-DISK-FULL]" in ran.err
        assert "No space left" in ran.err
        assert not (tmp_path / "out").exists()
        _nothing_torn(disk / "cache")
        _enlarged(disk)
        dari.ok("build", folder, "--to", f"oci:{tmp_path}/out")
        dari.ok("validate", f"oci:{tmp_path}/out")


def test_a_cache_on_a_disk_that_was_full_before(folder: Path, tmp_path: Path) -> None:
    """Not even the first record fits: still one line and no traceback, for each command that writes."""
    with _small_disk(tmp_path / "disk", "64k") as disk:
        with contextlib.suppress(OSError):
            (disk / "filler").write_bytes(b"x" * 70_000)
        for argv in (("lock", folder), ("build", folder, "--to", f"oci:{tmp_path}/out")):
            ran = Dari(disk / "cache")(*argv)
            assert ran.code == 3, ran.err
            assert "No space left" in ran.err
            assert "[DARI-" in ran.err
            assert not (folder / "dari.lock").exists()


@pytest.mark.parametrize("target", ["oci:{}/out:v2", "docker-archive:{}/app.tar"])
def test_a_destination_on_a_full_disk(dari: Dari, folder: Path, tmp_path: Path, target: str) -> None:
    """What was there before stays whole, nothing half-written is left, and with room it works."""
    with _small_disk(tmp_path / "disk", "2m") as disk:
        (folder / "train.py").write_text("print(1)\n", encoding="utf-8")
        dari.ok("build", folder, "--to", f"oci:{disk}/out:v1")
        (folder / "train.py").write_bytes(NOISE)
        ran = dari("build", folder, "--to", target.format(disk))
        assert ran.code == 3, ran.err
        assert "No space left" in ran.err
        assert "[DARI-" in ran.err
        assert not (disk / "app.tar").exists()
        assert dari.json("validate", f"oci:{disk}/out:v1")["valid"]
        _nothing_torn(disk / "out")
        _enlarged(disk)
        dari.ok("build", folder, "--to", target.format(disk))


def test_a_registry_on_a_full_disk(dari: Dari, folder: Path, tmp_path: Path) -> None:
    """The registry can't keep a layer: told as its fault, no manifest published; with room the push goes on."""
    with _small_disk(tmp_path / "disk", "2m") as disk, running_registry(disk) as running:
        ran = dari("build", folder, "--to", f"{running.host}/team/app:v1")
        assert ran.code == 3, ran.err
        assert running.host in ran.err
        assert not _manifests(running)
        _enlarged(disk)
        dari.ok("build", folder, "--to", f"{running.host}/team/app:v1")


def _manifests(running: RunningRegistry) -> list[str]:
    return [path for method, path in running.requests() if method == "PUT" and "/manifests/" in path]


# ── what killed runs leave ─────────────────────────────────────────────────────────────────────────────────


def test_what_killed_runs_left_is_swept_after_a_day(dari: Dari, folder: Path, tmp_path: Path) -> None:
    """Half-made files of yesterday go with the next run that makes something; those of now stay."""
    old, new, work = dari.cache / "partial/old", dari.cache / "partial/new", dari.cache / "work/tmpold"
    work.mkdir(parents=True)
    old.parent.mkdir()
    for path in (old, new, work / "file"):
        path.write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    os.utime(work, (yesterday, yesterday))
    dari.ok("build", folder, "--to", f"oci:{tmp_path}/out")
    assert (old.exists(), new.exists(), work.exists()) == (False, True, False)
