"""sdists: named, never built unasked, built only to pure Python, and to the same bytes everywhere."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dari.errors import ConflictError, IntegrityError
from dari.lock import build_wheel, is_built, read_lock, write_lock
from dari.values.digest import Digest
from dari.values.lock import Lock, LockedWheel, PlatformLock
from dari.values.malformed import Malformed
from dari.values.project import LockRules
from tests.lock import bases
from tests.lock.conftest import Place
from tests.lock.wheelhouse import sdist, wheel

# A build backend of the sdist's own, in its tree: PEP 517 runs it without any build requirement.
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import os, pathlib, random, subprocess, zipfile

SENTINEL = {sentinel!r}
NAME = "homemade"
WHEEL = b"Wheel-Version: 1.0\\nGenerator: chance %d\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
pathlib.Path(SENTINEL).touch()

def build_wheel(folder, config_settings=None, metadata_directory=None):
    {first}
    info = NAME + "-1.0.dist-info"
    members = {{
        NAME + "/__init__.py": b"value = 1\\n",
        NAME + "/tool.sh": b"#!/bin/sh\\n",
        info + "/METADATA": b"Metadata-Version: 2.1\\nName: homemade\\nVersion: 1.0\\nRequires-Dist: numpy\\n",
        info + "/WHEEL": WHEEL % random.getrandbits(60),
        info + "/RECORD": b"",
        **{more},
    }}
    name = NAME + "-1.0-{tag}.whl"
    names = list(members)
    random.shuffle(names)
    with zipfile.ZipFile(os.path.join(folder, name), "w", random.choice([0, 8])) as archive:
        for member in names:
            archive.writestr(member, members[member])
    return name

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, NAME + "-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: homemade\\nVersion: 1.0\\nRequires-Dist: numpy\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    return info.name
"""
ALLOWED = LockRules(build=("homemade",))


def homemade(place: Place, change: dict[str, str] | None = None, *, static: bool = True) -> Path:
    """Put an sdist into the place's wheelhouse; returns the file that exists once its code has run."""
    sentinel = place.folder / "code-was-run"
    parts = {"first": "pass", "more": "{}", "tag": "py3-none-any", **(change or {})}
    files = {"pyproject.toml": PYPROJECT, "backend.py": BACKEND.format(sentinel=str(sentinel), **parts)}
    sdist(place.house, "homemade", "1.0", files, static=static)
    return sentinel


@pytest.mark.parametrize("static", [True, False])
def test_an_sdist_is_refused_by_name_and_its_code_is_not_run(place: Place, *, static: bool) -> None:
    """Neither for its metadata nor for its wheel: the error says what `build` would do."""
    sentinel = homemade(place, static=static)
    with pytest.raises(ConflictError) as caught:
        place.resolve("homemade>=1")
    assert caught.value.id == "DARI-LOCK-SDIST"
    assert "homemade" in str(caught.value)
    assert caught.value.findings[0].ways_out[0].startswith('build = ["homemade"] in dari.toml, if ')
    assert not sentinel.exists()


def test_the_refusal_says_what_there_is_and_all_the_ways_out(place: Place) -> None:
    """The whole finding."""
    homemade(place)
    with pytest.raises(ConflictError) as caught:
        place.resolve("homemade>=1")
    finding = caught.value.findings[0]
    assert finding.message == "homemade 1.0 has no wheel for Python 3.12 on x86_64 with glibc 2.39, only an sdist"
    assert finding.cause == "homemade>=1"
    assert [way.partition(",")[0] for way in finding.ways_out] == [
        'build = ["homemade"] in dari.toml',
        "pin a version that has a wheel",
        "build a wheel of it inside the base and name the file (./wheels/NAME.whl)",
        'skip = ["homemade"] in dari.toml',
        "build the image with a container engine",
    ]


def test_the_newest_version_is_not_left_for_an_ancient_one_with_a_wheel(place: Place) -> None:
    """uv's --no-build would answer 0.1 without a word (deepspeed 0.3.1): here the choice stays with the user."""
    homemade(place)
    wheel(place.house, "homemade", "0.1")
    with pytest.raises(ConflictError, match=r"homemade 1\.0 has no wheel"):
        place.resolve("homemade")


@pytest.mark.parametrize("static", [True, False])
def test_an_old_sdist_that_only_the_base_led_to_says_what_shuts_out_the_newer(place: Place, *, static: bool) -> None:
    """vllm 0.1.3 isn't the trouble; the base's torch is, and that is what the error says first."""
    homemade(place, static=static)
    wheel(place.house, "homemade", "2.0", "torch>=2.9")
    with pytest.raises(ConflictError) as caught:
        place.resolve("homemade")
    assert str(caught.value).endswith(
        "; it came to 1.0 because homemade 2.0 doesn't fit the base: "
        f"torch is {bases.TORCH} in the base, and >=2.9 is needed"
    )
    assert caught.value.findings[0].ways_out[0] == (
        "settle what keeps homemade 2.0 off: `allow`, `accept-prerelease` or another base"
    )


@pytest.mark.parametrize("static", [True, False])
def test_an_sdist_that_is_named_is_built_to_a_wheel_of_one_form(
    new_place: Callable[[str], Place], *, static: bool
) -> None:
    """Whatever order, compression and Generator its build chose, the locked bytes are the same, and in the cache."""
    found = []
    for name in ("one", "two"):
        place = new_place(name)
        homemade(place, static=static)
        locked = place.resolve("homemade", rules=ALLOWED).wheels[0]
        assert is_built(locked)
        content = place.bench.store.read(locked.digest)
        assert (len(content), Digest.of(content)) == (locked.size, locked.digest)
        found.append(replace(locked, url=""))
    assert found[0] == found[1]
    assert found[0].filename == "homemade-1.0-py3-none-any.whl"


def test_a_built_wheel_is_whole_and_installable(place: Place, tmp_path: Path) -> None:
    """Sorted, of one time, stored, without Generator, RECORD last and right."""
    homemade(place)
    locked = place.resolve("homemade", rules=ALLOWED).wheels[0]
    with zipfile.ZipFile(place.bench.store.path(locked.digest)) as archive:
        names = archive.namelist()
        assert names == [*sorted(names[:-1]), "homemade-1.0.dist-info/RECORD"]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert b"Generator" not in archive.read("homemade-1.0.dist-info/WHEEL")
        record = archive.read(names[-1]).decode().splitlines()
        assert [line.partition(",")[0] for line in record] == names
    from installer.sources import WheelFile  # noqa: PLC0415 - the foreign oracle of this test alone

    named = tmp_path / locked.filename
    named.write_bytes(place.bench.store.read(locked.digest))
    with WheelFile.open(named) as source:
        source.validate_record(validate_contents=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"first": 'subprocess.check_call([os.environ["CC"], "-c", "x.c"])'}, "its build calls a compiler"),
        ({"tag": "py3-none-any.linux_x86_64"}, "its wheel is for py3-none-any, py3-none-linux_x86_64"),
        ({"tag": "cp312-cp312-linux_x86_64"}, "its wheel is for cp312-cp312-linux_x86_64"),
        ({"more": '{NAME + "/_fast.so": b"\\x7fELF" + bytes(99)}'}, "homemade/_fast.so is machine code"),
    ],
)
def test_an_sdist_that_compiles_is_refused(place: Place, change: dict[str, str], reason: str) -> None:
    """A compiler that is called, a wheel for one platform, an ELF file: none may come from this host."""
    homemade(place, change)
    with pytest.raises(ConflictError) as caught:
        place.resolve("homemade", rules=ALLOWED)
    assert (caught.value.id, str(caught.value)) == (
        "DARI-LOCK-COMPILES",
        f"building homemade 1.0 from its sdist: it isn't pure Python: {reason}",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"first": 'raise RuntimeError("no")'},
        {"more": '{info + "/RECORD2": b"", NAME + "-1.0.data.dist-info/RECORD": b""}'},
        {"first": 'NAME = "another"'},
    ],
)
def test_a_build_that_ends_badly_is_told(place: Place, change: dict[str, str]) -> None:
    """An exception, a second RECORD, the wheel of something else: one line, and uv's words behind it."""
    homemade(place, change)
    with pytest.raises(ConflictError) as caught:
        place.resolve("homemade", rules=ALLOWED)
    assert caught.value.id == "DARI-LOCK-BUILD"


def test_another_machine_builds_the_same_wheel_from_the_lock(new_place: Callable[[str], Place]) -> None:
    """The lock's address is enough: its sdist is fetched, checked, built, and compared."""
    first, second = new_place("first"), new_place("second")
    homemade(first)
    locked = first.resolve("homemade", rules=ALLOWED).wheels[0]
    path = build_wheel(_through_the_file(locked), first.folder, second.bench)
    assert Digest.of(path.read_bytes()) == locked.digest


def test_a_machine_that_builds_other_bytes_is_told(new_place: Callable[[str], Place]) -> None:
    """A build that depends on the machine doesn't pass for the locked one."""
    first, second = new_place("first"), new_place("second")
    homemade(first, {"more": '{NAME + "/chance.py": b"%d" % random.getrandbits(60)}'})
    locked = first.resolve("homemade", rules=ALLOWED).wheels[0]
    with pytest.raises(IntegrityError) as caught:
        build_wheel(locked, first.folder, second.bench)
    assert caught.value.id == "DARI-LOCK-REBUILD"


def test_an_sdist_with_other_bytes_is_not_built(new_place: Callable[[str], Place]) -> None:
    """The sdist's own digest is checked before its code is run."""
    first, second = new_place("first"), new_place("second")
    sentinel = homemade(first)
    locked = first.resolve("homemade", rules=ALLOWED).wheels[0]
    homemade(first, {"first": "changed = 1"})
    sentinel.unlink()
    with pytest.raises(IntegrityError) as caught:
        build_wheel(locked, first.folder, second.bench)
    assert caught.value.id == "DARI-DOWNLOAD-DIGEST"
    assert not sentinel.exists()


@pytest.mark.parametrize("url", ["sdist+https://example.invalid/a-1.tar.gz", "sdist+#sha256=00", "https://a/b.whl"])
def test_an_address_without_a_digest_is_malformed(place: Place, url: str) -> None:
    """A lock that was edited by hand builds nothing."""
    wheel_of_it = LockedWheel("a", "1", "a-1-py3-none-any.whl", url, Digest.of(b"x"), 1, ())
    with pytest.raises(Malformed):
        build_wheel(wheel_of_it, place.folder, place.bench)


def _through_the_file(wheel_of_it: LockedWheel) -> LockedWheel:
    platform = PlatformLock(bases.AMD64, None, bases.TARGET, (wheel_of_it,), (), (), ())
    raw = write_lock(Lock(Digest.of(b""), "scratch", (platform,)))
    return read_lock(raw, "dari.lock").platforms[0].wheels[0]
