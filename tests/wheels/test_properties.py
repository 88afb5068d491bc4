"""Properties: what zipfile writes is read the same, and no bytes at all make anything but a DariError."""

import contextlib
import io
import random
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dari.errors import DariError
from dari.values.digest import Digest
from dari.wheels import inspect_wheel, wheel_part
from tests.support.python_wheels import TARGET, write_wheel

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="/\\:"), min_size=1)
PATHS = st.lists(NAMES.map(lambda name: f"n{name}"[:40]), min_size=1, max_size=3).map("/".join)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a temporary folder: pytest's own is one a test, hypothesis runs many."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def read(wheel: Path) -> dict[str, bytes]:
    """Read everything in a wheel through its part and its inspection."""
    inspect_wheel(wheel, filename=wheel.name, target=TARGET)
    part = wheel_part(wheel, filename=wheel.name, digest=Digest.of(b""), target=TARGET, requested=False)
    found = {}
    for entry in part.entries():
        assert entry.open is not None
        with entry.open() as stream:
            found[entry.path.removeprefix(TARGET.scheme.purelib + "/")] = stream.read()
    return found


@given(path=PATHS, content=st.binary(max_size=2000), repeat=st.integers(1, 300), stored=st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_is_read_back(path: str, content: bytes, *, repeat: int, stored: bool) -> None:
    """Names in any script, stored and deflated, short and long."""
    with folder() as place:
        quoted = '"' + path.replace('"', '""') + '"'
        wheel = write_wheel(place, {path: content * repeat}, record={path: f"{quoted},,"})
        if stored:
            wheel.write_bytes(_stored(wheel))
        assert read(wheel)[path] == content * repeat


def _stored(wheel: Path) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for member in source.infolist():
            with archive.open(zipfile.ZipInfo(member.filename), "w", force_zip64=True) as stream:
                stream.write(source.read(member))
    return target.getvalue()


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_no_damage_does_more_than_raise_a_dari_error(data: st.DataObject) -> None:
    """Bytes changed, cut or added anywhere: a wheel is read as it was, or refused."""
    with folder() as place:
        wheel = write_wheel(
            place,
            {
                "demo.py": b"print('hello')\n" * 40,
                "demo-1.0.data/scripts/run": b"#!python\n",
                "demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\nx = demo:main\n",
            },
        )
        raw = bytearray(wheel.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            spot = data.draw(st.integers(0, len(raw) - 1))
            action = data.draw(st.sampled_from(["change", "cut", "add"]))
            if action == "change":
                raw[spot] = data.draw(st.integers(0, 255))
            elif action == "add":
                raw[spot:spot] = data.draw(st.binary(max_size=8))
            elif spot:
                del raw[spot:]
        wheel.write_bytes(raw)
        with contextlib.suppress(DariError):
            read(wheel)


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_no_bytes_at_all_do_more_than_raise_a_dari_error(raw: bytes) -> None:
    """Not even what only looks like a zip file."""
    with folder() as place:
        wheel = place / "demo-1.0-py3-none-any.whl"
        for tail in (b"", b"PK\x05\x06" + bytes(18), b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + bytes(18)):
            wheel.write_bytes(raw + tail)
            with contextlib.suppress(DariError):
                read(wheel)


def test_a_block_that_begins_where_input_and_output_both_end_is_read_on() -> None:
    """Here 64 KiB of input end inside a block's header just as 64 KiB of output are full: reading goes on."""
    chance = random.Random(105)  # noqa: S311 - a fixed case, found by search
    letters = bytes(range(chance.randrange(100, 256)))
    content = bytes(65775) + bytes(chance.choices(letters, k=131072))
    with folder() as here:
        wheel = write_wheel(here, {"demo/data.bin": content})
        part = wheel_part(wheel, filename=wheel.name, digest=Digest.of(b""), target=TARGET, requested=False)
        entry = next(entry for entry in part.entries() if entry.path.endswith("data.bin"))
        assert entry.open is not None
        with entry.open() as stream:
            assert b"".join(iter(lambda: stream.read(65536), b"")) == content
