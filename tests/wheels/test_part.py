"""A wheel becomes the files that pypa installer and pip would write, lazily, verified, the same every time."""

import csv
import hashlib
import io
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import installer
import pytest
import uv
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

from dari.errors import IntegrityError
from dari.values.digest import Digest
from dari.values.entry import Entry, Kind, Part
from dari.values.platform import Platform
from dari.values.python import InstallScheme, PythonTarget
from dari.wheels import wheel_part
from tests.support.python_wheels import REAL, TARGET, Odd, real_wheel, write_wheel

DIGEST = Digest.of(b"a wheel")


def part_of(path: Path, target: PythonTarget = TARGET, *, requested: bool = True) -> Part:
    """Return the wheel's part."""
    return wheel_part(path, filename=path.name, digest=DIGEST, target=target, requested=requested)


def content(entry: Entry) -> bytes:
    """Read an entry to its end."""
    assert entry.open is not None
    with entry.open() as stream:
        return stream.read()


def written(part: Part) -> dict[str, tuple[int, bytes]]:
    """Return path → mode and content of all entries."""
    return {entry.path: (entry.mode, content(entry)) for entry in part.entries()}


def installed_by_installer(wheel: Path, root: Path, scheme: InstallScheme) -> dict[str, tuple[int, bytes]]:
    """Return what pypa installer writes for the same scheme and interpreter."""
    with WheelFile.open(wheel) as source:
        places = {name: f"/{getattr(scheme, name)}" for name in ("purelib", "platlib", "scripts", "data")}
        places["headers"] = f"/{scheme.headers}/{source.distribution}"
        destination = SchemeDictionaryDestination(places, TARGET.interpreter, "posix", destdir=str(root))
        installer.install(source, destination, {"INSTALLER": b"dari\n", "REQUESTED": b""})
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): (stat.S_IMODE(p.stat().st_mode), p.read_bytes()) for p in files}


@pytest.mark.parametrize("requirement", REAL)
def test_entries_are_byte_for_byte_what_pypa_installer_writes(requirement: str, tmp_path: Path) -> None:
    """Paths, modes and every byte, RECORD included, equal those of the reference installer."""
    wheel = real_wheel(requirement)
    assert written(part_of(wheel)) == installed_by_installer(wheel, tmp_path, TARGET.scheme)


@pytest.mark.parametrize("requirement", ["ipython==9.18.1", "jmespath==1.1.0", "tqdm==4.70.1"])
def test_entries_are_what_pip_installs(requirement: str, tmp_path: Path) -> None:
    """In a real environment pip leaves the same files; it words entry points and RECORD's order in its own way."""
    wheel, environment = real_wheel(requirement), tmp_path / "venv"
    program = uv.find_uv_bin()
    subprocess.run((program, "venv", "-q", "--python", sys.executable, environment), check=True)
    python = environment / "bin/python"
    shutil.copytree(environment, tmp_path / "before", symlinks=True)
    arguments = ("--quiet", "--no-compile", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    subprocess.run((program, "tool", "run", "pip", "--python", python, "install", *arguments), check=True)
    site = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    scheme = InstallScheme(site, site, "bin", "", "include")
    theirs = {
        str(path.relative_to(environment)): path.read_bytes()
        for path in environment.rglob("*")
        if path.is_file() and not (tmp_path / "before" / path.relative_to(environment)).exists()
    }
    about = f"{site}/{wheel.name.split('-')[0]}-{wheel.name.split('-')[1]}.dist-info"
    theirs.pop(f"{about}/direct_url.json", None)
    ours = {
        p: data
        for p, (_, data) in written(part_of(wheel, replace(TARGET, interpreter=str(python), scheme=scheme))).items()
    }
    assert ours.keys() == theirs.keys()
    worded = {f"{about}/INSTALLER", f"{about}/RECORD"} | {
        path for path, data in ours.items() if path.startswith("bin/") and b"import re\nimport sys" in data
    }
    assert {path: data for path, data in ours.items() if path not in worded} == {
        path: data for path, data in theirs.items() if path not in worded
    }
    assert [row[0] for row in rows(ours[f"{about}/RECORD"])] == [
        row[0] for row in rows(theirs[f"{about}/RECORD"]) if not row[0].endswith("direct_url.json")
    ]


def rows(record: bytes) -> list[list[str]]:
    """Return RECORD's rows, sorted."""
    return sorted(csv.reader(io.StringIO(record.decode())))


def test_record_names_every_file_with_its_hash_and_size() -> None:
    """RECORD describes what was written, generated and rewritten files too."""
    files = {entry.path: content(entry) for entry in part_of(real_wheel("jmespath==1.1.0")).entries()}
    record = next(data for path, data in files.items() if path.endswith(".dist-info/RECORD"))
    site = Path("/" + TARGET.scheme.purelib)
    for path, hash_text, size in rows(record):
        place = str((site / path).resolve().relative_to("/"))
        data = files.pop(place)
        if not place.endswith("RECORD"):
            assert hash_text == f"sha256={_encoded(data)}"
            assert int(size) == len(data)
    assert not files


def _encoded(data: bytes) -> str:
    import base64  # noqa: PLC0415 - here only

    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("interpreter", "first"),
    [
        ("/usr/bin/python3.12", b"#!/usr/bin/python3.12\n"),
        ("/opt/my env/bin/python", b"#!/bin/sh\n'''exec' '/opt/my env/bin/python' \"$0\" \"$@\"\n' '''\n"),
        ("/" + "x" * 140, b"#!/bin/sh\n'''exec' /" + b"x" * 140 + b" \"$0\" \"$@\"\n' '''\n"),
    ],
)
def test_scripts_begin_with_the_target_interpreter(interpreter: str, first: bytes, tmp_path: Path) -> None:
    """A `#!python` script and an entry point both get a first line that the kernel takes, however long the path is."""
    wheel = write_wheel(
        tmp_path,
        {
            "demo-1.0.data/scripts/tool": b"#!python -E\nprint('tool')\n",
            "demo-1.0.data/scripts/pythonic": b"#!pythonw\nprint('w')\n",
            "demo-1.0.data/scripts/shell": b"#!/bin/sh\necho hello\n",
            "demo-1.0.data/scripts/binary": b"\x7fELF" + bytes(5000),
            "demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\nrun=demo:main\n[gui_scripts]\nshow=demo:a.b\n",
        },
    )
    files = written(part_of(wheel, replace(TARGET, interpreter=interpreter)))
    assert files["usr/local/bin/tool"] == (0o755, first + b"print('tool')\n")
    assert files["usr/local/bin/pythonic"] == (0o755, first + b"print('w')\n")
    assert files["usr/local/bin/shell"] == (0o755, b"#!/bin/sh\necho hello\n")
    assert files["usr/local/bin/binary"] == (0o755, b"\x7fELF" + bytes(5000))
    assert files["usr/local/bin/run"][0] == 0o755
    assert files["usr/local/bin/run"][1].startswith(first + b"# -*- coding")
    assert b"from demo import a" in files["usr/local/bin/show"][1]


def test_a_script_runs_under_a_path_with_a_blank(tmp_path: Path) -> None:
    """The long first line isn't only text: the kernel, the shell and Python take it."""
    home = tmp_path / "my env"
    home.mkdir()
    (home / "python").symlink_to(sys.executable)
    wheel = write_wheel(tmp_path, {"demo-1.0.data/scripts/tool": b"#!python\nprint('it runs')\n"})
    files = written(part_of(wheel, replace(TARGET, interpreter=str(home / "python"))))
    script = tmp_path / "tool"
    script.write_bytes(files["usr/local/bin/tool"][1])
    script.chmod(0o755)
    assert subprocess.run((script,), capture_output=True, check=True).stdout == b"it runs\n"


def test_an_entry_point_wins_over_a_script_of_the_same_name(tmp_path: Path) -> None:
    """As with pip, the wrapper is installed and the file of .data/scripts is not."""
    files = {
        "demo-1.0.data/scripts/run": b"#!python\nold\n",
        "demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\nrun = demo:main\n",
    }
    assert b"from demo import main" in written(part_of(write_wheel(tmp_path, files)))["usr/local/bin/run"][1]


def test_what_an_installer_writes_is_not_taken_from_the_wheel(tmp_path: Path) -> None:
    """INSTALLER is dari's, REQUESTED says whether the project asked, direct_url.json and byte code stay out."""
    about = "demo-1.0.dist-info"
    wheel = write_wheel(
        tmp_path,
        {
            "demo.py": b"",
            "__pycache__/demo.cpython-312.pyc": b"evil",
            f"{about}/INSTALLER": b"other\n",
            f"{about}/REQUESTED": b"",
            f"{about}/direct_url.json": b"{}",
        },
    )
    wanted = {"demo.py", f"{about}/METADATA", f"{about}/WHEEL", f"{about}/RECORD", f"{about}/INSTALLER"}
    site = TARGET.scheme.purelib
    plain = written(part_of(wheel, requested=False))
    assert plain.keys() == {f"{site}/{path}" for path in wanted}
    assert plain[f"{site}/{about}/INSTALLER"] == (0o644, b"dari\n")
    assert f"{site}/{about}/REQUESTED" in written(part_of(wheel, requested=True))


@pytest.mark.parametrize(("mode", "expected"), [(0o100755, 0o755), (0o100640, 0o644), (0o100744, 0o755), (0, 0o644)])
def test_only_the_executable_bit_of_the_zip_counts(mode: int, expected: int, tmp_path: Path) -> None:
    """Modes are 0755 or 0644, whatever umask the wheel's builder had."""
    wheel = write_wheel(tmp_path, {}, Odd("demo/run.sh", b"#!/bin/sh\n", mode))
    assert written(part_of(wheel))[f"{TARGET.scheme.purelib}/demo/run.sh"][0] == expected


def test_purelib_and_platlib_go_where_the_wheel_says(tmp_path: Path) -> None:
    """Root-Is-Purelib decides for the root; .data overrides it; headers get a directory of their own."""
    files = {
        "demo.py": b"root",
        "demo-1.0.data/purelib/pure.py": b"pure",
        "demo-1.0.data/headers/demo.h": b"header",
        "demo-1.0.data/data/share/demo.txt": b"data",
        "demo-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n",
    }
    target = replace(TARGET, scheme=InstallScheme("pure", "plat", "bin", "", "include"))
    placed = written(part_of(write_wheel(tmp_path, files), target))
    assert {path: data for path, (_, data) in placed.items() if "dist-info" not in path} == {
        "plat/demo.py": b"root",
        "pure/pure.py": b"pure",
        "include/demo/demo.h": b"header",
        "share/demo.txt": b"data",
    }
    assert b"../pure/pure.py,sha256=" in placed["plat/demo-1.0.dist-info/RECORD"][1]


def test_the_same_wheel_gives_the_same_entries_sorted() -> None:
    """Two readings agree, entries are sorted files without times, and sizes are those of the content."""
    part = part_of(real_wheel("ipython==9.18.1"))
    first, second = part.entries(), part.entries()
    described = [(e.path, e.kind, e.mode, e.size, e.mtime, e.uid) for e in first]
    assert described == [(e.path, e.kind, e.mode, e.size, e.mtime, e.uid) for e in second]
    assert [entry.path for entry in first] == sorted(entry.path for entry in first)
    assert {(entry.kind, entry.mtime) for entry in first} == {(Kind.FILE, 0)}
    assert all(entry.size == len(content(entry)) for entry in first)


def test_the_key_changes_with_whatever_changes_the_entries() -> None:
    """Digest, scheme, interpreter and REQUESTED are in the key; nothing else is."""
    wheel = real_wheel("tqdm==4.70.1")
    keys = {
        part_of(wheel).key,
        part_of(wheel, requested=False).key,
        part_of(wheel, replace(TARGET, interpreter="/usr/bin/python3")).key,
        part_of(wheel, replace(TARGET, scheme=replace(TARGET.scheme, scripts="bin"))).key,
        wheel_part(wheel, filename=wheel.name, digest=Digest.of(b"other"), target=TARGET, requested=True).key,
    }
    assert len(keys) == 5
    assert part_of(wheel).key == part_of(wheel, replace(TARGET, platform=Platform("linux", "arm64"))).key


def test_size_is_known_and_little_is_read_before_an_entry_is_opened(tmp_path: Path) -> None:
    """Damage in a module's bytes is met by who opens that module, and by nobody else."""
    wheel = write_wheel(tmp_path, {"demo/big.bin": bytes(range(256)) * 4096, "demo/small.py": b"pass\n"})
    raw = bytearray(wheel.read_bytes())
    raw[raw.index(b"demo/big.bin") + 40] ^= 0xFF
    wheel.write_bytes(raw)
    part = part_of(wheel)
    entries = {entry.path.rpartition("/")[2]: entry for entry in part.entries()}
    assert part.size >= 256 * 4096
    assert content(entries["small.py"]) == b"pass\n"
    with pytest.raises(IntegrityError, match=r"big\.bin"):
        content(entries["big.bin"])


def test_many_threads_may_read_at_once() -> None:
    """Each open entry has a file handle and an inflater of its own."""
    entries = part_of(real_wheel("sentencepiece==0.2.3")).entries() * 4
    alone = [hashlib.sha256(content(entry)).digest() for entry in entries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda entry: hashlib.sha256(content(entry)).digest(), entries)) == alone


@pytest.mark.parametrize("size", [1, 7, 65536, 1 << 20, -1])
def test_content_is_the_same_in_pieces_of_any_size(size: int) -> None:
    """Reading by ones, by chunks or whole gives the same bytes."""
    entry = max(part_of(real_wheel("markupsafe==3.0.4")).entries(), key=lambda entry: entry.size)
    assert entry.open is not None
    with entry.open() as stream:
        assert b"".join(iter(lambda: stream.read(size), b"")) == content(entry)
