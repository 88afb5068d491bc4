"""An image from a base and layers keeps the base's flavour, its layers and its history."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dari.errors import UsageError
from dari.image import MOST_LAYERS, assemble, make_layers
from dari.system import Store
from dari.values import media
from dari.values.config import ConfigChange, ImageConfig
from dari.values.digest import Digest
from dari.values.documents import canonical_json
from dari.values.image import Image, Layer
from dari.values.manifest import Descriptor, Manifest
from dari.values.media import Codec
from dari.values.reference import Reference
from tests.support.oci import AMD64, ARM64, file, layer, part

ORIGIN = Reference.parse("registry.example.org/base:1")


def _base(layers: Sequence[Layer], types: Sequence[str], config: dict[str, Any], manifest_type: str) -> Image:
    document = {"os": "linux", "architecture": "amd64", **config}
    document["rootfs"] = {"type": "layers", "diff_ids": [str(one.diff_id) for one in layers]}
    parsed = ImageConfig.parse(canonical_json(document))
    config_type = media.DOCKER_CONFIG if manifest_type == media.DOCKER_MANIFEST else media.OCI_CONFIG
    manifest = Manifest.build(
        Descriptor(config_type, parsed.digest, len(parsed.raw)),
        tuple(replace(one.descriptor, media_type=type_) for one, type_ in zip(layers, types, strict=True)),
        media_type=manifest_type,
    )
    return Image(manifest, parsed, tuple(layers))


def test_an_image_of_nothing_but_layers(store: Store) -> None:
    """Without a base: OCI's types, one history line a layer, everything in 1970, the whole config as expected."""
    made = layer(store, part("p", [file("a")]))
    change = ConfigChange({"PATH": "/bin"}, {"b": "2", "a": "1"}, ("run",), (), "/work", "1000")
    image = assemble(None, [made], change, platform=AMD64, history=["dari: p"], annotations={"z": "1", "y": "2"})
    assert json.loads(image.config.raw) == {
        "created": "1970-01-01T00:00:00Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/bin"],
            "Labels": {"a": "1", "b": "2"},
            "Entrypoint": [],
            "Cmd": ["run"],
            "WorkingDir": "/work",
            "User": "1000",
        },
        "rootfs": {"type": "layers", "diff_ids": [str(made.diff_id)]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "dari: p"}],
    }
    assert json.loads(image.manifest.raw) == {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": {
            "mediaType": media.OCI_CONFIG,
            "digest": str(image.config.digest),
            "size": len(image.config.raw),
        },
        "layers": [made.descriptor.to_json()],
        "annotations": {"y": "2", "z": "1"},
    }
    assert image.manifest.config.digest == Digest.of(image.config.raw)


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.NONE])
def test_on_dockers_base_everything_is_dockers(store: Store, codec: Codec) -> None:
    """A Docker schema 2 base gives a Docker manifest, config type and layer types, and no annotations."""
    below, above = (layer(store, part(name, [file(name)]), codec=codec) for name in "ab")
    config = {"history": [{"created_by": "base"}], "config": {"Healthcheck": {"Test": ["NONE"]}}}
    base = _base([below], [media.layer_type(codec, docker=True)], config, media.DOCKER_MANIFEST)
    image = assemble(base, [above], ConfigChange(), platform=AMD64, history=["x"], annotations={"a": "1"})
    assert image.manifest.media_type == media.DOCKER_MANIFEST
    assert image.manifest.config.media_type == media.DOCKER_CONFIG
    assert {one.media_type for one in image.manifest.layers} == {media.layer_type(codec, docker=True)}
    assert tuple(one.descriptor for one in image.layers) == image.manifest.layers
    assert "annotations" not in json.loads(image.manifest.raw)
    assert json.loads(image.config.raw)["config"]["Healthcheck"] == {"Test": ["NONE"]}
    with image.layers[1].open() as ours, above.open() as same:
        assert list(ours) == list(same)


def test_a_zstd_layer_turns_dockers_base_into_ocis(store: Store) -> None:
    """Docker's types have no zstd that engines read, so the whole manifest changes its flavour, no mixture."""
    below, above = layer(store, part("a", [file("a")])), layer(store, part("b", [file("b")]), codec=Codec.ZSTD)
    base = _base([below], [media.layer_type(Codec.GZIP, docker=True)], {}, media.DOCKER_MANIFEST)
    image = assemble(base, [above], ConfigChange(), platform=AMD64, history=["x"])
    assert image.manifest.media_type == media.OCI_MANIFEST
    assert image.manifest.config.media_type == media.OCI_CONFIG
    assert [one.media_type for one in image.manifest.layers] == [
        media.layer_type(Codec.GZIP),
        media.layer_type(Codec.ZSTD),
    ]


@pytest.mark.parametrize(
    ("history", "padded"),
    [
        (None, ["", "", "x"]),
        ([{"created_by": "one"}], ["", "one", "x"]),
        ([{"created_by": "env", "empty_layer": True}, {"created_by": "one"}], ["", "env", "one", "x"]),
        ([{"created_by": "one"}, {"created_by": "two"}], ["one", "two", "x"]),
        ([{"created_by": "one"}, {"created_by": "two"}, {"created_by": "three"}], ["one", "two", "three", "x"]),
    ],
)
def test_a_base_whose_history_is_missing_or_short_is_taken(
    store: Store, history: list[dict[str, Any]] | None, padded: list[str]
) -> None:
    """Lines are added at the bottom until they match the layers, so that ours stand beside our layers."""
    below = [layer(store, part(name, [file(name)])) for name in "ab"]
    config = {"history": history} if history is not None else {}
    base = _base(below, [media.layer_type(Codec.GZIP)] * 2, config, media.OCI_MANIFEST)
    above = layer(store, part("c", [file("c")]))
    image = assemble(base, [above], ConfigChange(), platform=AMD64, history=["x"])
    assert [line.created_by for line in image.config.history] == padded


def test_what_is_created_when_is_said_from_outside(store: Store) -> None:
    """SOURCE_DATE_EPOCH comes in as a value and is in the config and in our history lines only."""
    below, above = (layer(store, part(name, [file(name)])) for name in "ab")
    config = {"history": [{"created": "2020-01-01T00:00:00Z", "created_by": "base"}]}
    base = _base([below], [media.layer_type(Codec.GZIP)], config, media.OCI_MANIFEST)
    when = "2026-01-02T03:04:05Z"
    image = assemble(base, [above], ConfigChange(created=when), platform=AMD64, history=["x"])
    assert image.config.created == when
    assert [line.created for line in image.config.history] == ["2020-01-01T00:00:00Z", when]


def test_more_layers_than_engines_take_are_refused(store: Store) -> None:
    """127 layers are made into an image, one more is an error that says so."""
    made = layer(store, part("p", [file("a")]))
    change = ConfigChange()
    base = assemble(None, [made] * MOST_LAYERS, change, platform=AMD64, history=["x"] * MOST_LAYERS)
    assert len(base.layers) == len(base.config.diff_ids) == 127
    with pytest.raises(UsageError) as caught:
        assemble(base, [made], change, platform=AMD64, history=["x"])
    assert caught.value.id == "DARI-LAYER-LIMIT"


def test_a_base_of_another_platform_is_refused(store: Store) -> None:
    """Layers for arm64 never land on an amd64 base."""
    base = assemble(None, make_layers([], codec=Codec.GZIP, store=store, progress=_silent(), workers=1), ConfigChange(),
                    platform=AMD64, history=[])  # fmt: skip
    with pytest.raises(UsageError) as caught:
        assemble(base, [], ConfigChange(), platform=ARM64, history=[])
    assert caught.value.id == "DARI-BASE-PLATFORM"


def _silent() -> Any:
    from dari.values.progress import Silent  # noqa: PLC0415 - used once

    return Silent()
