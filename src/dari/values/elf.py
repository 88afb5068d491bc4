"""The dynamic section of an ELF file: what a shared library needs, offers and leaves undefined.

Sources: System V gABI chapters 4 and 5; the GNU hash table as binutils writes it. Reads any buffer (bytes or an
mmap) and never trusts an offset in it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DynamicElf:
    """What the loader would see. Symbol names are without version suffix."""

    machine: str  # 'x86_64', 'aarch64', or the number as text
    soname: str
    needed: tuple[str, ...]
    runpath: tuple[str, ...]
    exported: frozenset[bytes]
    undefined: frozenset[bytes]  # strong only: a weak undefined symbol may stay so
