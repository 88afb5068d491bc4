"""Compression of fixed blocks, each on its own: any number of workers, the same bytes.

A gzip file may be many members in a row (RFC 1952, 2.2), a zstd file many frames (RFC 8878, 3.1); every reader of
layers takes both. Why ISA-L's level 2 and no higher: docs/decisions/0003-gzip.md.
"""

from collections.abc import Callable
from typing import Final

from dari.values.media import Codec

BLOCK_SIZE: Final = 1 << 20
_ISAL_LEVEL: Final = 2
_ZSTD_LEVEL: Final = 3


def settings(codec: Codec) -> str:
    """Name everything that decides the compressed bytes of a given stream, the library's version included."""
    match codec:
        case Codec.NONE:
            return "none"
        case Codec.GZIP:
            import isal  # noqa: PLC0415 - only where layers are made

            return f"isal {isal.__version__} level {_ISAL_LEVEL} block {BLOCK_SIZE}"
        case Codec.ZSTD:
            import zstandard  # noqa: PLC0415 - only where layers are made

            version = ".".join(map(str, zstandard.ZSTD_VERSION))
            return f"zstd {version} level {_ZSTD_LEVEL} block {BLOCK_SIZE}"


def block_compressor(codec: Codec) -> Callable[[bytearray], bytes | bytearray]:
    """Return the function that compresses one block; safe to call from several threads, it lets others run."""
    match codec:
        case Codec.NONE:
            return lambda block: block
        case Codec.GZIP:
            from isal import igzip_lib  # noqa: PLC0415 - only where layers are made

            return lambda block: igzip_lib.compress(block, _ISAL_LEVEL, igzip_lib.COMP_GZIP)
        case Codec.ZSTD:
            import zstandard  # noqa: PLC0415 - only where layers are made

            # A compressor isn't safe to share between threads, and making one costs less than a block's thousandth.
            return lambda block: zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress(block)
