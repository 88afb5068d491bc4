"""Amounts as people read them."""

from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_STEP: Final = 1000
_WHOLE_FROM: Final = 100


def bytes_text(size: int) -> str:
    """Write a size in decimal units, as registries and disks count them: 1_250_000 → '1.2 MB'."""
    amount = float(size)
    for unit in _UNITS:
        if amount < _STEP or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= _WHOLE_FROM else f"{amount:.1f} {unit}"
        amount /= _STEP
    raise AssertionError(size)


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Write a count with its noun: '1 layer', '3 layers'."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"
