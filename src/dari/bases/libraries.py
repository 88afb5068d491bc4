"""What a shared library offers, read while it streams past: soname and exported symbols."""

import mmap
import tempfile
from collections.abc import Iterator
from typing import Final

from dari.values.elf import pack_symbols, read_elf
from dari.values.fact import Fact, Known, Missing
from dari.values.inventory import SymbolSet

_LARGEST: Final = 4 << 30  # libtorch_cuda.so is about 2.5 GB


def read_library(content: Iterator[bytes], size: int) -> tuple[str, Fact[SymbolSet]]:
    """Return a library's soname ('' where it has none) and its exported symbols, or why they aren't known.

    The file is spooled into a temporary file without a name: its symbol table can stand anywhere in it.
    """
    if not 0 < size <= _LARGEST:
        return "", Missing(f"its size of {size} bytes is not that of a library")
    try:
        with tempfile.TemporaryFile() as spool:
            for piece in content:
                spool.write(piece)
            spool.flush()
            with mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                elf = read_elf(buffer)
    except OSError as error:  # no room: the scan is worth more than one library's symbols
        return "", Missing(f"there was no room to look into it: {error.strerror or error}", (tempfile.gettempdir(),))
    if elf is None:
        return "", Missing("it is not a 64-bit ELF file with a dynamic section")
    return elf.soname, Known(SymbolSet(pack_symbols(elf.exported)), "its dynamic symbol table")
