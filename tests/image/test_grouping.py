"""Parts are divided into even layers that stay put."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dari.errors import UsageError
from dari.image import group
from dari.values.entry import Part


def _part(name: str, size: int) -> Part:
    return Part(name, name, size, tuple)


PARTS = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 2000), max_size=60).map(
    lambda sizes: [_part(name, size) for name, size in sizes.items()]
)


@given(PARTS, st.integers(1, 20), st.randoms(use_true_random=False))
def test_every_part_is_in_one_layer_within_the_limit(parts: list[Part], most: int, random: object) -> None:
    """No part is lost or doubled, no layer is empty, and the order of the parts doesn't matter."""
    layers = group(parts, target=1000, most=most)
    assert len(layers) <= most
    assert all(layers)
    assert sorted(part.name for layer in layers for part in layer) == sorted(part.name for part in parts)
    random.shuffle(parts)  # type: ignore[attr-defined]  # hypothesis' Random, untyped in its stubs
    assert group(parts, target=1000, most=most) == layers


def test_big_parts_are_alone_and_the_rest_is_even() -> None:
    """A part of half the target is a layer; small ones share layers of no more than the target."""
    parts = [_part("torch", 900), *(_part(f"package-{number}", 37) for number in range(200))]
    layers = group(parts, target=1000, most=100)
    assert layers[0] == (parts[0],)
    sizes = [sum(part.size for part in layer) for layer in layers[1:]]
    assert max(sizes) <= 1000
    assert sum(sizes) / len(sizes) > 300


@given(st.sets(st.text(min_size=1, max_size=8), min_size=2, max_size=80), st.integers(0, 400), st.data())
def test_a_change_of_one_part_stays_in_its_own_bucket(names: set[str], size: int, data: st.DataObject) -> None:
    """When one small part grows, shrinks or goes, every layer without it keeps its parts, or was split or joined."""
    parts = [_part(name, 100) for name in sorted(names)]
    changed = data.draw(st.sampled_from(parts))
    before = group(parts, target=1000, most=1000)
    after = group([p for p in parts if p is not changed] + [_part(changed.name, size)], target=1000, most=1000)
    lost = {layer for layer in before if layer not in after and changed not in layer}
    moved = sum(len(layer) for layer in lost)
    assert moved <= 20  # two halves that join hold a target's worth at most, ten parts each


def test_nothing_fits_where_the_base_leaves_no_room() -> None:
    """A base that uses up the limit is an error with its way out."""
    with pytest.raises(UsageError) as caught:
        group([_part("a", 1)], target=10, most=0)
    assert caught.value.id == "DARI-LAYER-LIMIT"
    assert group([], target=10, most=0) == ()
