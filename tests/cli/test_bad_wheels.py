"""Wheels that are not what was locked, or not what a wheel may be: refused by the program, with nothing left behind."""

import stat
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.program import Dari
from tests.support.python_wheels import Odd, write_wheel
from tests.support.small_base import small_base
from tests.support.small_project import small_project

pytestmark = pytest.mark.system

NAME = "demo-1.0-py3-none-any.whl"
FILES = {"demo/__init__.py": b"answer = 42\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a project whose one wheel, demo, lies beside it."""
    return small_project(tmp_path / "p", small_base(tmp_path))


def _climbing(folder: Path) -> None:
    write_wheel(folder, FILES, Odd("../../etc/cron.d/demo", b"* * * * * root true\n"))


def _absolute(folder: Path) -> None:
    write_wheel(folder, FILES, Odd("/etc/cron.d/demo", b"* * * * * root true\n"))


def _link(folder: Path) -> None:
    write_wheel(folder, FILES, Odd("demo/passwd", b"/etc/passwd", stat.S_IFLNK | 0o777))


def _device(folder: Path) -> None:
    write_wheel(folder, FILES, Odd("demo/disk", b"", stat.S_IFBLK | 0o660))


def _unlisted(folder: Path) -> None:
    write_wheel(folder, FILES, Odd("demo/extra.py", b"import os\n", listed=False))


def _twisted(folder: Path) -> None:
    write_wheel(folder, FILES, record={"demo/__init__.py": "demo/__init__.py,sha256=AAAA,12"})


def _cut(folder: Path) -> None:
    path = write_wheel(folder, FILES)
    path.write_bytes(path.read_bytes()[:-40])


def _claimed_bomb(folder: Path) -> None:
    """Ten gigabytes of zeros: the directory says so, the bytes are ten megabytes."""
    path = write_wheel(folder, FILES | {"demo/zeros.bin": b"\0" * 1000})
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\1\2", raw.rindex(b"PK\1\2", 0, raw.rindex(b"zeros.bin")))
    struct.pack_into("<I", raw, entry + 24, 0xFFFF_FFF0)  # APPNOTE 4.3.12: the uncompressed size
    path.write_bytes(raw)


def _real_bomb(folder: Path) -> None:
    """Two gigabytes of zeros, honestly declared, in two megabytes."""
    size, packer = 2 << 30, zlib.compressobj(1, zlib.DEFLATED, -15)
    block, content, crc = b"\0" * (1 << 24), bytearray(), 0
    for _ in range(size >> 24):
        content += packer.compress(block)
        crc = zlib.crc32(block, crc)
    content += packer.flush()
    plain = write_wheel(folder, FILES)
    name = b"demo/zeros.bin"
    raw = bytearray(plain.read_bytes())
    end = raw.rindex(b"PK\5\6")
    count, length, start = struct.unpack_from("<HII", raw, end + 10)
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(content), size, len(name), 0)
    directory = raw[start : start + length] + b"PK\1\2" + struct.pack("<H", 20) + common
    directory += struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, start) + name
    new_start = start + 4 + len(common) + len(name) + len(content)
    tail = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count + 1, count + 1, len(directory), new_start, 0)
    plain.write_bytes(bytes(raw[:start]) + b"PK\3\4" + common + name + content + directory + tail)
    assert zipfile.ZipFile(plain).getinfo("demo/zeros.bin").file_size == size


@pytest.mark.parametrize(
    "harm",
    [_climbing, _absolute, _link, _device, _unlisted, _twisted, _cut, _claimed_bomb, _real_bomb],
    ids=lambda harm: harm.__name__.strip("_"),
)
def test_a_wheel_that_is_none_is_refused(
    dari: Dari, folder: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """One line names the wheel and what is wrong with it; no image is written, and the cache holds no such layer."""
    harm(folder / "wheels")
    ran = dari("build", folder, "--to", f"oci:{tmp_path}/out", timeout=30)
    assert ran.code == (1 if harm is _cut else 3), ran.err  # what is no zip file at all, uv has refused as no candidate
    assert "[DARI-LOCK-CLASH]" in ran.err if harm is _cut else f"reading {NAME!r}" in ran.err, ran.err
    assert "[DARI-WHEEL-" in ran.err or harm is _cut, ran.err
    assert not (tmp_path / "out").exists()
    assert not list(dari.cache.glob("partial/*"))
    assert sum(path.stat().st_size for path in dari.cache.rglob("*") if path.is_file()) < 16_000_000


@pytest.mark.parametrize("listed", [True, False], ids=["from a folder", "by address"])
def test_a_wheel_that_changed_since_it_was_locked(dari: Dari, folder: Path, tmp_path: Path, *, listed: bool) -> None:
    """The locked digest decides: another file of the same name is refused and named; `dari lock` takes it in."""
    if not listed:
        (folder / "requirements.txt").write_text(f"demo @ file://{folder}/wheels/{NAME}\n", encoding="utf-8")
    dari.ok("lock", folder)
    dari.ok("cache", "--clear")
    write_wheel(folder / "wheels", {"demo/__init__.py": b"answer = 43\n"})
    ran = dari("build", folder, "--locked", "--to", f"oci:{tmp_path}/out")
    if listed:
        assert (ran.code, "[DARI-DOWNLOAD-DIGEST]" in ran.err, NAME in ran.err) == (3, True, True), ran.err
    else:  # a file that the requirements name is one of the lock's inputs
        assert (ran.code, "[DARI-LOCK-STALE]" in ran.err) == (2, True), ran.err
    assert not (tmp_path / "out").exists()
    dari.ok("lock", folder, "--upgrade")
    dari.ok("build", folder, "--locked", "--to", f"oci:{tmp_path}/out")


def test_a_hash_in_the_requirements_is_kept_to(dari: Dari, folder: Path, tmp_path: Path) -> None:
    """A wheel that isn't the one whose hash the project writes down is refused while locking."""
    wrong = "sha256:" + "0" * 64
    text = f"--no-index\n--find-links ./wheels\ndemo==1.0 --hash={wrong}\n"
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    ran = dari("build", folder, "--to", f"oci:{tmp_path}/out")
    assert ran.code in {1, 3}, ran.err
    assert "[DARI-LOCK-" in ran.err
    assert "demo" in ran.err
    assert not (folder / "dari.lock").exists()


def test_names_that_are_not_utf8_or_very_long_reach_the_image(dari: Dari, folder: Path, tmp_path: Path) -> None:
    """File names are bytes: what the project has, umoci unpacks; paths of several hundred characters included."""
    long = "/".join(["d" * 250, "f" * 250, "x" * 60])
    names = [b"data/caf\xe9.txt", b"data/\xff\xfe", "data/한국어.txt".encode(), f"data/{long}".encode(), b"data/a\nb"]
    for name in names:
        path = Path(str(folder)).joinpath(name.decode("utf-8", "surrogateescape"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name)
    with (folder / "dari.toml").open("a", encoding="utf-8") as stream:
        stream.write('workdir = "/work"\n')
    toml = (folder / "dari.toml").read_text(encoding="utf-8").replace('["train.py"]', '["train.py", "data/"]')
    (folder / "dari.toml").write_text(toml, encoding="utf-8")
    dari.ok("build", folder, "--complete", "--to", f"oci:{tmp_path}/out:v1")
    dari.ok("validate", f"oci:{tmp_path}/out:v1")
    unpack = ("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/out:v1", f"{tmp_path}/bundle")
    subprocess.run(unpack, check=True, capture_output=True, timeout=60)
    root = tmp_path / "bundle/rootfs/work"
    for name in names:
        assert root.joinpath(name.decode("utf-8", "surrogateescape")).read_bytes() == name


def test_a_name_that_no_file_system_takes_is_refused(dari: Dari, folder: Path, tmp_path: Path) -> None:
    """A part of 300 bytes could never be unpacked: a wheel that has one is refused."""
    write_wheel(folder / "wheels", FILES, Odd(f"demo/{'n' * 300}.py", b""))
    ran = dari("build", folder, "--to", f"oci:{tmp_path}/out")
    assert ran.code == 3, ran
    assert "[DARI-WHEEL-PATH]" in ran.err
