"""The only room that touches the machine: files written whole, locks, the cache, other programs."""

from dari.system.codecs import codec_of, decompressed
from dari.system.commands import Completed, run
from dari.system.files import atomic_file, write_atomically
from dari.system.locks import locked
from dari.system.pipes import stream
from dari.system.store import CHUNK, BlobWriter, Store, chunks_of

__all__ = [
    "CHUNK",
    "BlobWriter",
    "Completed",
    "Store",
    "atomic_file",
    "chunks_of",
    "codec_of",
    "decompressed",
    "locked",
    "run",
    "stream",
    "write_atomically",
]
