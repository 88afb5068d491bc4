"""What stands in a layer: every path once, parents first, names of any bytes; and what is refused."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dari.errors import ConflictError, OutsideError, UsageError
from dari.image import MadeLayer
from dari.system import Store
from dari.values.entry import Entry, Kind, Part
from dari.values.media import Codec
from tests.support.oci import file, layer, part


def _tar(made: MadeLayer) -> tarfile.TarFile:
    with made.open() as chunks:
        stream = b"".join(chunks)
    return tarfile.open(fileobj=io.BytesIO(stream), encoding="utf-8", errors="surrogateescape")


def _listed(made: MadeLayer) -> list[tuple[object, ...]]:
    """Read a layer back with the standard library."""
    rows: list[tuple[object, ...]] = []
    with _tar(made) as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            rows.append(
                (
                    info.name,
                    info.type,
                    info.mode,
                    info.uid,
                    info.gid,
                    info.mtime,
                    info.linkname,
                    content and content.read(),
                )
            )
            assert (info.uname, info.gname) == ("", "")
    return rows


_TYPES = {Kind.FILE: tarfile.REGTYPE, Kind.DIRECTORY: tarfile.DIRTYPE, Kind.SYMLINK: tarfile.SYMTYPE}
_NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not ({0, ord("/")} & set(name)) and name not in {b".", b".."} and not name.startswith(b".wh.")
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(lambda names: os.fsdecode(b"/".join(names)))
_NUMBERS = st.integers(0, 1 << 40)


@st.composite
def _entries(draw: st.DrawFn) -> list[Entry]:
    paths = draw(st.lists(_PATHS, max_size=6, unique=True))
    entries = []
    for path in paths:
        if any(other.startswith(f"{path}/") for other in paths):
            continue
        common: Any = {
            "mode": draw(st.integers(0, 0o7777)),
            "uid": draw(_NUMBERS),
            "gid": draw(_NUMBERS),
            "mtime": draw(_NUMBERS),
        }
        match draw(st.integers(0, 2)):
            case 0:
                entries.append(file(path, draw(st.binary(max_size=1500)), **common))
            case 1:
                target = os.fsdecode(draw(st.binary(min_size=1, max_size=300).filter(lambda text: 0 not in text)))
                entries.append(Entry(path, Kind.SYMLINK, target=target, **common))
            case _:
                entries.append(Entry(path, Kind.DIRECTORY, **common))
    return entries


@settings(max_examples=150, deadline=None)
@given(_entries())
def test_a_tar_read_by_another_reader_equals_its_entries(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    """The standard library reads back every name, number, target and content, non-UTF-8 and long ones included."""
    made = layer(Store(tmp_path_factory.mktemp("store")), part("all", entries), codec=Codec.NONE)
    rows = {row[0]: row for row in _listed(made)}
    for entry in entries:
        content = entry.open().read() if entry.open else None
        assert rows[entry.path] == (
            entry.path, _TYPES[entry.kind], entry.mode, entry.uid, entry.gid, entry.mtime, entry.target, content
        )  # fmt: skip
    parents = {entry.path.rpartition("/")[0] for entry in entries} - {""}
    assert parents <= {name for name, row in rows.items() if row[1] == tarfile.DIRTYPE}
    assert len(rows) == len(_listed(made))


def test_missing_parents_get_their_usual_modes(store: Store) -> None:
    """Parents come first, once, 0755 and root's, but for the few places that are otherwise everywhere."""
    made = layer(
        store, part("all", [file("root/a/b"), file("tmp/x"), file("var/tmp/y"), file("opt/z")]), codec=Codec.NONE
    )
    assert [(row[0], row[2]) for row in _listed(made)] == [
        ("root", 0o700), ("root/a", 0o755), ("root/a/b", 0o644), ("tmp", 0o1777), ("tmp/x", 0o644),
        ("var", 0o755), ("var/tmp", 0o1777), ("var/tmp/y", 0o644), ("opt", 0o755), ("opt/z", 0o644),
    ]  # fmt: skip


def test_links_and_whiteouts(store: Store) -> None:
    """A hard link names its target in the layer; a whiteout is an empty file .wh.NAME beside the path."""
    entries = [
        file("bin/tool", b"content"),
        Entry("bin/same", Kind.HARDLINK, target="bin/tool"),
        Entry("bin/gone", Kind.WHITEOUT),
    ]
    rows = _listed(layer(store, part("all", entries), codec=Codec.NONE))
    assert [(row[0], row[1], row[6]) for row in rows[1:]] == [
        ("bin/tool", tarfile.REGTYPE, ""),
        ("bin/same", tarfile.LNKTYPE, "bin/tool"),
        ("bin/.wh.gone", tarfile.REGTYPE, ""),
    ]


def test_directories_merge_and_equal_files_are_written_once(store: Store) -> None:
    """Two parts may bring the same directory (the first wins) and the same file (the later one, in its place)."""
    first = part("first", [Entry("opt", Kind.DIRECTORY, 0o700), file("opt/a", b"old"), file("opt/b", b"b")])
    second = part("second", [Entry("opt", Kind.DIRECTORY, 0o755), file("opt/a", b"new")])
    rows = _listed(layer(store, first, second, codec=Codec.NONE))
    assert [(row[0], row[2], row[7]) for row in rows] == [
        ("opt", 0o700, None),
        ("opt/a", 0o644, b"new"),
        ("opt/b", 0o644, b"b"),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (file("a", b"1"), file("a", b"12")),
        (file("a", b"1"), file("a", b"1", 0o755)),
        (file("a"), Entry("a", Kind.DIRECTORY)),
        (file("a"), file("a/b")),
        (file("a/b"), file("a")),
        (Entry("lib", Kind.SYMLINK, target="usr/lib"), file("lib/x")),
        (Entry("a", Kind.WHITEOUT), file("a")),
        (Entry("a", Kind.SYMLINK, target="b"), Entry("a", Kind.SYMLINK, target="c")),
    ],
)
def test_two_parts_that_disagree_are_both_named(store: Store, one: Entry, other: Entry) -> None:
    """A path with two contents is a conflict, never a matter of order; nothing is written."""
    with pytest.raises(ConflictError) as caught:
        layer(store, part("numpy 1", [one]), part("numpy 2", [other]))
    assert caught.value.id == "DARI-LAYER-CONFLICT"
    assert caught.value.findings[0].cause == "numpy 1, numpy 2"
    assert "numpy 1" in str(caught.value)
    assert "numpy 2" in str(caught.value)


def test_all_conflicts_are_told_at_once(store: Store) -> None:
    """Whoever mends one conflict has seen the others."""
    with pytest.raises(ConflictError) as caught:
        layer(store, part("x", [file("a", b"1"), file("b", b"1")]), part("y", [file("a"), file("b")]))
    assert [finding.where for finding in caught.value.findings] == ["a", "b"]


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../up", "a/../../b", "a/..", "./a", "a//b", "a/", "a\0b", "\ud800", "x" * 256,
     "d/" * 2048 + "x", "a/.wh.b", ".wh..wh..opq"],
)  # fmt: skip
def test_paths_that_no_engine_could_unpack_are_refused(store: Store, path: str) -> None:
    """Nothing climbs, is absolute, empty or too long, hides a NUL, or deletes files of the base by its name."""
    with pytest.raises(UsageError) as caught:
        layer(store, part("a wheel", [file(path, b"x")]))
    assert caught.value.id == "DARI-LAYER-PATH"
    assert "a wheel" in str(caught.value)
    assert not list(store.root.glob("blobs/*/*"))


@pytest.mark.parametrize(
    ("entry", "id"),
    [
        (Entry("l", Kind.HARDLINK, target="missing"), "DARI-LAYER-LINK"),
        (Entry("l", Kind.HARDLINK, target="../etc/shadow"), "DARI-LAYER-PATH"),
        (Entry("l", Kind.HARDLINK, target="d"), "DARI-LAYER-LINK"),
        (Entry("l", Kind.SYMLINK, target=""), "DARI-LAYER-PATH"),
        (Entry("l", Kind.SYMLINK, target="a\0b"), "DARI-LAYER-PATH"),
        (Entry("f", Kind.FILE, size=5), "DARI-LAYER-PATH"),
        (Entry("f", Kind.FILE, size=-1), "DARI-LAYER-PATH"),
    ],
)
def test_links_without_a_sound_target_are_refused(store: Store, entry: Entry, id: str) -> None:
    """A hard link must follow its target in the layer; a symbolic one must say something."""
    with pytest.raises(UsageError) as caught:
        layer(store, part("p", [Entry("d", Kind.DIRECTORY), entry]))
    assert caught.value.id == id


@pytest.mark.parametrize(("said", "found"), [(3, b"12"), (3, b"1234"), (0, b"1"), (2_000_000, b"x" * 1_999_999)])
def test_a_file_that_changes_while_it_is_read_is_an_error(store: Store, said: int, found: bytes) -> None:
    """Neither padded nor cut: the layer isn't made, and nothing of it stays."""
    with pytest.raises(OutsideError) as caught:
        layer(store, part("p", [Entry("log", Kind.FILE, size=said, open=lambda: io.BytesIO(found))]))
    assert caught.value.id == "DARI-LAYER-FILE-CHANGED"
    assert caught.value.temporary
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def test_a_file_that_cannot_be_read_is_named(store: Store, tmp_path: Path) -> None:
    """A file that went away between listing and reading is one clear line."""
    gone = tmp_path / "gone"
    with pytest.raises(OutsideError, match=r"'train\.py'.*No such file") as caught:
        layer(store, part("p", [Entry("train.py", Kind.FILE, size=1, open=lambda: gone.open("rb"))]))
    assert caught.value.id == "DARI-LAYER-FILE-UNREADABLE"


def test_an_empty_layer_is_a_tar_of_nothing(store: Store) -> None:
    """No entries: two blocks of zeros, which every engine takes."""
    made = layer(store, Part("nothing", "nothing", 0, tuple), codec=Codec.ZSTD)
    with made.open() as chunks:
        assert zstandard.ZstdDecompressor().decompress(b"".join(chunks)) == bytes(1024)
