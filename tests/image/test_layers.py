"""Layers: the same bytes whatever the workers, made once, never torn."""

import hashlib
import io
import os
import random
import threading
from collections.abc import Callable
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dari.errors import IntegrityError, OutsideError, UsageError
from dari.image import MadeLayer, make_layers
from dari.system import Store, decompressed
from dari.values.entry import Entry, Kind, LayerPlan, Part
from dari.values.media import Codec
from dari.values.progress import Silent
from tests.support.oci import file, layer, part

CODECS = tuple(Codec)


def _content(megabytes: float, seed: int = 1) -> bytes:
    """Return bytes that compress about as shared libraries do."""
    source = random.Random(seed)  # noqa: S311 - no secret is made of it
    words = [source.randbytes(12) for _ in range(500)]
    size = int(megabytes * 1_000_000)
    return b"".join(source.choices(words, k=size // 12 + 1))[:size]


def _make(store: Store, *plans: LayerPlan, codec: Codec = Codec.GZIP, workers: int = 2) -> tuple[MadeLayer, ...]:
    return make_layers(plans, codec=codec, store=store, progress=Silent(), workers=workers)


def _forbidden() -> tuple[Entry, ...]:
    raise AssertionError("a cached layer's parts were opened")


@pytest.mark.parametrize("codec", CODECS)
def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path_factory: pytest.TempPathFactory, codec: Codec) -> None:
    """One worker or seven, alone or beside other layers: the same digest."""
    content = _content(5.3)
    plans = [
        LayerPlan("big", (part("big", [file("lib.so", content)]),)),
        LayerPlan("small", (part("small", [file("a.py", b"x")]),)),
    ]
    made = [_make(Store(tmp_path_factory.mktemp("s")), *plans, codec=codec, workers=workers) for workers in (1, 2, 7)]
    alone = _make(Store(tmp_path_factory.mktemp("s")), plans[0], codec=codec, workers=3)
    assert [one[0].descriptor for one in (*made, alone)] == [made[0][0].descriptor] * 4
    assert [one[1].descriptor for one in made] == [made[0][1].descriptor] * 3
    assert [one.title for one in made[0]] == ["big", "small"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2_300_000), max_size=4), st.sampled_from(CODECS))
def test_a_layer_is_what_it_says(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], codec: Codec) -> None:
    """Digest and size are those of the blob; diffID and uncompressed size those of the tar in it."""
    entries = [file(f"f{number}", _content(size / 1_000_000, number)) for number, size in enumerate(sizes)]
    made = layer(Store(tmp_path_factory.mktemp("s")), part("p", entries), codec=codec)
    with made.open() as chunks:
        blob = b"".join(chunks)
    tar = b"".join(decompressed([blob], codec))
    assert made.descriptor.digest.hex == hashlib.sha256(blob).hexdigest()
    assert made.descriptor.size == len(blob) == made.file.stat().st_size
    assert made.diff_id.hex == hashlib.sha256(tar).hexdigest()
    assert made.uncompressed == len(tar)
    assert made.origin is None


@pytest.mark.parametrize("codec", CODECS)
def test_an_unchanged_layer_is_found_and_its_parts_stay_closed(store: Store, codec: Codec) -> None:
    """Equal keys in the same order are enough: `Part.entries` is not called, the title may be another."""
    first = layer(store, part("wheel", [file("a", b"content")], "key"), codec=codec)
    again = _make(store, LayerPlan("other title", (Part("renamed", "key", 0, _forbidden),)), codec=codec)[0]
    assert not first.cached
    assert again.cached
    assert (again.descriptor, again.diff_id, again.uncompressed) == (
        first.descriptor,
        first.diff_id,
        first.uncompressed,
    )
    assert again.title == "other title"


@pytest.mark.parametrize(
    "other",
    [
        lambda: (Part("p", "b", 0, tuple), Part("p", "a", 0, tuple)),
        lambda: (Part("p", "a", 0, tuple),),
        lambda: (Part("p", "ab", 0, tuple),),
        lambda: (Part("p", 'a","b', 0, tuple),),
    ],
)
def test_other_parts_or_another_order_are_another_layer(store: Store, other: Callable[[], tuple[Part, ...]]) -> None:
    """No two different lists of keys share a record."""
    _make(store, LayerPlan("t", (Part("p", "a", 0, tuple), Part("p", "b", 0, tuple))))
    assert not _make(store, LayerPlan("t", other()))[0].cached


def _gone(made: MadeLayer) -> None:
    made.file.unlink()


def _torn(made: MadeLayer) -> None:
    made.file.chmod(0o644)
    os.truncate(made.file, made.descriptor.size - 1)


def _rotten(made: MadeLayer) -> None:
    content = bytearray(made.file.read_bytes())
    content[len(content) // 2] ^= 1
    made.file.chmod(0o644)
    made.file.write_bytes(content)


def _unreadable_record(made: MadeLayer) -> None:
    for record in made.store.root.glob("records/*/*"):
        record.write_bytes(b'{"digest": "sha256:0')


@pytest.mark.parametrize("harm", [_gone, _torn, _rotten, _unreadable_record])
def test_a_harmed_cache_is_mended(store: Store, harm: Callable[[MadeLayer], None]) -> None:
    """A blob that is missing, cut, or changed in place is made again; so is one whose record is unreadable."""
    parts = part("p", [file("a", os.urandom(5000))])
    made = layer(store, parts)
    harm(made)
    again = layer(store, parts)
    assert not again.cached
    assert again.descriptor == made.descriptor
    with again.open() as chunks:
        assert hashlib.sha256(b"".join(chunks)).hexdigest() == made.descriptor.digest.hex
    assert layer(store, parts).cached


def test_a_touched_blob_is_verified_and_kept(store: Store) -> None:
    """Another time stamp alone makes dari read the blob once, not make it again."""
    parts = part("p", [file("a", b"content")])
    os.utime(layer(store, parts).file, (1, 1))
    assert layer(store, parts).cached


def test_opening_a_blob_that_rotted_or_vanished_meanwhile_is_an_error(store: Store) -> None:
    """What was found in the cache is verified once more on its way out."""
    made = layer(store, part("p", [file("a", os.urandom(5000))]))
    _rotten(made)
    with pytest.raises(IntegrityError), made.open() as chunks:
        list(chunks)
    with pytest.raises(IntegrityError) as caught, made.open() as chunks:
        list(chunks)
    assert caught.value.id == "DARI-LAYER-LOST"


def test_the_first_error_stops_the_other_layers_and_is_the_one_told(store: Store) -> None:
    """A layer that would never end is stopped when another one fails, and nothing half-made stays."""

    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    began = threading.Event()

    def endless() -> BinaryIO:
        began.set()
        return Endless()  # type: ignore[return-value]  # a raw stream reads as a BinaryIO does

    def failing() -> tuple[Entry, ...]:
        assert began.wait(20)
        return (file("/absolute"),)

    plans = [
        LayerPlan("endless", (Part("e", "e", 9, lambda: (Entry("e", Kind.FILE, size=1 << 50, open=endless),)),)),
        LayerPlan("failing", (Part("f", "f", 1, failing),)),
    ]
    with pytest.raises(UsageError):
        _make(store, *plans)
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def test_a_store_that_cannot_be_written_is_one_clear_line(store: Store) -> None:
    """A cache folder that is a file, read-only or full: an error that names it."""
    store.root.write_bytes(b"a file, no folder")
    with pytest.raises(OutsideError) as caught:
        layer(store, part("p", [file("a")]))
    assert caught.value.id == "DARI-LAYER-UNWRITABLE"


def test_no_plans_make_no_layers(store: Store) -> None:
    """Nothing to do is nothing done."""
    assert _make(store) == ()


def test_memory_does_not_grow_with_the_layer(store: Store) -> None:
    """Blocks in flight are bounded: 200 MB of input pass through less than 40 MB of buffers."""
    import tracemalloc  # noqa: PLC0415 - it slows what runs after it

    block = _content(1)

    entries = tuple(file(f"lib{number}.so", block) for number in range(200))
    tracemalloc.start()
    try:
        _make(store, LayerPlan("l", (Part("l", "l", 1, lambda: entries),)), workers=8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000
