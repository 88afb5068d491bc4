"""Foreign programs judge what dari writes: umoci, runc, skopeo, oci-image-tool, GNU tar; qemu, other processors."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from dari.image import read_archive, read_layout, validate, write_archive, write_layout
from dari.system import Store
from dari.values.entry import Entry, Kind
from dari.values.image import Image
from dari.values.manifest import Manifest
from dari.values.media import DOCKER_CONFIG, DOCKER_MANIFEST, Codec, layer_type
from dari.values.progress import Silent
from dari.values.reference import Archive, Layout
from tests.support.oci import file, host_shell, image, run_bundle, unpacked

pytestmark = pytest.mark.system
COMPRESSED = (Codec.GZIP, Codec.ZSTD)
_RAW = os.fsdecode(b"latin-\xe9\xff")
_LONG = "/".join(("x" * 200, "y" * 255, "ß" * 120))


def _odd_entries() -> list[Entry]:
    return [
        file("etc/motd", b"hello\n", 0o640, uid=1000, gid=1000, mtime=1_700_000_000),
        file(f"odd/{_RAW}", b"raw"),
        file(f"odd/{_RAW * 20}", b"raw and long"),
        file(f"odd/{_LONG}", b"long"),
        file("odd/다리", b"hangul"),
        file("odd/empty"),
        file("usr/bin/tool", b"#!/bin/sh\n", 0o4755),
        Entry("usr/bin/same", Kind.HARDLINK, target="usr/bin/tool"),
        Entry("usr/bin/link", Kind.SYMLINK, target="../../etc/motd"),
        Entry(f"odd/link-{_RAW}", Kind.SYMLINK, target=_RAW * 20),
        file("tmp/x"),
        file("root/y"),
        file("gone/a"),
        file("gone/b"),
    ]


def _written(layout: Layout, built: Image) -> Layout:
    write_layout(layout, [built], complete=True, progress=Silent())
    return layout


def _run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_umoci_unpacks_every_odd_name(store: Store, tmp_path: Path) -> None:
    """Long and non-UTF-8 names, links, modes, owners, times and whiteouts arrive as they were described."""
    built = image(store, _odd_entries(), [Entry("gone/a", Kind.WHITEOUT)])
    root = unpacked(_written(Layout(tmp_path / "layout", "v1"), built), tmp_path / "bundle")
    assert (root / "odd" / _RAW).read_bytes() == b"raw"
    assert (root / "odd" / (_RAW * 20)).read_bytes() == b"raw and long"
    assert (root / "odd" / _LONG).read_bytes() == b"long"
    assert (root / "odd" / "다리").read_bytes() == b"hangul"
    assert (root / "usr/bin/link").readlink() == Path("../../etc/motd")
    assert (root / "odd" / f"link-{_RAW}").readlink() == Path(_RAW * 20)
    assert (root / "usr/bin/same").samefile(root / "usr/bin/tool")
    assert [path.name for path in (root / "gone").iterdir()] == ["b"]
    status = (root / "etc/motd").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_mtime) == (
        0o640,
        1000,
        1000,
        1_700_000_000,
    )
    assert [(root / name).stat().st_mode & 0o7777 for name in ("tmp", "root", "usr", "usr/bin/tool")] == [
        0o1777, 0o700, 0o755, 0o4755
    ]  # fmt: skip


@pytest.mark.parametrize("codec", COMPRESSED)
def test_gnu_tar_lists_and_unpacks_a_layer(store: Store, tmp_path: Path, codec: Codec) -> None:
    """GNU tar, through gzip's and zstd's own programs, sees the same names."""
    built = image(store, _odd_entries(), codec=codec)
    layer = _written(Layout(tmp_path / "layout"), built).path / "blobs/sha256" / built.manifest.layers[0].digest.hex
    (tmp_path / "root").mkdir()
    program = {Codec.GZIP: "gzip", Codec.ZSTD: "zstd"}[codec]
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    _run("tar", "-x", "-C", tmp_path / "root", "-I", program, "-f", layer)
    assert (tmp_path / "root" / "odd" / (_RAW * 20)).read_bytes() == b"raw and long"
    assert (tmp_path / "root" / "odd" / _LONG).read_bytes() == b"long"


def test_runc_runs_what_was_built(store: Store, tmp_path: Path) -> None:
    """A shell from one layer runs a script from another, in a container of the image's own config."""
    base = image(store, [*host_shell(), *(Entry(name, Kind.DIRECTORY) for name in ("proc", "dev", "sys"))])
    ours = [file("app/run.sh", b"read line < /app/data; echo from $line\n"), file("app/data", b"inside\n")]
    built = image(store, ours, base=base)
    unpacked(_written(Layout(tmp_path / "layout", "v1"), built), tmp_path / "bundle")
    assert run_bundle(tmp_path / "bundle", "/bin/sh", "/app/run.sh") == "from inside\n"


@pytest.mark.parametrize("codec", COMPRESSED)
def test_skopeo_reads_the_layout_and_its_copy_is_the_same_image(store: Store, tmp_path: Path, codec: Codec) -> None:
    """Inspect shows the digest; a copy into another layout and back through a docker-archive keeps the content."""
    built = image(store, _odd_entries(), [file("b", b"2" * 3_000_000)], codec=codec)
    layout = _written(Layout(tmp_path / "layout", "v1"), built)
    seen = json.loads(_run("skopeo", "inspect", f"oci:{layout.path}:v1"))
    assert seen["Digest"] == str(built.digest)
    assert seen["Layers"] == [str(layer.descriptor.digest) for layer in built.layers]
    _run("skopeo", "copy", "-q", f"oci:{layout.path}:v1", f"oci:{tmp_path / 'copy'}:v1")
    copied = Layout(tmp_path / "copy", "v1")
    assert read_layout(copied).digest == built.digest
    assert validate(copied) == ()


def test_an_image_in_dockers_flavour_is_readable_in_a_layout(store: Store, tmp_path: Path) -> None:
    """NGC's bases are Docker's schema 2; foreign programs read only OCI's in a layout, so that is what is written."""
    oci = image(store, [file("base")])
    layers = tuple(replace(one.descriptor, media_type=layer_type(Codec.GZIP, docker=True)) for one in oci.layers)
    config = replace(oci.manifest.config, media_type=DOCKER_CONFIG)
    base = replace(oci, manifest=Manifest.build(config, layers, media_type=DOCKER_MANIFEST))
    built = image(store, [file("ours")], base=base)
    assert built.manifest.media_type == DOCKER_MANIFEST
    layout = _written(Layout(tmp_path / "layout", "v1"), built)
    assert validate(layout) == ()
    read = read_layout(layout)
    assert read.config == built.config
    assert json.loads(_run("skopeo", "inspect", f"oci:{layout.path}:v1"))["Digest"] == str(read.digest)
    assert (unpacked(layout, tmp_path / "bundle") / "ours").exists()


@pytest.mark.parametrize("codec", list(Codec))
def test_skopeo_reads_the_docker_archive_and_writes_one_that_dari_reads(
    store: Store, tmp_path: Path, codec: Codec
) -> None:
    """dari → docker-archive → skopeo → docker-archive → dari: the same config and diffIDs."""
    built = image(store, _odd_entries(), [file("b", b"2" * 3_000_000)], codec=codec)
    write_archive(Archive(tmp_path / "ours.tar", "team/app:1"), built, Silent())
    _run("skopeo", "copy", "-q", f"docker-archive:{tmp_path / 'ours.tar'}", f"oci:{tmp_path / 'copy'}:v1")
    assert [one.diff_id for one in read_layout(Layout(tmp_path / "copy")).layers] == [
        one.diff_id for one in built.layers
    ]
    _run("skopeo", "copy", "-q", f"oci:{tmp_path / 'copy'}:v1", f"docker-archive:{tmp_path / 'theirs.tar'}:team/app:1")
    theirs = read_archive(Archive(tmp_path / "theirs.tar", "team/app:1"))
    assert [one.diff_id for one in theirs.layers] == [one.diff_id for one in built.layers]
    for layer in theirs.layers:
        with layer.open() as chunks:
            assert sum(map(len, chunks)) == layer.descriptor.size


@pytest.mark.parametrize("codec", COMPRESSED)
def test_podman_loads_the_docker_archive_as_the_same_image(store: Store, tmp_path: Path, codec: Codec) -> None:
    """The id that podman gives a loaded image is our config's digest."""
    if shutil.which("podman") is None:
        pytest.skip("no podman here")
    built = image(store, [file("a"), file("odd/다리", b"hangul")], [file("b", b"2" * 100_000)], codec=codec)
    write_archive(Archive(tmp_path / "ours.tar", "team/app:1"), built, Silent())
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # podman takes no runroot of more than 50 characters
        podman = ("podman", "--root", f"{short}/root", "--runroot", f"{short}/run", "--storage-driver", "vfs")
        assert "/team/app:1" in _run(*podman, "load", "-q", "-i", tmp_path / "ours.tar")
        assert _run(*podman, "images", "-q", "--no-trunc").strip() == str(built.config.digest)


def test_oci_image_tool_finds_the_layout_valid(store: Store, tmp_path: Path) -> None:
    """The specification's own validator is content."""
    layout = _written(Layout(tmp_path / "layout", "v1"), image(store, [file("a")], [file("b")]))
    _run("oci-image-tool", "validate", "--type", "image", "--ref", "name=v1", layout.path)


def test_what_umoci_writes_is_sound_and_read(tmp_path: Path) -> None:
    """A layout that umoci made has no findings; writing into it keeps umoci's image."""
    layout = Layout(tmp_path / "layout", "theirs")
    _run("umoci", "init", "--layout", layout.path)
    _run("umoci", "new", "--image", f"{layout.path}:theirs")
    (tmp_path / "file").write_bytes(b"content")
    _run("umoci", "insert", "--image", f"{layout.path}:theirs", tmp_path / "file", "/file")
    assert validate(layout) == ()
    built = image(Store(tmp_path / "cache"), [file("ours")], base=read_layout(layout))
    _written(Layout(layout.path, "ours"), built)
    assert sorted(_run("umoci", "ls", "--layout", layout.path).split()) == ["ours", "theirs"]
    assert validate(Layout(layout.path)) == ()


_COMPRESS = """
import hashlib, random, sys
sys.path.append(sys.argv[1])
from dari.image.blocks import block_compressor
from dari.values.manifest import Manifest
from dari.values.media import DOCKER_CONFIG, DOCKER_MANIFEST, Codec, layer_type
source = random.Random(3)
words = [source.randbytes(9) for _ in range(300)]
blocks = [bytearray(b"".join(source.choices(words, k=15_000))), bytearray(source.randbytes(100_000)),
          bytearray(1 << 20)]
for codec in Codec:
    print(hashlib.sha256(b"".join(map(block_compressor(codec), blocks))).hexdigest())
"""


@pytest.mark.parametrize("processor", ["Nehalem", "Haswell"])
def test_another_processor_compresses_to_the_same_bytes(processor: str) -> None:
    """With SSE 4.2 only, with AVX2, or all that this machine has: one digest (docs/decisions/0003-gzip.md)."""
    if shutil.which("qemu-x86_64") is None or os.uname().machine != "x86_64":
        pytest.skip("no qemu-user here, or another architecture")
    interpreter = str(Path(sys.executable).resolve())
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "PYTHONPATH": source}
    command = [interpreter, "-c", _COMPRESS, packages]
    native = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    emulated = subprocess.run(
        ["qemu-x86_64", "-cpu", processor, *command], env=environment, capture_output=True, check=True
    ).stdout
    assert native == emulated
    assert len(set(native.split())) == 3
