"""OCI layouts: written whole or sparse, by any number of writers, read back verified."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dari.errors import IntegrityError, OutsideError, UsageError
from dari.image import read_layout, read_layout_images, read_layout_index, validate, write_layout
from dari.system import Store
from dari.values import media
from dari.values.digest import Digest
from dari.values.finding import Severity
from dari.values.image import Image, Layer
from dari.values.malformed import Malformed
from dari.values.manifest import Descriptor, Index
from dari.values.media import Codec
from dari.values.progress import Silent
from dari.values.reference import Layout, Location, Reference
from tests.support.oci import AMD64, ARM64, blobs, check_schema, file, image

BASE = Reference.parse("registry.example.org/team/base:1")


@dataclass(frozen=True, slots=True)
class Remote:
    """A layer that lies in a registry; opening it gives the bytes of another layer."""

    layer: Layer
    origin: Location | None = BASE

    @property
    def descriptor(self) -> Descriptor:
        """As the layer's."""
        return self.layer.descriptor

    @property
    def diff_id(self) -> Digest:
        """As the layer's."""
        return self.layer.diff_id

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """As the layer's, as if it came through the network."""
        with self.layer.open() as chunks:
            yield chunks


def _write(layout: Layout, *images: Image, complete: bool = True) -> Descriptor:
    return write_layout(layout, images, complete=complete, progress=Silent())


def _on_base(store: Store, name: str = "ours") -> Image:
    base = image(store, [file("base", b"base's bytes")])
    remote = Image(base.manifest, base.config, tuple(Remote(one) for one in base.layers))
    return image(store, [file(name, b"ours")], base=remote)


@pytest.mark.parametrize("codec", list(Codec))
def test_what_was_written_is_read_back_and_has_no_findings(store: Store, tmp_path: Path, codec: Codec) -> None:
    """The same manifest, config and layer bytes come back, and the judge is content."""
    written = image(store, [file("a", b"1")], [file("b/c", b"2" * 3_000_000)], codec=codec)
    layout = Layout(tmp_path / "layout", "v1")
    entry = _write(layout, written)
    read = read_layout(layout, AMD64)
    assert entry.digest == written.digest == read.digest
    assert read.config == written.config
    for ours, theirs in zip(written.layers, read.layers, strict=True):
        with ours.open() as one, theirs.open() as other:
            assert b"".join(one) == b"".join(other)
        assert theirs.origin is None
    assert validate(layout) == ()


def test_documents_follow_the_image_specs_own_schemas(store: Store, tmp_path: Path) -> None:
    """Manifest, config, index and layout file pass the JSON schemas of the specification."""
    pytest.importorskip("jsonschema")
    layout = Layout(tmp_path / "layout")
    images = [image(store, [file(platform.architecture)], platform=platform) for platform in (AMD64, ARM64)]
    entry = _write(layout, *images)
    check_schema((layout.path / "oci-layout").read_bytes(), "image-layout-schema.json")
    check_schema((layout.path / "index.json").read_bytes(), "image-index-schema.json")
    check_schema((layout.path / "blobs" / "sha256" / entry.digest.hex).read_bytes(), "image-index-schema.json")
    for one in images:
        check_schema(one.manifest.raw, "image-manifest-schema.json")
        check_schema(one.config.raw, "config-schema.json")


def test_several_platforms_are_one_index(store: Store, tmp_path: Path) -> None:
    """A tag names an index of all platforms; each is read by its platform, or all in order."""
    images = [image(store, [file(platform.architecture)], platform=platform) for platform in (AMD64, ARM64)]
    layout = Layout(tmp_path / "layout", "both")
    entry = _write(layout, *images)
    assert entry.media_type == media.OCI_INDEX
    assert read_layout(layout, ARM64).digest == images[1].digest
    assert [one.digest for one in read_layout_images(layout)] == [one.digest for one in images]
    index = read_layout_index(layout)
    assert isinstance(index, Index)
    assert index.digest == entry.digest
    with pytest.raises(UsageError, match="several platforms") as caught:
        read_layout(layout)
    assert caught.value.id == "DARI-LAYOUT-PLATFORM"
    assert validate(layout) == ()


def test_other_tags_stay_and_the_same_tag_is_replaced_in_its_place(store: Store, tmp_path: Path) -> None:
    """index.json keeps what others wrote, members that dari doesn't know included."""
    root = tmp_path / "layout"
    first, second = (image(store, [file(name)]) for name in "ab")
    _write(Layout(root, "one"), first)
    path = root / "index.json"
    document = json.loads(path.read_bytes())
    document["manifests"][0] |= {"urls": ["https://example.org"]}
    document["annotations"] = {"somebody": "else"}
    path.write_text(json.dumps(document))
    _write(Layout(root, "two"), first)
    _write(Layout(root, "two"), second)
    after = json.loads(path.read_bytes())
    assert after["annotations"] == {"somebody": "else"}
    assert after["manifests"][0] == document["manifests"][0]
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in after["manifests"]] == ["one", "two"]
    assert read_layout(Layout(root, "two")).digest == second.digest


def test_without_a_tag_an_image_is_the_latest_and_the_only_one_is_read(store: Store, tmp_path: Path) -> None:
    """`oci:PATH` writes 'latest'; reading `oci:PATH` needs a tag as soon as there are two."""
    root = tmp_path / "layout"
    written = image(store, [file("a")])
    _write(Layout(root), written)
    assert read_layout(Layout(root)).digest == read_layout(Layout(root, "latest")).digest == written.digest
    _write(Layout(root, "second"), written)
    with pytest.raises(UsageError) as caught:
        read_layout(Layout(root))
    assert caught.value.id == "DARI-LAYOUT-TAG"
    assert "latest, second" in caught.value.hint


def test_a_sparse_layout_says_where_its_layers_are(store: Store, tmp_path: Path) -> None:
    """The base's layers are left in the registry, the digest is that of the whole image, and a push can mount them."""
    built = _on_base(store)
    sparse, whole = Layout(tmp_path / "sparse", "v1"), Layout(tmp_path / "whole", "v1")
    assert _write(sparse, built, complete=False).digest == _write(whole, built, complete=True).digest
    base_layer = built.layers[0].descriptor
    assert base_layer.digest.hex not in {path.name for path in blobs(sparse)}
    assert base_layer.digest.hex in {path.name for path in blobs(whole)}
    assert [layer.origin for layer in read_layout(sparse).layers] == [BASE, None]
    assert [layer.origin for layer in read_layout(whole).layers] == [BASE, None]
    assert [(finding.id, finding.severity) for finding in validate(sparse)] == [("DARI-LAYOUT-LEFT-OUT", Severity.NOTE)]
    assert validate(whole) == ()
    layer = read_layout(sparse).layers[0]
    with pytest.raises(UsageError, match=r"registry\.example\.org/team/base:1") as caught, layer.open():
        pass
    assert caught.value.id == "DARI-LAYOUT-SPARSE"


def test_a_sparse_layout_is_read_whole_with_somebody_to_fetch(store: Store, tmp_path: Path) -> None:
    """Given a way to open layers of a registry, a sparse layout is as good as a whole one, and can be made whole."""
    built = _on_base(store)
    layout = Layout(tmp_path / "layout", "v1")
    _write(layout, built, complete=False)
    asked: list[tuple[Reference, Descriptor]] = []

    @contextlib.contextmanager
    def remote(reference: Reference, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        asked.append((reference, descriptor))
        with built.layers[0].open() as chunks:
            yield chunks

    read = read_layout(layout, remote=remote)
    whole = Layout(tmp_path / "whole", "v1")
    _write(whole, read, complete=True)
    assert asked == [(BASE, built.layers[0].descriptor)]
    assert validate(whole) == ()


def test_layers_are_linked_not_copied_and_cannot_be_written_through(store: Store, tmp_path: Path) -> None:
    """On one file system a layer costs no bytes; it is read-only, for its inode is the cache's."""
    written = image(store, [file("a", b"x" * 100_000)])
    layout = Layout(tmp_path / "layout")
    _write(layout, written)
    digest = written.layers[0].descriptor.digest
    ours, theirs = store.path(digest).stat(), (layout.path / "blobs" / "sha256" / digest.hex).stat()
    assert ours.st_ino == theirs.st_ino or ours.st_nlink == 1  # linked, or cloned where the file system can
    assert not theirs.st_mode & 0o222


@pytest.mark.parametrize(
    "prepare",
    [
        lambda root: root.write_bytes(b"a file"),
        lambda root: (root.mkdir(), (root / "thesis.tex").write_bytes(b"")),
        lambda root: (root.mkdir(), (root / "oci-layout").touch(), (root / "index.json").write_bytes(b"{]")),
        lambda root: (root.mkdir(), (root / "oci-layout").touch(), (root / "index.json").write_bytes(b"[" * 100_000)),
    ],
)
def test_dari_does_not_write_among_other_files(store: Store, tmp_path: Path, prepare: Any) -> None:
    """A file, a folder of something else and an unreadable index are refused with the way out."""
    prepare(tmp_path / "place")
    with pytest.raises(UsageError) as caught:
        _write(Layout(tmp_path / "place"), image(store, [file("a")]))
    assert caught.value.id == "DARI-LAYOUT-NOT-ONE"
    assert caught.value.hint


@pytest.mark.parametrize("tag", ["nope", "v"])
def test_a_tag_that_is_not_there_is_named_with_those_that_are(store: Store, tmp_path: Path, tag: str) -> None:
    """Reading an unknown tag lists the known ones."""
    _write(Layout(tmp_path / "layout", "v1"), image(store, [file("a")]))
    with pytest.raises(UsageError) as caught:
        read_layout(Layout(tmp_path / "layout", tag))
    assert caught.value.id == "DARI-LAYOUT-TAG"
    assert "v1" in caught.value.hint


def test_a_platform_that_is_not_there_is_named_with_those_that_are(store: Store, tmp_path: Path) -> None:
    """Asking a layout of amd64 for arm64 lists amd64."""
    _write(Layout(tmp_path / "layout"), image(store, [file("a")]))
    with pytest.raises(UsageError) as caught:
        read_layout(Layout(tmp_path / "layout"), ARM64)
    assert caught.value.id == "DARI-LAYOUT-PLATFORM"
    assert "linux/amd64" in caught.value.hint


@pytest.mark.parametrize("harm", [b"", b"{}", b'{"schemaVersion":2,"manifests":[{}]}', b"\xff\xfe", b"[]"])
def test_an_index_of_nonsense_is_malformed(tmp_path: Path, harm: bytes) -> None:
    """Whatever index.json holds, reading it ends in one clear error."""
    (tmp_path / "index.json").write_bytes(harm)
    with pytest.raises((Malformed, UsageError)):
        read_layout(Layout(tmp_path))


def test_a_folder_that_is_no_layout_is_said_to_be_none(tmp_path: Path) -> None:
    """No index.json: not a layout."""
    with pytest.raises(UsageError) as caught:
        read_layout(Layout(tmp_path / "nowhere"))
    assert caught.value.id == "DARI-LAYOUT-NOT-ONE"


def test_a_layer_that_is_not_what_its_manifest_says_is_never_given_out(store: Store, tmp_path: Path) -> None:
    """The last chunk of a damaged layer is withheld, and the error says so; a manifest is refused at once."""
    layout = Layout(tmp_path / "layout")
    written = image(store, [file("a", b"x" * 10)])
    _write(layout, written)
    for descriptor in (written.manifest.layers[0], written.manifest.descriptor):
        path = layout.path / "blobs" / "sha256" / descriptor.digest.hex
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.unlink()
        path.write_bytes(content)
        with pytest.raises(IntegrityError) as caught, read_layout(layout).layers[0].open() as chunks:
            list(chunks)
        assert caught.value.id == "DARI-LAYOUT-BLOB"


def test_a_huge_manifest_is_not_read(store: Store, tmp_path: Path) -> None:
    """A descriptor that claims gigabytes for a manifest is refused before reading."""
    layout = Layout(tmp_path / "layout")
    entry = _write(layout, image(store, [file("a")]))
    huge = replace(entry, size=1 << 40).to_json() | {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
    document = {"schemaVersion": 2, "manifests": [huge]}
    (layout.path / "index.json").write_text(json.dumps(document))
    with pytest.raises(IntegrityError) as caught:
        read_layout(layout)
    assert caught.value.id == "DARI-LAYOUT-BLOB"


def test_a_place_that_cannot_be_written_is_one_clear_line(store: Store, tmp_path: Path) -> None:
    """A path below a file cannot be made: told with the path."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutsideError) as caught:
        _write(Layout(tmp_path / "file" / "layout"), image(store, [file("a")]))
    assert caught.value.id == "DARI-LAYOUT-UNWRITABLE"


def test_writing_again_changes_no_byte(store: Store, tmp_path: Path) -> None:
    """The same image under the same tag is the same layout, time stamps included."""
    layout = Layout(tmp_path / "layout", "v1")
    written = image(store, [file("a")])
    _write(layout, written)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in layout.path.rglob("*") if path.is_file()}
    _write(layout, written)
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}
