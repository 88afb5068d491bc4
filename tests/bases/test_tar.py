"""Reading a tar: what the standard library and GNU tar write is read as they mean it, and damage is always noticed."""

import contextlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dari.bases.tar import BLOCK, Member, MemberKind, TarStream, is_header
from dari.errors import IntegrityError
from tests.bases.making import Item, folder, hardlink, link, tar

_PART = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=90
)
_PATH = st.lists(_PART, min_size=1, max_size=4).map("/".join)
_ITEM = st.one_of(
    st.builds(lambda path, text: Item(path, "file", text), _PATH, st.binary(max_size=1500)),
    st.builds(folder, _PATH),
    st.builds(link, _PATH, _PATH),
    st.builds(hardlink, _PATH, _PATH),
)
_KINDS = {
    "file": MemberKind.FILE,
    "folder": MemberKind.DIRECTORY,
    "link": MemberKind.SYMLINK,
    "hardlink": MemberKind.HARDLINK,
}


def _read(content: bytes, chunk: int = 1 << 16) -> list[tuple[Member, bytes]]:
    chunks = (content[at : at + chunk] for at in range(0, len(content), chunk))
    stream = TarStream(chunks)
    return [(member, b"".join(stream.content())) for member in stream]


@given(st.lists(_ITEM, max_size=5), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]), st.integers(100, 3000))
def test_members_are_what_was_written(items: list[Item], format: int, chunk: int) -> None:
    """Names of any length and script, targets, sizes and content survive both formats, however the chunks fall."""
    read = _read(tar(items, format=format), chunk)
    assert [(member.name.rstrip("/"), member.kind, member.target, content) for member, content in read] == [
        (
            item.path.rstrip("/"),
            _KINDS[item.kind],
            str(item.text) if item.kind in {"link", "hardlink"} else "",
            item.content,
        )
        for item in items
    ]


def test_old_ustar_names_with_a_prefix_are_joined() -> None:
    """A ustar name of up to 255 characters is split into prefix and name, and put together again."""
    path = "/".join(["folder"] * 20) + "/name"
    assert [member.name for member, _ in _read(tar([Item(path, text="x")], format=tarfile.USTAR_FORMAT))] == [path]


def test_a_name_that_isnt_utf_8_survives() -> None:
    """Bytes that aren't UTF-8 become surrogate escapes, which turn into the same bytes again."""
    content = tar([Item("caf\udce9")], format=tarfile.GNU_FORMAT)
    assert _read(content)[0][0].name.encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_what_isnt_read_is_passed_over() -> None:
    """Content that nobody asks for costs nothing but its passing; the next member is found."""
    stream = TarStream(iter([tar([Item("big", text=b"x" * 100_000), Item("next", text="n")])]))
    assert [member.name for member in stream] == ["big", "next"]


def test_the_stream_is_read_to_its_end() -> None:
    """What follows the end mark is read too: only at the end is a layer's digest checked."""
    ended: list[bool] = []

    def chunks() -> Iterator[bytes]:
        yield tar([Item("a", text="x")])
        yield bytes(10_000)
        ended.append(True)

    assert len(list(TarStream(chunks()))) == 1
    assert ended == [True]


@given(st.integers(1, 5000))
@settings(max_examples=100)
def test_a_stream_cut_anywhere_is_noticed_or_ends_between_members(length: int) -> None:
    """A tar cut inside a member is an error; cut between two, it is a shorter tar, as for every reader."""
    content = tar([Item("first", text=b"1" * 700), Item("second", text=b"2" * 1500)])
    ends = {1536, 3584, 4096}  # after the first, after the second, after one block of the end mark
    if length in ends or length >= 4608:
        assert len(_read(content[:length])) == (1 if length == 1536 else 2)
        return
    with pytest.raises(IntegrityError) as raised:
        _read(content[:length])
    assert raised.value.id == "DARI-LAYER-TRUNCATED"


@given(st.integers(0, 511), st.integers(1, 255))
def test_a_damaged_header_is_noticed(at: int, change: int) -> None:
    """No byte of a header can change without an error: damage never looks like the end."""
    content = bytearray(tar([Item("first", text="1"), Item("second", text="2")], format=tarfile.USTAR_FORMAT))
    content[1024 + at] ^= change
    damaged = bytes(content)
    if is_header(damaged[1024:1536]):  # the checksum field's own padding may change without meaning
        return
    with pytest.raises(IntegrityError) as raised:
        _read(damaged)
    assert raised.value.id == "DARI-LAYER-CORRUPT"


def _header(**fields: object) -> bytes:
    info = tarfile.TarInfo("name")
    for name, value in fields.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "no tar at all": (b"hello world, this is no tar" * 40, "DARI-LAYER-CORRUPT"),
    "JSON": (b'{"schemaVersion": 2}'.ljust(1024), "DARI-LAYER-CORRUPT"),
    "a few bytes": (b"abc", "DARI-LAYER-TRUNCATED"),
    "a size of 10 GB over nothing": (_header(size=10 << 30), "DARI-LAYER-TRUNCATED"),
    "a size below zero": (_header(size=-1), "DARI-LAYER-CORRUPT"),
    "a pax header of 10 GB": (_header(size=10 << 30, type=tarfile.XHDTYPE), "DARI-LAYER-CORRUPT"),
    "a long name of 2 MB": (_header(size=2 << 20, type=tarfile.GNUTYPE_LONGNAME), "DARI-LAYER-CORRUPT"),
    "pax records without length": (
        _header(size=8, type=tarfile.XHDTYPE) + b"path=xx\n".ljust(BLOCK, b"\0") + _header(),
        "DARI-LAYER-CORRUPT",
    ),
    "a pax record longer than its header": (
        _header(size=8, type=tarfile.XHDTYPE) + b"99 a=bc\n".ljust(BLOCK, b"\0") + _header(),
        "DARI-LAYER-CORRUPT",
    ),
    "a pax size that is none": (
        _header(size=12, type=tarfile.XHDTYPE) + b"12 size=abc\n".ljust(BLOCK, b"\0") + _header(),
        "DARI-LAYER-CORRUPT",
    ),
    "a member after one zero block": (bytes(BLOCK) + _header() + bytes(1024), "DARI-LAYER-CORRUPT"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_tar_is_one_clear_error(name: str) -> None:
    """Damage and lies end in an error with an id, at once, and without the memory they claim."""
    content, expected = HOSTILE[name]
    with pytest.raises(IntegrityError) as raised:
        _read(content)
    assert raised.value.id == expected
    assert raised.value.hint


@given(st.binary(max_size=3000))
def test_any_bytes_are_members_or_an_integrity_error(content: bytes) -> None:
    """Nothing else than `IntegrityError` ever comes out of bytes from outside."""
    with contextlib.suppress(IntegrityError):
        _read(content)


@given(st.lists(_ITEM, min_size=1, max_size=3), st.data())
def test_any_damage_is_members_or_an_integrity_error(items: list[Item], data: st.DataObject) -> None:
    """Nor out of a tar with a damaged byte, wherever it is."""
    content = bytearray(tar(items))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(IntegrityError):
        _read(bytes(content))


@pytest.mark.system
@pytest.mark.parametrize("format", ["gnu", "pax", "v7", "ustar"])
def test_gnu_tars_own_formats_are_read(format: str, tmp_path: Path) -> None:
    """Sparse files included: their fragments are passed over, and the member after them is found."""
    with (tmp_path / "sparse").open("wb") as stream:
        for place in range(40):
            stream.seek(place << 20)
            stream.write(b"data")
        stream.truncate(100 << 20)
    (tmp_path / "zlast").write_text("end")
    names = ["sparse", "zlast"] if format in {"gnu", "pax"} else ["zlast"]
    options = ["--sparse"] if format in {"gnu", "pax"} else []
    argv = ["tar", "--create", *options, f"--format={format}", "--directory", str(tmp_path), *names]
    read = _read(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert [member.name for member, _ in read] == names
    assert [member.sparse for member, _ in read] == [name == "sparse" for name in names]
    assert read[-1][1] == b"end"


def test_a_global_pax_header_is_passed_over() -> None:
    """Comments of git archives and the like change nothing."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}) as archive:
        archive.addfile(tarfile.TarInfo("only"))
    assert [member.name for member, _ in _read(stream.getvalue())] == ["only"]
