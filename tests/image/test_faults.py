"""Killed, starved, or beside another build: nothing torn is ever used, and the next run is right."""

import contextlib
import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dari.image import read_layout, validate
from dari.values.reference import Layout

ROOT = Path(__file__).parents[2]


def _start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.image.builder", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _end(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output.splitlines()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build once in peace; returns the image's digest."""
    folder = tmp_path_factory.mktemp("undisturbed")
    status, lines = _end(_start(folder / "cache", folder / "layout", "v1"))
    assert status == 0
    return lines[0]


def _every_blob_is_what_its_name_says(folder: Path) -> None:
    for path in folder.glob("blobs/sha256/*"):
        if not path.name.startswith("."):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_a_build_that_is_killed_leaves_nothing_torn(tmp_path: Path, undisturbed: str) -> None:
    """SIGKILL at eight moments in a row: cache and layout stay sound, and the build that follows is exact."""
    moments = random.Random(7)  # noqa: S311 - moments, no secret
    for _ in range(8):
        process = _start(tmp_path / "cache", tmp_path / "layout", "v1")
        time.sleep(moments.uniform(0, 0.25))
        process.kill()
        process.communicate()
        _every_blob_is_what_its_name_says(tmp_path / "cache")
        _every_blob_is_what_its_name_says(tmp_path / "layout")
        if (tmp_path / "layout" / "index.json").exists():
            assert validate(Layout(tmp_path / "layout")) == ()
    assert _end(_start(tmp_path / "cache", tmp_path / "layout", "v1")) == (0, [undisturbed])
    assert validate(Layout(tmp_path / "layout")) == ()


def test_an_interrupted_build_cleans_up(tmp_path: Path, undisturbed: str) -> None:
    """Ctrl-C in the middle: every thread ends, no partial file stays, and the next run goes on from there."""
    process = _start(tmp_path / "cache", tmp_path / "layout", "v1")
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _end(process)
    assert not list((tmp_path / "cache").glob("partial/*"))
    assert _end(_start(tmp_path / "cache", tmp_path / "layout", "v1")) == (0, [undisturbed])


def test_builds_at_once_in_one_cache_and_one_layout(tmp_path: Path, undisturbed: str) -> None:
    """Three builds together, two under one tag: all end well and every tag names the same image."""
    tags = ("v1", "v1", "v2")
    processes = [_start(tmp_path / "cache", tmp_path / "layout", tag) for tag in tags]
    assert [_end(process) for process in processes] == [(0, [undisturbed])] * 3
    assert validate(Layout(tmp_path / "layout")) == ()
    assert {str(read_layout(Layout(tmp_path / "layout", tag)).digest) for tag in tags} == {undisturbed}


@pytest.mark.parametrize("limit", [100, 1_000_000])
def test_a_file_size_limit_is_a_clear_error(tmp_path: Path, undisturbed: str, limit: int) -> None:
    """`ulimit -f` reached in a layer: one line with an id, nothing half-written stays, the next run is right."""
    status, lines = _end(_start(tmp_path / "cache", tmp_path / "layout", "v1", limit))
    assert (status, lines[0]) == (3, "DARI-LAYER-UNWRITABLE")
    assert "File too large" in lines[1]
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert _end(_start(tmp_path / "cache", tmp_path / "layout", "v1")) == (0, [undisturbed])


@contextlib.contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.system
@pytest.mark.parametrize(("place", "id"), [("cache", "DARI-LAYER-UNWRITABLE"), ("layout", "DARI-LAYOUT-UNWRITABLE")])
def test_a_full_disk_is_a_clear_error(tmp_path: Path, undisturbed: str, place: str, id: str) -> None:
    """No room in the cache or in the layout: one line, nothing torn, and the next run elsewhere is right."""
    with _small_disk(tmp_path / "small", "6m"):
        folders = {"cache": tmp_path / "cache", "layout": tmp_path / "layout", place: tmp_path / "small" / place}
        status, lines = _end(_start(folders["cache"], folders["layout"], "v1"))
        assert (status, lines[0]) == (3, id)
        assert "No space left on device" in lines[1]
        _every_blob_is_what_its_name_says(folders[place])
        assert not (tmp_path / "small" / "layout" / "index.json").exists()
    assert _end(_start(tmp_path / "cache", tmp_path / "layout", "v1")) == (0, [undisturbed])
