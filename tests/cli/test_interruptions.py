"""Runs that end in the middle, and runs at the same time: nothing torn, nothing half-published, the next run right."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.registry.front import Handler, forward, running_front
from tests.support.program import DARI, Dari
from tests.support.registry import RunningRegistry
from tests.support.small_base import push_small_base, small_base
from tests.support.small_project import small_project

pytestmark = pytest.mark.system

KILLS = 15
SLOWNESS = 4.0  # seconds that the registry takes for each part of an upload
NOISE = random.Random(2).randbytes(6_000_000)  # noqa: S311 - content that doesn't compress, the same each time


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a locked project with a few wheels and six megabytes of its own."""
    place = tmp_path_factory.mktemp("project")
    made = small_project(place / "p", small_base(place), wheels=("demo", "other", "third"))
    (made / "train.py").write_bytes(NOISE)
    Dari(place / "cache").ok("lock", made)
    return made


def _started(dari: Dari, *argv: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        (DARI, *map(str, argv)),
        env={**os.environ, "DARI_CACHE": str(dari.cache), "NO_COLOR": "1", **dari.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _until(check: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_killed_at_any_moment_the_next_run_is_right(folder: Path, tmp_path: Path) -> None:
    """SIGKILL at fifteen moments of builds from nothing, one cache and one layout: the digest is the same after each.

    The layout is read by dari's validator after every kill too: what it names is whole, however the run ended.
    """
    began = time.monotonic()
    right = Dari(tmp_path / "calm").json("build", folder, "--to", f"oci:{tmp_path}/calm-out")["digest"]
    length = time.monotonic() - began
    chance = random.Random(3)  # noqa: S311 - moments, the same in each run
    lock = (folder / "dari.lock").read_bytes()
    for number in range(KILLS):
        dari, out = Dari(tmp_path / f"cache-{number % 3}"), f"oci:{tmp_path}/out-{number % 3}"
        if number < KILLS // 2:
            (folder / "dari.lock").unlink(missing_ok=True)  # resolving, too, is a moment
        moment = chance.uniform(0.15, 1.0) * length
        with _started(dari, "build", folder, "--complete", "--to", out) as running:
            time.sleep(moment)
            running.kill()
        if (tmp_path / f"out-{number % 3}/index.json").exists():
            assert dari.json("validate", out)["valid"], moment
        if (folder / "dari.lock").exists():
            assert (folder / "dari.lock").read_bytes() == lock, moment
        if number >= KILLS - 3 or number % 4 == 3:
            assert dari.json("build", folder, "--complete", "--to", out)["digest"] == right, moment
            assert dari.json("validate", out)["valid"], moment
            assert (folder / "dari.lock").read_bytes() == lock


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_build_cleanly(folder: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """In the middle of a layer: one line, the signal's exit code, no partial file, no image; the next run is right."""
    dari = Dari(tmp_path / "cache")
    with _started(dari, "build", folder, "--to", f"oci:{tmp_path}/out") as running:
        _until(lambda: list(dari.cache.glob("partial/*")))
        running.send_signal(number)
        _, err = running.communicate(timeout=20)
    assert running.returncode == code, err
    assert "[DARI-INTERRUPTED]" in err
    assert "Traceback" not in err
    assert not list(dari.cache.glob("partial/*"))
    assert not (tmp_path / "out/index.json").exists()
    dari.ok("build", folder, "--to", f"oci:{tmp_path}/out")
    dari.ok("validate", f"oci:{tmp_path}/out")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_push_before_anything_is_published(
    folder: Path, registry: RunningRegistry, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """While a layer goes out: the exit code of the signal at once, no manifest; the next push goes on and ends well."""
    dari, layout, name = Dari(tmp_path / "cache"), f"oci:{tmp_path}/out", f"signals/app-{code}"
    dari.ok("build", folder, "--complete", "--to", layout)
    before = len(registry.requests())
    with running_front(registry.host) as front:
        front.on("(PATCH|PUT) .*/uploads/", _slowly, times=-1)
        with _started(dari, "push", layout, f"{front.host}/{name}:v1") as running:
            _until(lambda: front.count("(PATCH|PUT) .*/uploads/"))
            running.send_signal(number)
            began = time.monotonic()
            _, err = running.communicate(timeout=30)
        assert running.returncode == code, err
        assert time.monotonic() - began < SLOWNESS - 1
        assert "[DARI-INTERRUPTED]" in err
        assert "Traceback" not in err
    assert not [
        path for method, path in registry.requests()[before:] if (method, "/manifests/" in path) == ("PUT", True)
    ]
    dari.ok("push", layout, f"{registry.host}/{name}:v1")
    assert dari.json("inspect", f"{registry.host}/{name}:v1")["digest"]


def _slowly(handler: Handler) -> None:
    time.sleep(SLOWNESS)
    forward(handler)


def test_a_signal_does_not_wait_for_a_slow_download(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C while a wheel trickles in: at once, with 130; the next run is right."""
    dari, name = Dari(tmp_path / "cache"), "demo-1.0-py3-none-any.whl"
    content = (folder / "wheels" / name).read_bytes()
    with running_front() as front:
        front.on("GET /", lambda handler: _trickled(handler, content), times=-1)
        place = small_project(tmp_path / "p", small_base(tmp_path))
        right = dari.json("build", place, "--to", f"oci:{tmp_path}/right")["digest"]
        dari.ok("cache", "--clear")
        lock = (place / "dari.lock").read_text(encoding="utf-8")
        (place / "dari.lock").write_text(lock.replace("file:wheels/", f"http://{front.host}/"), encoding="utf-8")
        with _started(dari, "build", place, "--locked", "--to", f"oci:{tmp_path}/out") as running:
            _until(lambda: front.count("GET /"))
            time.sleep(0.7)
            running.send_signal(signal.SIGINT)
            began = time.monotonic()
            _, err = running.communicate(timeout=30)
        assert (running.returncode, time.monotonic() - began < 2) == (130, True), err
        assert "[DARI-INTERRUPTED]" in err
        (place / "dari.lock").write_text(lock, encoding="utf-8")
        again = dari.json("build", place, "--locked", "--to", f"oci:{tmp_path}/out")
    assert again["digest"] == right


def test_a_signal_does_not_wait_for_a_registry_that_hangs(registry: RunningRegistry, tmp_path: Path) -> None:
    """Ctrl-C while a base's layer doesn't come: told and left within seconds."""
    base = push_small_base(tmp_path, f"{registry.host}/hangs/base:1")
    with running_front(registry.host) as front:
        front.on("GET .*/blobs/", forward)  # the config
        front.on("GET .*/blobs/", lambda _: time.sleep(9), times=-1)
        with _started(Dari(tmp_path / "cache"), "bases", "scan", base.replace(registry.host, front.host)) as running:
            _until(lambda: front.count("GET .*/blobs/") > 1)
            running.send_signal(signal.SIGINT)
            began = time.monotonic()
            _, err = running.communicate(timeout=30)
    assert (running.returncode, time.monotonic() - began < 7) == (130, True), err
    assert "[DARI-INTERRUPTED]" in err


def _trickled(handler: Handler, content: bytes) -> None:
    """Answer with `content`, fifty bytes at a time."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    for place in range(0, len(content), 50):
        handler.wfile.write(content[place : place + 50])
        handler.wfile.flush()
        time.sleep(0.5)


def test_four_builds_at_once_in_one_cache_and_one_layout(folder: Path, tmp_path: Path) -> None:
    """Neither waits for another's mistakes: all end well with one digest, under their own tags, and all are valid."""
    dari, out = Dari(tmp_path / "cache"), f"oci:{tmp_path}/out"
    (folder / "dari.lock").unlink()
    tags = ("one", "two", "two", "three")
    running = [_started(dari, "build", folder, "--to", f"{out}:{tag}", "--json") for tag in tags]
    ended = [(*process.communicate(timeout=60), process.wait()) for process in running]
    assert [code for _, _, code in ended] == [0] * 4, [err for _, err, _ in ended]
    assert len({json.loads(text)["digest"] for text, _, _ in ended}) == 1
    index = json.loads((tmp_path / "out/index.json").read_bytes())
    named = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]]
    assert sorted(named) == ["one", "three", "two"]
    assert all(dari.json("validate", f"{out}:{tag}")["valid"] for tag in set(tags))
    assert not list(dari.cache.glob("partial/*"))
