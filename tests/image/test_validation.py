"""The judge: sound layouts have no findings, and no damage goes unseen."""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dari.image import read_layout, validate, write_layout
from dari.system import Store
from dari.values import media
from dari.values.digest import Digest
from dari.values.documents import canonical_json
from dari.values.media import Codec
from dari.values.progress import Silent
from dari.values.reference import Layout
from tests.support.oci import blobs, file, image


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one layout with a gzip, a zstd and a plain image."""
    folder = tmp_path_factory.mktemp("sound")
    for codec in Codec:
        written = image(Store(folder / "cache"), [file("a", os.urandom(900))], [file("b/ü" * 40, b"x")], codec=codec)
        write_layout(Layout(folder / "layout", codec), [written], complete=True, progress=Silent())
    return folder / "layout"


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Layout:
    """Return a copy to damage."""
    return Layout(Path(shutil.copytree(sound, tmp_path / "copy")))


def test_a_sound_layout_has_no_findings(sound: Path) -> None:
    """All three codecs, long and non-ASCII names: nothing to say."""
    assert validate(Layout(sound)) == ()


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_flipped_byte_or_cut_of_a_blob_is_found(sound: Path, data: st.DataObject) -> None:
    """Whatever blob, wherever: a finding names the digest that no longer holds."""
    layout = Layout(sound)
    path = data.draw(st.sampled_from(list(blobs(layout))))
    whole = path.read_bytes()
    harmed = bytearray(whole)
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del harmed[place:]
    else:
        harmed[place] ^= data.draw(st.integers(1, 255))
    path.chmod(0o644)
    try:
        path.write_bytes(harmed)
        found = {(finding.id, finding.where) for finding in validate(layout)}
        assert ("DARI-LAYOUT-BLOB", f"sha256:{path.name}") in found
    finally:
        path.write_bytes(whole)


def test_everything_is_told_at_once(copy: Layout) -> None:
    """A missing blob, a damaged one and an unreferenced liar are all in one answer."""
    # Layers, and not just any blobs: without its manifest nobody knows that a layer is missing.
    folder = copy.path / "blobs" / "sha256"
    first, second, *_ = (
        folder / layer.descriptor.digest.hex for layer in read_layout(Layout(copy.path, Codec.GZIP)).layers
    )
    first.unlink()
    second.chmod(0o644)
    second.write_bytes(b"{}")
    (copy.path / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"not what the name says")
    (copy.path / "blobs" / "sha256" / "readme.txt").write_bytes(b"")
    told = {finding.where for finding in validate(copy)}
    assert {f"sha256:{first.name}", f"sha256:{second.name}", f"sha256:{'0' * 64}"} <= told
    assert any(where.endswith("readme.txt") for where in told)


def _put(layout: Layout, content: bytes) -> dict[str, Any]:
    digest = Digest.of(content)
    path = layout.path / "blobs" / "sha256" / digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"digest": str(digest), "size": len(content)}


def _layout(
    folder: Path,
    tars: list[bytes],
    *,
    config: Callable[[dict[str, Any]], object] = lambda _: None,
    manifest: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Layout:
    """Write a layout by hand, so that it can be wrong in any one place."""
    layout = Layout(folder / "made")
    described: dict[str, Any] = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar)) for tar in tars]},
        "history": [{"created_by": "x"} for _ in tars],
    }
    config(described)
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": {"mediaType": media.OCI_CONFIG, **_put(layout, canonical_json(described))},
        "layers": [{"mediaType": media.layer_type(Codec.NONE), **_put(layout, tar)} for tar in tars],
    }
    manifest(document)
    entry = {"mediaType": media.OCI_MANIFEST, **_put(layout, canonical_json(document))}
    (layout.path / "index.json").write_bytes(canonical_json({"schemaVersion": 2, "manifests": [entry]}))
    (layout.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return layout


def _tar(*infos: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info in infos:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return buffer.getvalue()


def _info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


GOOD = _tar(_info("a", size=700), _info("d", tarfile.DIRTYPE), _info("d/l", tarfile.SYMTYPE, "../../etc"),
            _info("h", tarfile.LNKTYPE, "a"), _info("n" * 300), _info("./dotted"))  # fmt: skip


def test_what_others_write_is_sound_too(tmp_path: Path) -> None:
    """Pax and GNU long names, './' prefixes, links that point anywhere: all usual, no findings."""
    gnu = io.BytesIO()
    with tarfile.open(fileobj=gnu, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(_info("n" * 300, tarfile.SYMTYPE, "t" * 300))
        big = _info("big")
        big.uid = 1 << 40
        tar.addfile(big)
    assert validate(_layout(tmp_path, [GOOD, gnu.getvalue()])) == ()


@pytest.mark.parametrize(
    "info",
    [
        _info("../up"),
        _info("/etc/passwd"),
        _info("a/../../b"),
        _info("h", tarfile.LNKTYPE, "../../etc/shadow"),
        _info("h", tarfile.LNKTYPE, "/etc/shadow"),
        _info("dev/sda", tarfile.BLKTYPE),
        _info("dev/null", tarfile.CHRTYPE),
        _info("pipe", tarfile.FIFOTYPE),
        _info(f"{'x' * 300}/../../y"),
    ],
)
def test_entries_that_leave_the_root_or_are_devices_are_found(tmp_path: Path, info: tarfile.TarInfo) -> None:
    """What a careless unpacker would write outside, or as a device, is named."""
    findings = validate(_layout(tmp_path, [_tar(info)]))
    assert [finding.id for finding in findings] == ["DARI-LAYOUT-LAYER"]


@pytest.mark.parametrize("harm", [lambda tar: tar[:300], lambda tar: tar[:700], lambda tar: b"x" * 512 + tar,
                                  lambda tar: tar[:100] + b"9" + tar[101:]])  # fmt: skip
def test_a_layer_that_is_no_sound_tar_is_found(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    """Torn in a header or a content, or with a wrong checksum, though its digests are right."""
    findings = validate(_layout(tmp_path, [harm(GOOD)]))
    assert [finding.id for finding in findings] == ["DARI-LAYOUT-LAYER"]


@pytest.mark.parametrize(
    ("config", "manifest", "ids"),
    [
        (lambda c: c["rootfs"]["diff_ids"].pop(), None, ["DARI-LAYOUT-DIFF-ID"]),
        (lambda c: c["rootfs"].update(diff_ids=[f"sha256:{'0' * 64}"]), None, ["DARI-LAYOUT-DIFF-ID"]),
        (lambda c: c["history"].append({"created_by": "one more"}), None, ["DARI-LAYOUT-HISTORY"]),
        (lambda c: c.update(history=None), None, []),
        (lambda c: c.update(config=[1]), None, ["DARI-LAYOUT-DOCUMENT"]),
        (
            None,
            lambda m: m.update(mediaType=media.DOCKER_MANIFEST),
            ["DARI-LAYOUT-MEDIA-TYPE", "DARI-LAYOUT-MEDIA-TYPE"],
        ),
        (None, lambda m: m["layers"][0].update(mediaType="text/plain"), ["DARI-LAYOUT-MEDIA-TYPE"]),
        (None, lambda m: m["layers"][0].update(mediaType=media.layer_type(Codec.GZIP)), ["DARI-LAYOUT-LAYER"]),
        (None, lambda m: m["layers"][0].update(size=3), ["DARI-LAYOUT-BLOB"]),
        (None, lambda m: m.update(layers=7), ["DARI-LAYOUT-DOCUMENT"]),
        (None, lambda m: m["config"].update(size=1 << 40), ["DARI-LAYOUT-DOCUMENT"]),
    ],
)
def test_documents_that_contradict_each_other_are_found(
    tmp_path: Path,
    config: Callable[[dict[str, Any]], object] | None,
    manifest: Callable[[dict[str, Any]], object] | None,
    ids: list[str],
) -> None:
    """Each contradiction between index, manifest, config and layers has its own finding."""
    nothing: Callable[[dict[str, Any]], object] = lambda _: None  # noqa: E731 - as short as the cases above
    layout = _layout(tmp_path, [GOOD], config=config or nothing, manifest=manifest or nothing)
    assert [finding.id for finding in validate(layout)] == ids


def test_each_image_of_a_shared_layer_is_judged(tmp_path: Path) -> None:
    """A second image that says another diffID of the same blob is found, though the blob is read once."""
    layout = _layout(tmp_path, [GOOD])
    index = json.loads((layout.path / "index.json").read_bytes())
    other = _layout(tmp_path, [GOOD], config=lambda c: c["rootfs"].update(diff_ids=[f"sha256:{'1' * 64}"]))
    index["manifests"] += json.loads((other.path / "index.json").read_bytes())["manifests"]
    (layout.path / "index.json").write_text(json.dumps(index))
    assert [finding.id for finding in validate(layout)] == ["DARI-LAYOUT-DIFF-ID"]


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=600))
def test_no_content_of_the_index_makes_the_judge_fall(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """For any index.json and any oci-layout there are findings, never an exception."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "index.json").write_bytes(content)
    (folder / "oci-layout").write_bytes(content)
    assert validate(Layout(folder))
    assert validate(Layout(folder / "nowhere"))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_tar_makes_the_judge_fall(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A tar with any bytes of its headers replaced is judged, in bounded memory."""
    tar = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    for finding in validate(_layout(tmp_path_factory.mktemp("tar"), [bytes(tar)])):
        assert finding.id == "DARI-LAYOUT-LAYER"
