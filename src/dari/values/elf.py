"""The dynamic section of an ELF file: what a shared library needs, offers and leaves undefined.

Sources: System V gABI chapters 4 and 5; the GNU hash table as binutils writes it. Reads any buffer (bytes or an
mmap) and never trusts an offset in it.
"""

import hashlib
import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import Final

Buffer = bytes | bytearray | mmap

_MACHINES: Final = {62: "x86_64", 183: "aarch64"}
_CLASS_64: Final = 2
_LITTLE_ENDIAN: Final = 1
_PT_LOAD, _PT_DYNAMIC = 1, 2
_SHT_DYNSYM: Final = 11
_DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ = 1, 4, 5, 6, 10
_DT_SONAME, _DT_RPATH, _DT_RUNPATH, _DT_GNU_HASH = 14, 15, 29, 0x6FFFFEF5
_STB_GLOBAL, _STB_WEAK, _STB_GNU_UNIQUE = 1, 2, 10
_STV_DEFAULT, _STV_PROTECTED = 0, 3
_STT_SECTION, _STT_FILE = 3, 4

# Ceilings far above anything real (libtorch_cpu: 2·10^5 symbols, 30 MB of names), so that a hostile file costs little.
_MOST_SYMBOLS: Final = 1_000_000
_MOST_NAME_BYTES: Final = 128 << 20
_LONGEST_NAME: Final = 64 << 10
_LONGEST_DYNAMIC: Final = 1 << 20
_LONGEST_LIST: Final = 4096

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
_SECTION_HEADER: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_DYNAMIC: Final = struct.Struct("<QQ")
_GNU_HASH: Final = struct.Struct("<IIII")
_WORD: Final = struct.Struct("<I")
_KEY_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class DynamicElf:
    """What the loader would see. Symbol names are without version suffix."""

    machine: str  # 'x86_64', 'aarch64', or the number as text
    soname: str
    needed: tuple[str, ...]
    runpath: tuple[str, ...]
    exported: frozenset[bytes]
    undefined: frozenset[bytes]  # strong only: a weak undefined symbol may stay so


def read_elf(buffer: Buffer) -> DynamicElf | None:
    """Read a 64-bit little-endian ELF file's dynamic section.

    Returns None for everything else: another format or word size, no dynamic section, or one whose offsets point
    outside the file. Never raises for bad content; memory stays below 200 MB whatever the file claims.
    """
    try:
        return _read(buffer)
    except _Unreadable:
        return None


def pack_symbols(names: Iterable[bytes]) -> bytes:
    """Return the first six bytes of each name's sha256, sorted, without duplicates, joined (`SymbolSet.packed`)."""
    return b"".join(sorted({_key(name) for name in names}))


def contains(packed: bytes, name: bytes) -> bool:
    """Say whether `name` is among the names that `pack_symbols` was given."""
    key = _key(name)
    place = bisect_left(range(len(packed) // _KEY_LENGTH), key, key=lambda index: _packed_key(packed, index))
    return _packed_key(packed, place) == key


def _key(name: bytes) -> bytes:
    return hashlib.sha256(name).digest()[:_KEY_LENGTH]


def _packed_key(packed: bytes, index: int) -> bytes:
    return packed[index * _KEY_LENGTH : (index + 1) * _KEY_LENGTH]


class _Unreadable(Exception):  # noqa: N818 - it never leaves this module
    """The buffer isn't an ELF file that a loader would take."""


@dataclass(frozen=True, slots=True)
class _Segment:
    address: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _File:
    """The buffer with its loadable segments, dynamic entries by tag, and the dynamic symbols' section header."""

    buffer: Buffer
    loads: tuple[_Segment, ...]
    dynamic: Mapping[int, tuple[int, ...]]
    symbols_section: _Segment | None

    def first(self, tag: int) -> int | None:
        return self.dynamic[tag][0] if tag in self.dynamic else None

    def place(self, address: int) -> tuple[int, int]:
        """Return an address's file offset and the end of what its segment holds in the file."""
        for load in self.loads:
            if load.address <= address < load.address + load.size:
                return load.offset + address - load.address, min(load.offset + load.size, len(self.buffer))
        raise _Unreadable


def _read(buffer: Buffer) -> DynamicElf | None:
    if len(buffer) < _HEADER.size or bytes(buffer[:4]) != b"\x7fELF":
        return None
    header = _HEADER.unpack(buffer[: _HEADER.size])
    identity, machine, program_offset, section_offset = header[0], header[2], header[5], header[6]
    if identity[4] != _CLASS_64 or identity[5] != _LITTLE_ENDIAN:
        return None
    programs = tuple(_table(buffer, program_offset, _PROGRAM_HEADER, entry_size=header[9], count=header[10]))
    loads = tuple(_Segment(entry[3], entry[2], entry[5]) for entry in programs if entry[0] == _PT_LOAD)
    dynamic = next((_Segment(entry[3], entry[2], entry[5]) for entry in programs if entry[0] == _PT_DYNAMIC), None)
    if dynamic is None:
        return None
    sections = _table(buffer, section_offset, _SECTION_HEADER, entry_size=header[11], count=header[12])
    symbols = next((_Segment(entry[3], entry[4], entry[5]) for entry in sections if entry[1] == _SHT_DYNSYM), None)
    file = _File(buffer, loads, _dynamic(buffer, dynamic), symbols)
    return _describe(file, _MACHINES.get(machine, str(machine)))


def _describe(file: _File, machine: str) -> DynamicElf:
    start, end = _strings(file)

    def text(tag: int) -> tuple[str, ...]:
        offsets = file.dynamic.get(tag, ())[:_LONGEST_LIST]
        return tuple(_name(file.buffer, start + offset, end).decode("utf-8", "surrogateescape") for offset in offsets)

    exported, undefined = _symbols(file, start, end)
    paths = text(_DT_RUNPATH) or text(_DT_RPATH)
    return DynamicElf(
        machine,
        next(iter(text(_DT_SONAME)), ""),
        text(_DT_NEEDED),
        tuple(part for path in paths for part in path.split(":") if part),
        exported,
        undefined,
    )


def _table(
    buffer: Buffer, offset: int, layout: struct.Struct, *, entry_size: int, count: int
) -> Iterator[Sequence[int]]:
    """Yield a header table's entries; a table that lies outside the file has none."""
    if entry_size != layout.size or offset + count * layout.size > len(buffer):
        return
    yield from layout.iter_unpack(buffer[offset : offset + count * layout.size])


def _dynamic(buffer: Buffer, segment: _Segment) -> Mapping[int, tuple[int, ...]]:
    length = min(segment.size, _LONGEST_DYNAMIC, max(len(buffer) - segment.offset, 0)) // _DYNAMIC.size * _DYNAMIC.size
    entries: defaultdict[int, list[int]] = defaultdict(list)
    for tag, value in _DYNAMIC.iter_unpack(buffer[segment.offset : segment.offset + length]):
        if tag == 0:
            break
        entries[tag].append(value)
    return {tag: tuple(values) for tag, values in entries.items()}


def _strings(file: _File) -> tuple[int, int]:
    """Return where the string table lies in the file; nowhere where there is none."""
    address = file.first(_DT_STRTAB)
    if address is None:
        return 0, 0
    start, end = file.place(address)
    size = file.first(_DT_STRSZ)
    return start, end if size is None else min(end, start + size)


def _name(buffer: Buffer, start: int, end: int) -> bytes:
    if start >= end:
        raise _Unreadable
    stop = buffer.find(b"\0", start, min(end, start + _LONGEST_NAME))
    if stop < 0:
        raise _Unreadable
    return bytes(buffer[start:stop])


def _symbols(file: _File, start: int, end: int) -> tuple[frozenset[bytes], frozenset[bytes]]:
    address = file.first(_DT_SYMTAB)
    if address is None:
        return frozenset(), frozenset()
    offset, limit = file.place(address)
    count = min(_symbol_count(file, address), (limit - offset) // _SYMBOL.size)
    if count > _MOST_SYMBOLS:
        raise _Unreadable
    exported: set[bytes] = set()
    undefined: set[bytes] = set()
    budget = _MOST_NAME_BYTES
    # A copy of the table (24 bytes a symbol), because a memoryview would keep an mmap from being closed.
    table = file.buffer[offset : offset + count * _SYMBOL.size]
    for name_offset, info, other, section, _, _ in _SYMBOL.iter_unpack(table):
        bucket = _bucket(info, other, section, exported, undefined)
        if bucket is None or not name_offset:
            continue
        name = _name(file.buffer, start + name_offset, end)
        budget -= len(name)
        if budget < 0:
            raise _Unreadable
        bucket.add(name)
    return frozenset(exported), frozenset(undefined)


def _bucket(info: int, other: int, section: int, exported: set[bytes], undefined: set[bytes]) -> set[bytes] | None:
    binding = info >> 4
    if section == 0:
        return undefined if binding == _STB_GLOBAL else None
    visible = other & 3 in {_STV_DEFAULT, _STV_PROTECTED} and info & 15 not in {_STT_SECTION, _STT_FILE}
    return exported if visible and binding in {_STB_GLOBAL, _STB_WEAK, _STB_GNU_UNIQUE} else None


def _symbol_count(file: _File, symbols: int) -> int:
    """Count the dynamic symbols: nothing in the file says it outright, and a stripped one has no sections."""
    section = file.symbols_section
    if section is not None and section.address == symbols:
        return section.size // _SYMBOL.size
    address = file.first(_DT_HASH)
    if address is not None:
        start, _ = file.place(address)
        return _word(file.buffer, start + 4, len(file.buffer))  # nchain
    # A GNU hash table leaves out undefined symbols, all of them where nothing is exported; linkers put the string
    # table right behind the symbols, which then bounds them.
    strings = file.first(_DT_STRTAB)
    gap = (strings - symbols) // _SYMBOL.size if strings is not None and strings > symbols else 0
    hashed = _hashed_count(file)
    return hashed if hashed is not None else gap


def _hashed_count(file: _File) -> int | None:
    """Return one more than the greatest index in the GNU hash table; None where it's absent or empty."""
    address = file.first(_DT_GNU_HASH)
    if address is None:
        return None
    start, end = file.place(address)
    if start + _GNU_HASH.size > end:
        raise _Unreadable
    buckets, first, bloom, _ = _GNU_HASH.unpack(file.buffer[start : start + _GNU_HASH.size])
    table = start + _GNU_HASH.size + bloom * 8
    chains = table + buckets * _WORD.size
    if chains > end or buckets > _MOST_SYMBOLS:
        raise _Unreadable
    last = max((index for (index,) in _WORD.iter_unpack(file.buffer[table:chains])), default=0)
    if last < first or not last:
        return None
    for index in range(last, last + _MOST_SYMBOLS):
        if _word(file.buffer, chains + (index - first) * _WORD.size, end) & 1:
            return index + 1
    raise _Unreadable


def _word(buffer: Buffer, offset: int, end: int) -> int:
    if offset + _WORD.size > min(end, len(buffer)):
        raise _Unreadable
    return int(_WORD.unpack(buffer[offset : offset + _WORD.size])[0])
