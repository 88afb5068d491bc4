"""docker-archive files: written for docker, podman and skopeo, read from whoever wrote them."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dari.errors import DariError, IntegrityError, OutsideError, UsageError
from dari.image import read_archive, validate, write_archive, write_layout
from dari.system import Store, codec_of, decompressed
from dari.values import media
from dari.values.digest import Digest
from dari.values.image import Image
from dari.values.malformed import Malformed
from dari.values.media import Codec
from dari.values.progress import Silent
from dari.values.reference import Archive, Layout
from tests.support.oci import file, image


def _contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: stream.read() for info in tar if (stream := tar.extractfile(info))}


def _written(path: Path, image_: Image, name: str = "") -> Archive:
    archive = Archive(path, name)
    write_archive(archive, image_, Silent())
    return archive


@pytest.mark.parametrize("codec", list(Codec))
def test_an_archive_holds_config_layers_and_a_manifest(store: Store, tmp_path: Path, codec: Codec) -> None:
    """manifest.json names a config with its digest's name and layers that decompress to their diffIDs."""
    made = image(store, [file("a", b"1")], [file("b", os.urandom(3_000_000))], codec=codec)
    archive = _written(tmp_path / "image.tar", made, "team/app")
    contents = _contents(archive.path)
    [manifest] = json.loads(contents["manifest.json"])
    assert manifest["RepoTags"] == ["team/app:latest"]
    assert manifest["Config"] == f"{made.config.digest.hex}.json"
    assert contents[manifest["Config"]] == made.config.raw
    for path, diff_id in zip(manifest["Layers"], made.config.diff_ids, strict=True):
        layer = contents[path]
        assert codec_of(layer) is not Codec.ZSTD
        assert Digest.of(b"".join(decompressed([layer], codec_of(layer)))) == diff_id
    read = read_archive(archive)
    assert read.config == made.config
    assert [layer.diff_id for layer in read.layers] == [layer.diff_id for layer in made.layers]
    write_layout(Layout(tmp_path / "layout"), [read], complete=True, progress=Silent())
    assert validate(Layout(tmp_path / "layout")) == ()


def test_the_same_image_is_the_same_archive(store: Store, tmp_path: Path) -> None:
    """Byte for byte, with nothing of the time or the machine in it."""
    made = image(store, [file("a")], [file("a")], codec=Codec.ZSTD)
    one, other = (_written(tmp_path / name, made, "x:1").path.read_bytes() for name in ("one", "other"))
    assert one == other


def _docker_save(
    path: Path, *, link: bool = False, compressed: bool = False, names: tuple[str, ...] = ("app:1",)
) -> Any:
    """Write an archive as docker and skopeo did and do: config, layers, links between equal layers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        layer.addfile(tarfile.TarInfo("hello"))
    diff_id = Digest.of(buffer.getvalue())
    content = gzip.compress(buffer.getvalue()) if compressed else buffer.getvalue()
    layers = 2 if link else 1
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [str(diff_id)] * layers}}
    ).encode()
    paths = ["aa/layer.tar", "bb/layer.tar"][:layers]
    documents = [{"Config": "c.json", "RepoTags": [name], "Layers": paths} for name in names]
    with tarfile.open(path, "w") as tar:
        for name, data in (("c.json", config), (paths[0], content), ("manifest.json", json.dumps(documents).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo("bb/layer.tar")
            info.type, info.linkname = tarfile.SYMTYPE, "../aa/layer.tar"
            tar.addfile(info)
    return diff_id


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("link", [False, True])
def test_what_docker_saves_is_read(tmp_path: Path, *, link: bool, compressed: bool) -> None:
    """Plain and compressed layers, and symlinks that stand for repeated ones; bytes are verified on their way out."""
    diff_id = _docker_save(tmp_path / "x.tar", link=link, compressed=compressed)
    read = read_archive(Archive(tmp_path / "x.tar"))
    assert [layer.diff_id for layer in read.layers] == [diff_id] * (2 if link else 1)
    for layer in read.layers:
        assert layer.descriptor.media_type == media.layer_type(Codec.GZIP if compressed else Codec.NONE)
        with layer.open() as chunks:
            blob = b"".join(chunks)
        assert Digest.of(blob) == layer.descriptor.digest


def test_an_image_of_several_is_chosen_by_name(tmp_path: Path) -> None:
    """Without a name, an archive of two images is a question; the hint lists the names."""
    _docker_save(tmp_path / "x.tar", names=("app:1", "app:latest"))
    assert len(read_archive(Archive(tmp_path / "x.tar", "app")).layers) == 1
    for name in ("", "other:1"):
        with pytest.raises(UsageError) as caught:
            read_archive(Archive(tmp_path / "x.tar", name))
        assert caught.value.id == "DARI-ARCHIVE-NAME"
        assert "app:1, app:latest" in caught.value.hint


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_archive_never_gives_wrong_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut or flipped anywhere: an error of dari's own, or exactly the image as it was."""
    path = tmp_path_factory.mktemp("archive") / "x.tar"
    diff_id = _docker_save(path)
    content = bytearray(path.read_bytes().rstrip(b"\0") + bytes(1024))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        image_ = read_archive(Archive(path))
        with image_.layers[0].open() as chunks:
            assert Digest.of(b"".join(chunks)) == image_.layers[0].diff_id
    except (DariError, Malformed) as error:
        assert str(error)  # noqa: PT017 - either end is right
        return
    assert len(image_.layers) == 1
    assert image_.layers[0].diff_id == diff_id


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, bytes(2048), gzip.compress(b"x" * 9999)])
def test_a_file_of_something_else_is_no_archive(tmp_path: Path, content: bytes) -> None:
    """Told in one line with what to do; a missing file too."""
    (tmp_path / "x.tar").write_bytes(content)
    for path in (tmp_path / "x.tar", tmp_path / "missing.tar"):
        with pytest.raises(IntegrityError) as caught:
            read_archive(Archive(path))
        assert caught.value.id == "DARI-ARCHIVE-MALFORMED"


def test_a_header_that_claims_gigabytes_is_not_believed(tmp_path: Path) -> None:
    """A pax header of 8 GiB in a sparse file is refused, not read into memory."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 7 << 30
    with (tmp_path / "x.tar").open("wb") as stream:
        stream.write(info.tobuf(tarfile.USTAR_FORMAT))
        stream.truncate(8 << 30)
    with pytest.raises(IntegrityError, match="header record") as caught:
        read_archive(Archive(tmp_path / "x.tar"))
    assert caught.value.id == "DARI-ARCHIVE-MALFORMED"


def test_an_archive_that_cannot_be_written_leaves_the_old_one(store: Store, tmp_path: Path) -> None:
    """A failed write changes nothing and names the place."""
    made = image(store, [file("a", os.urandom(100_000))])
    target = tmp_path / "image.tar"
    target.write_bytes(b"the old one")
    store.path(made.layers[0].descriptor.digest).unlink()
    with pytest.raises(IntegrityError):
        write_archive(Archive(target), made, Silent())
    assert target.read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "image.tar"]
    with pytest.raises(OutsideError) as caught:
        write_archive(Archive(target / "below"), image(store, []), Silent())
    assert caught.value.id == "DARI-ARCHIVE-UNWRITABLE"


def test_a_name_that_is_no_reference_is_malformed(store: Store, tmp_path: Path) -> None:
    """Capital letters and spaces don't get into RepoTags."""
    with pytest.raises(Malformed):
        write_archive(Archive(tmp_path / "x.tar", "Team App"), image(store, []), Silent())
