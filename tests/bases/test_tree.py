"""Layers put together are what umoci unpacks: whiteouts, links, replaced kinds, names that try to climb out."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dari.bases.layers import read_layer
from dari.bases.merged import Merged, merge
from dari.bases.tree import Folder, Link
from dari.values.digest import Digest
from dari.values.media import Codec
from tests.bases.making import Item, compress, folder, hardlink, image, layer, link, tar

LOWER = [
    folder("usr"), folder("usr/lib"), Item("usr/lib/libz.so.1", text="z"), link("lib", "usr/lib"),
    folder("etc"), Item("etc/passwd", text="root"), Item("etc/group", text="root"),
    folder("opt/a/b"), Item("opt/a/b/c", text="c"), Item("opt/a/d", text="d"), link("opt/abs", "/opt/a"),
    link("opt/up", "../../../etc"), link("opt/nowhere", "not/there"), link("opt/round", "round"),
]  # fmt: skip

CASES: dict[str, list[list[Item]]] = {
    "a file over a file": [LOWER, [Item("etc/passwd", text="new")]],
    "a whiteout of a file": [LOWER, [Item("etc/.wh.passwd")]],
    "a whiteout of a folder": [LOWER, [Item("opt/.wh.a")]],
    "a whiteout of what isn't there": [LOWER, [Item("etc/.wh.shadow")]],
    "a whiteout of a link to a folder takes only the link": [LOWER, [Item(".wh.lib")]],
    "a whiteout through a linked folder": [LOWER, [Item("lib/.wh.libz.so.1")]],
    "an opaque folder hides what is below": [LOWER, [folder("opt/a"), Item("opt/a/.wh..wh..opq")]],
    "an opaque folder keeps its own layer's files": [
        LOWER, [folder("opt/a"), Item("opt/a/.wh..wh..opq"), Item("opt/a/new", text="n"), folder("opt/a/b")],
    ],
    "an opaque mark may come after what it doesn't hide": [
        LOWER, [folder("opt/a"), Item("opt/a/new", text="n"), Item("opt/a/.wh..wh..opq")],
    ],
    "a file where a folder was": [LOWER, [Item("opt/a", text="now a file")]],
    "a folder where a file was": [LOWER, [folder("opt/a/d"), Item("opt/a/d/x", text="x")]],
    "a folder where a link to a folder was": [LOWER, [folder("lib"), Item("lib/own", text="own")]],
    "a link where a folder was": [LOWER, [link("opt/a", "/etc"), Item("opt/a/via", text="via")]],
    "a file where a link was replaces the link": [LOWER, [Item("opt/abs", text="file")]],
    "a path through a relative link": [LOWER, [Item("lib/modules/x", text="x")]],
    "a path through an absolute link": [LOWER, [Item("opt/abs/e", text="e")]],
    "a path through a link that climbs stays inside": [LOWER, [Item("opt/up/hosts", text="h")]],
    "a path through a dangling link makes its target": [LOWER, [Item("opt/nowhere/x", text="x")]],
    "a name that climbs stays inside": [LOWER, [Item("../../etc/climbed", text="x"), Item("a/../../b", text="b")]],
    "an absolute name": [LOWER, [Item("/etc/absolute", text="x")]],
    "names with dots": [LOWER, [Item("./etc/./dotted", text="x"), Item("./.", "folder")]],
    "missing folders are made": [[Item("deep/er/est", text="x")]],
    "a hardlink": [[*LOWER, hardlink("etc/passwd-", "etc/passwd")]],
    "a hardlink to a lower layer's file": [LOWER, [hardlink("etc/passwd-", "etc/passwd")]],
    "a hardlink survives the removal of its other name": [
        [*LOWER, hardlink("opt/keep", "opt/a/d")], [Item("opt/a/.wh.d")],
    ],
    "a hardlink keeps the content when its other name is replaced": [
        [*LOWER, hardlink("opt/keep", "etc/passwd")], [Item("etc/passwd", text="new")],
    ],
    "a hardlink through a link": [LOWER, [hardlink("z", "lib/libz.so.1")]],
    "a hardlink to a link": [[*LOWER, hardlink("opt/second", "opt/nowhere")]],
    "a fifo": [LOWER, [Item("opt/pipe", "fifo")]],
    "removed and made again": [LOWER, [Item("opt/.wh.a")], [Item("opt/a/again", text="x")]],
    "three layers on one folder": [
        LOWER, [Item("opt/a/e", text="e")], [Item("opt/a/.wh.d"), Item("opt/a/e", text="f")],
    ],
    "a name that isn't UTF-8": [[Item("caf\udce9", text="x")]],
    "a name of 255 bytes in a path of 1000": [[Item("/".join(["y" * 120] * 8 + ["z" * 255]), text="x")]],
}  # fmt: skip


def _merged(layers: Sequence[Sequence[Item]]) -> Merged:
    contents = [tar(items) for items in layers]
    paths = frozenset(_clean(item.path) for items in layers for item in items)
    return merge([read_layer(iter((content,)), also=paths) for content in contents])


def _clean(path: str) -> str:
    return os.path.normpath("/" + path).lstrip("/")


def _listed(merged: Merged) -> dict[str, tuple[str, str]]:
    listed: dict[str, tuple[str, str]] = {}
    for path, node in merged.tree.walk():
        if isinstance(node, Folder):
            listed[path] = ("folder", "")
        elif isinstance(node, Link):
            listed[path] = ("link", node.target)
        elif node.layer < 0:
            listed[path] = ("other", "")
        else:
            listed[path] = ("file", (merged.read(path) or b"").decode("utf-8", "surrogateescape"))
    return listed


def _unpacked(layers: Sequence[Sequence[Item]], place: Path) -> dict[str, tuple[str, str]] | None:
    """Return what umoci makes of the layers; None where it refuses them."""
    made = image(*(layer(tar(items)) for items in layers))
    blobs = place / "layout/blobs/sha256"
    blobs.mkdir(parents=True)
    contents = [made.manifest.raw, made.config.raw, *(compress(tar(items), Codec.GZIP) for items in layers)]
    for content in contents:
        (blobs / Digest.of(content).hex).write_bytes(content)
    descriptor = made.manifest.descriptor.to_json() | {"annotations": {"org.opencontainers.image.ref.name": "x"}}
    (place / "layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
    (place / "layout/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    argv = ("umoci", "unpack", "--image", f"{place}/layout:x", f"{place}/bundle")
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        return None
    root = place / "bundle/rootfs"
    return {os.path.relpath(path, root): _kind(path) for path in _below(root)}


def _below(folder: Path) -> list[Path]:
    return [Path(at) / name for at, folders, files in os.walk(folder) for name in (*folders, *files)]


def _kind(path: Path) -> tuple[str, str]:
    if path.is_symlink():
        return "link", str(path.readlink())
    if path.is_dir():
        return "folder", ""
    return ("file", path.read_text("utf-8", "surrogateescape")) if path.is_file() else ("other", "")


@pytest.mark.system
@pytest.mark.parametrize("name", CASES)
def test_layers_merge_as_umoci_unpacks_them(name: str, tmp_path: Path) -> None:
    """The merged view has the paths, kinds, link targets and contents of umoci's root file system."""
    assert _listed(_merged(CASES[name])) == _unpacked(CASES[name], tmp_path)


_NAMES = st.sampled_from(["a", "b", "c", "a/b", "a/c", "a/b/c", "b/a", "c/a/b", "../a", "./b/./c", "/c", "b/../a/c"])
_TARGETS = st.sampled_from(["a", "/a", "b", "../b", "/a/b", "../../c", "c/a", ".", "nowhere"])
_MARKS = st.sampled_from([".wh.a", ".wh.b", "a/.wh.b", "a/.wh..wh..opq", ".wh..wh..opq", "b/.wh.a", "a/b/.wh.c"])
_ITEMS = st.one_of(
    st.builds(lambda path, text: Item(path, "file", text), _NAMES, st.sampled_from(["1", "2", "3"])),
    st.builds(folder, _NAMES),
    st.builds(link, _NAMES, _TARGETS),
    st.builds(hardlink, _NAMES, _NAMES),
)


@pytest.mark.system
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.lists(st.tuples(st.lists(_MARKS, max_size=2), st.lists(_ITEMS, max_size=6)), min_size=1, max_size=3))
def test_any_layers_merge_as_umoci_unpacks_them(layers: list[tuple[list[str], list[Item]]]) -> None:
    """What umoci accepts, dari sees as umoci does; what umoci refuses, dari survives."""
    stack = [[*(Item(mark) for mark in marks), *items] for marks, items in layers]
    merged = _listed(_merged(stack))
    with tempfile.TemporaryDirectory() as place:
        unpacked = _unpacked(stack, Path(place))
    assume(unpacked is not None)
    assert merged == unpacked
