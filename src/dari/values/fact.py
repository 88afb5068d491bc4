"""A fact is known, with the evidence, or missing, with the reason: never None, never an empty text."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """A value and where it was read."""

    value: T_co
    evidence: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a value isn't known, and where it was looked for."""

    reason: str
    looked_at: tuple[str, ...] = ()


Fact = Known[T_co] | Missing
