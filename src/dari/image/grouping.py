"""Dividing parts into layers that stay put: when one part changes, only the layer that holds it does."""

import hashlib
from collections.abc import Sequence
from typing import Final

from dari.errors import UsageError
from dari.values.entry import Part

_DEEPEST: Final = 64  # bits of a name's hash; parts that agree on all of them share a layer


def group(parts: Sequence[Part], *, target: int, most: int) -> tuple[tuple[Part, ...], ...]:
    """Divide `parts` into at most `most` layers of about `target` bytes (uncompressed).

    A part of half a target or more is a layer of its own. The others are spread by the hash of their names: one
    bucket, halved by the next bit of the hash for as long as it holds more than a target. So a part that grows,
    shrinks or goes can only move parts of its own bucket, never reshuffle the rest. The order of `parts` doesn't
    matter; within a layer they are ordered by name. Raises `UsageError` (DARI-LAYER-LIMIT) for `most` below one.
    """
    if not parts:
        return ()
    if most < 1:
        raise UsageError(
            "DARI-LAYER-LIMIT",
            f"dividing {len(parts)} parts into layers: the base leaves room for none (an image has 127 at most)",
            hint="use a base with fewer layers",
        )
    ordered = sorted(parts, key=lambda part: (part.name, part.key))
    while True:
        big = [part for part in ordered if 2 * part.size >= target]
        buckets = _halved([part for part in ordered if 2 * part.size < target], target, 0)
        if len(big) + len(buckets) <= most:
            return tuple((part,) for part in big) + buckets
        target = max(2 * target, 1)


def _halved(parts: list[Part], target: int, depth: int) -> tuple[tuple[Part, ...], ...]:
    if not parts:
        return ()
    if len(parts) == 1 or depth == _DEEPEST or sum(part.size for part in parts) <= target:
        return (tuple(parts),)
    halves: tuple[list[Part], list[Part]] = ([], [])
    for part in parts:
        halves[_bit(part.name, depth)].append(part)
    return _halved(halves[0], target, depth + 1) + _halved(halves[1], target, depth + 1)


def _bit(name: str, depth: int) -> int:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) >> (_DEEPEST - 1 - depth) & 1
