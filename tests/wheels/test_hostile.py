"""Wheels that lie, climb, explode or are broken: each ends with one id, and nothing comes out of it."""

import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dari.errors import DariError, IntegrityError, OutsideError
from dari.values.digest import Digest
from dari.wheels import inspect_wheel, wheel_part
from tests.support.python_wheels import TARGET, Odd, hash_of, write_wheel

ABOUT = "demo-1.0.dist-info"


def read_all(path: Path, filename: str = "") -> None:
    """Do everything that a build does with a wheel."""
    part = wheel_part(path, filename=filename or path.name, digest=Digest.of(b""), target=TARGET, requested=True)
    for entry in part.entries():
        assert entry.open is not None
        with entry.open() as stream:
            while stream.read(1 << 20):
                pass


def refused(path: Path, filename: str = "") -> str:
    """Return the id under which a wheel is refused, having checked message and hint."""
    with pytest.raises(DariError) as caught:
        read_all(path, filename)
    assert "\n" not in str(caught.value)
    return caught.value.id


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "demo/../../evil.py",
        "/etc/passwd",
        "C:/evil.py",
        "c:evil.py",
        "demo\\..\\evil.py",
        "demo//evil.py",
        "./evil.py",
        "demo/./evil.py",
        "demo/new\nline.py",
        "demo/" + "n" * 256,
        "demo/" + "한" * 100,
        "/".join(["d" * 200] * 21),
        "demo-1.0.data/data/../../etc/passwd",
        "demo-1.0.data/scripts/../../evil",
        "",
    ],
)
def test_paths_that_climb_or_cannot_exist_are_refused(name: str, tmp_path: Path) -> None:
    """Absolute, climbing, Windows-like, empty, control characters, longer than a file system's names."""
    assert refused(write_wheel(tmp_path, {}, Odd(name, b"evil"))) == "DARI-WHEEL-PATH"


@pytest.mark.parametrize("name", ["n" * 255, "한" * 85, 'with blank, comma and "quote".py', "..hidden", "a..b", "é.py"])
def test_odd_but_honest_names_are_installed(name: str, tmp_path: Path) -> None:
    """Names at the limit, in any script, with characters that RECORD must quote, stay as they are."""
    quoted = '"' + f"demo/{name}".replace('"', '""') + '"'
    wheel = write_wheel(tmp_path, {f"demo/{name}": b"x"}, record={f"demo/{name}": f"{quoted},{hash_of(b'x')},1"})
    read_all(wheel)
    part = wheel_part(wheel, filename=wheel.name, digest=Digest.of(b""), target=TARGET, requested=True)
    assert f"{TARGET.scheme.purelib}/demo/{name}" in {entry.path for entry in part.entries()}


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """Names are UTF-8 in wheels; other bytes are not guessed at."""
    wheel = write_wheel(tmp_path, {"demo/plain.py": b""})
    wheel.write_bytes(wheel.read_bytes().replace(b"demo/plain.py", b"demo/pl\xe4in.py"))
    assert refused(wheel) == "DARI-WHEEL-PATH"


@pytest.mark.parametrize(
    "mode",
    [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR | 0o755],
)
@pytest.mark.parametrize("target", [b"../../../../etc/passwd", b"inside.py"])
def test_members_that_are_no_files_are_refused(mode: int, target: bytes, tmp_path: Path) -> None:
    """Links, devices, fifos, sockets, and a directory under a file's name."""
    assert refused(write_wheel(tmp_path, {}, Odd("demo/odd", target, mode))) == "DARI-WHEEL-KIND"


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    """Installers differ in which of the two they keep."""
    wheel = write_wheel(tmp_path, {"demo/a.py": b"one", "demo/b.py": b"two"})
    wheel.write_bytes(wheel.read_bytes().replace(b"demo/b.py", b"demo/a.py"))
    assert refused(wheel) == "DARI-WHEEL-DUPLICATE"


@pytest.mark.parametrize(
    "files",
    [
        {"demo.py": b"1", "demo-1.0.data/purelib/demo.py": b"2"},
        {"demo": b"a file", "demo/inside.py": b""},
        {"x.py": b"", "demo-1.0.data/data/bin": b"a file", "demo-1.0.data/scripts/tool": b""},
    ],
)
def test_two_files_in_one_place_are_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    """Two members may differ in name and still land on each other, or one be the other's directory."""
    assert refused(write_wheel(tmp_path, files)) == "DARI-WHEEL-DUPLICATE"


@pytest.mark.parametrize(
    "record",
    [
        {"demo.py": ""},
        {"demo.py": f"demo.py,{hash_of(b'other')},4"},
        {"demo.py": f"demo.py,{hash_of(b'pass')},5"},
        {"demo.py": "demo.py,md5=GhaRfyIVPC3W1Rvd3EgXXg,4"},
        {"demo.py": "demo.py,sha999=abc,4"},
        {"demo.py": "demo.py,sha256=§§,4"},
        {"demo.py": "demo.py,sha256=abc"},
        {"twice": f"demo.py,{hash_of(b'other')},4"},
    ],
)
def test_content_that_record_does_not_vouch_for_is_refused(record: dict[str, str], tmp_path: Path) -> None:
    """Unlisted, another hash, another size, a weak or unknown or unreadable hash, two rows that differ."""
    wheel = write_wheel(tmp_path, {"demo.py": b"pass"}, record=record)
    assert refused(wheel) == "DARI-WHEEL-RECORD"


def test_the_last_bytes_are_withheld_until_the_hash_is_seen_to_match(tmp_path: Path) -> None:
    """A reader that stops at the declared size still learns of the wrong hash."""
    body = bytes(range(256)) * 1000
    wheel = write_wheel(tmp_path, {"demo.bin": body}, record={"demo.bin": f"demo.bin,{hash_of(b'other')},{len(body)}"})
    part = wheel_part(wheel, filename=wheel.name, digest=Digest.of(b""), target=TARGET, requested=True)
    entry = next(entry for entry in part.entries() if entry.path.endswith("demo.bin"))
    assert entry.open is not None
    with entry.open() as stream, pytest.raises(IntegrityError) as caught:
        stream.read(entry.size)
    assert caught.value.id == "DARI-WHEEL-RECORD"


@pytest.mark.parametrize("listed", [True, False])
def test_signatures_of_record_need_no_row(listed: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """RECORD.jws signs RECORD and so can't be in it."""
    read_all(write_wheel(tmp_path, {"demo.py": b""}, Odd(f"{ABOUT}/RECORD.jws", b"{}", listed=listed)))


@pytest.mark.parametrize(
    ("files", "filename"),
    [
        ({f"{ABOUT}/WHEEL": b"Wheel-Version: 2.0\n"}, ""),
        ({f"{ABOUT}/WHEEL": b""}, ""),
        ({f"{ABOUT}/WHEEL": b"\xff\xfe"}, ""),
        ({"other-2.0.dist-info/METADATA": b"Name: other\n"}, ""),
        ({}, "another-1.0-py3-none-any.whl"),
        ({"demo-1.0.data/nowhere/x": b""}, ""),
        ({"demo-1.0.data/top": b""}, ""),
        ({f"{ABOUT}/entry_points.txt": b"[console_scripts]\nrun = not an object\n"}, ""),
        ({f"{ABOUT}/entry_points.txt": b"[console_scripts]\nrun = demo\n"}, ""),
        ({f"{ABOUT}/entry_points.txt": b"run = demo:main\n"}, ""),
        ({"demo-1.0.data/scripts/long": b"#!python " + b"x" * 5000}, ""),
    ],
)
def test_a_description_that_cannot_be_read_is_refused(files: dict[str, bytes], filename: str, tmp_path: Path) -> None:
    """WHEEL of another major version, two .dist-info, another name, unknown schemes, broken entry points."""
    assert refused(write_wheel(tmp_path, files), filename) == "DARI-WHEEL-METADATA"


@pytest.mark.parametrize("name", ["../../etc/cron.d/evil", "sub/run", "/bin/sh"])
def test_an_entry_point_cannot_leave_the_scripts_directory(name: str, tmp_path: Path) -> None:
    """The script's name comes from the wheel, too."""
    text = f"[console_scripts]\n{name} = demo:main\n".encode()
    assert refused(write_wheel(tmp_path, {f"{ABOUT}/entry_points.txt": text})) == "DARI-WHEEL-PATH"


@pytest.mark.parametrize("filename", ["demo.zip", "demo-1.0.whl", "demo-one-py3-none-any.whl", "x" * 400])
def test_a_file_name_that_is_no_wheels_is_refused(filename: str, tmp_path: Path) -> None:
    """The name says what the file is for."""
    assert refused(write_wheel(tmp_path, {}), filename) == "DARI-WHEEL-NAME"


def test_a_wheel_that_is_gone_is_an_outside_error(tmp_path: Path) -> None:
    """The cache may be cleaned at any moment."""
    with pytest.raises(OutsideError) as caught:
        read_all(tmp_path / "demo-1.0-py3-none-any.whl")
    assert caught.value.id == "DARI-WHEEL-MISSING"


def _encrypt(raw: bytearray) -> None:
    raw[raw.index(b"PK\x01\x02") + 8] |= 1


def _method(raw: bytearray) -> None:
    raw[raw.index(b"PK\x01\x02") + 10] = 12  # bzip2


def _prefix(raw: bytearray) -> None:
    raw[:0] = b"#!/bin/sh\n"


def _suffix(raw: bytearray) -> None:
    raw.extend(b"more")


def _cut(raw: bytearray) -> None:
    del raw[len(raw) // 2 :]


def _count(raw: bytearray) -> None:
    place = raw.index(b"PK\x05\x06")
    count = struct.unpack_from("<H", raw, place + 8)[0] + 1
    struct.pack_into("<HH", raw, place + 8, count, count)


def _local_name(raw: bytearray) -> None:
    raw[raw.index(b"demo.py")] ^= 1


def _local_mark(raw: bytearray) -> None:
    raw[raw.index(b"demo.py") - 30] ^= 1


def _checksum(raw: bytearray) -> None:
    raw[raw.index(b"PK\x01\x02") + 16] ^= 1


def _size(raw: bytearray, change: int) -> None:
    place = raw.index(b"PK\x01\x02") + 24
    struct.pack_into("<I", raw, place, struct.unpack_from("<I", raw, place)[0] + change)


def _shorter(raw: bytearray) -> None:
    _size(raw, -1)


def _longer(raw: bytearray) -> None:
    _size(raw, 1)


def _deflated(raw: bytearray) -> None:
    raw[raw.index(b"demo.py") + 7] ^= 0xFF


def _overlap(raw: bytearray) -> None:
    first = raw.index(b"PK\x01\x02")
    second = raw.index(b"PK\x01\x02", first + 4)
    struct.pack_into("<I", raw, second + 42, struct.unpack_from("<I", raw, first + 42)[0])


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_encrypt, "DARI-WHEEL-ENCRYPTED"),
        (_method, "DARI-WHEEL-ZIP"),
        (_prefix, "DARI-WHEEL-ZIP"),
        (_suffix, "DARI-WHEEL-ZIP"),
        (_cut, "DARI-WHEEL-ZIP"),
        (_count, "DARI-WHEEL-ZIP"),
        (_local_name, "DARI-WHEEL-ZIP"),
        (_local_mark, "DARI-WHEEL-ZIP"),
        (_checksum, "DARI-WHEEL-ZIP"),
        (_deflated, "DARI-WHEEL-ZIP"),
        (_overlap, "DARI-WHEEL-BOMB"),
    ],
)
def test_a_damaged_archive_is_refused(damage: Callable[[bytearray], None], expected: str, tmp_path: Path) -> None:
    """Every kind of damage to the zip file has its id; nothing is guessed."""
    wheel = write_wheel(tmp_path, {"demo.py": b"print('hello, hello, hello, hello')\n" * 3})
    raw = bytearray(wheel.read_bytes())
    damage(raw)
    wheel.write_bytes(raw)
    assert refused(wheel) == expected


@pytest.mark.parametrize(("damage", "expected"), [(_shorter, "DARI-WHEEL-BOMB"), (_longer, "DARI-WHEEL-ZIP")])
def test_a_lie_about_the_size_is_found_while_reading(
    damage: Callable[[bytearray], None], expected: str, tmp_path: Path
) -> None:
    """Without a size in RECORD the directory's is enforced: no byte more is handed out, none less accepted."""
    body = b"print('hello, hello, hello, hello')\n" * 3
    wheel = write_wheel(tmp_path, {"demo.py": body}, record={"demo.py": f"demo.py,{hash_of(body)},"})
    raw = bytearray(wheel.read_bytes())
    damage(raw)
    wheel.write_bytes(raw)
    assert refused(wheel) == expected


def test_a_bomb_that_tells_its_size_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    """10 GB of zeros in 10 MB: refused from the directory alone."""
    wheel = tmp_path / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("demo/zeros.bin", b"")
    _forge(wheel, compressed=b"\0" * 10_000_000, size=10 << 30)
    assert refused(wheel) == "DARI-WHEEL-BOMB"


def _forge(wheel: Path, *, compressed: bytes, size: int) -> None:
    """Rewrite a wheel of one member with other bytes and a zip64 size."""
    name = b"demo/zeros.bin"
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 45, 0, 8, 0, 0, 0, len(compressed), 0, len(name), 0)
    extra = struct.pack("<HHQ", 1, 8, size)
    central = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 45, 45, 0, 8, 0, 0, 0, len(compressed), 0xFFFFFFFF, len(name), len(extra),
        0, 0, 0, 0, 0,
    )  # fmt: skip
    directory = central + name + extra
    start = len(local) + len(name) + len(compressed)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), start, 0)
    wheel.write_bytes(local + name + compressed + directory + end)


def test_a_bomb_that_hides_its_size_stops_at_the_size_it_tells(tmp_path: Path) -> None:
    """A gigabyte behind a declared kilobyte: a kilobyte is inflated, then the lie is named."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(64)) + deflater.flush()
    wheel = write_wheel(tmp_path, {"demo/zeros.bin": bytes(1024)})
    raw = wheel.read_bytes()
    start = raw.index(b"demo/zeros.bin") + len(b"demo/zeros.bin")
    stop = raw.index(b"PK\x03\x04", start)
    shift = len(packed) - (stop - start)
    changed = bytearray(raw[:start] + packed + raw[stop:])
    struct.pack_into("<I", changed, changed.index(b"demo/zeros.bin") - 12, len(packed))
    place = changed.index(b"PK\x01\x02")
    first = place
    struct.pack_into("<I", changed, place + 20, len(packed))
    while (place := changed.find(b"PK\x01\x02", place + 4)) > 0:
        struct.pack_into("<I", changed, place + 42, struct.unpack_from("<I", changed, place + 42)[0] + shift)
    struct.pack_into("<I", changed, changed.index(b"PK\x05\x06") + 16, first)
    wheel.write_bytes(changed)
    tracemalloc.start()
    try:
        assert refused(wheel) == "DARI-WHEEL-BOMB"
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_text_file_of_absurd_length_is_refused(tmp_path: Path) -> None:
    """METADATA, WHEEL, RECORD and entry points are read whole, so they have a ceiling."""
    assert refused(write_wheel(tmp_path, {f"{ABOUT}/WHEEL": b"x" * 70_000})) == "DARI-WHEEL-BOMB"


def test_metadata_without_a_name_is_refused_when_looked_into(tmp_path: Path) -> None:
    """What the wheel is must be said by itself."""
    wheel = write_wheel(tmp_path, {f"{ABOUT}/METADATA": b"Metadata-Version: 2.1\n"})
    with pytest.raises(IntegrityError) as caught:
        inspect_wheel(wheel, filename=wheel.name, target=TARGET)
    assert caught.value.id == "DARI-WHEEL-METADATA"
