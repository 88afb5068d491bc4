"""Base images: what they say of themselves (`describe`), what is in them (`scan`), and that as a file."""

from dari.bases.description import describe
from dari.bases.document import annotations, decode, encode
from dari.bases.scanning import scan, scan_archive_stream
from dari.bases.scratch import scratch_inventory

__all__ = [
    "annotations",
    "decode",
    "describe",
    "encode",
    "scan",
    "scan_archive_stream",
    "scratch_inventory",
]
