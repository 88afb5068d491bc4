"""Decompression of layers from strangers: chunks in, chunks out, bounded memory, and a torn end is an error."""

from collections.abc import Iterable, Iterator
from typing import IO, Final, cast

from dari.errors import IntegrityError
from dari.values.media import Codec

_PIECE: Final = 1 << 20  # bytes given out at most at once, however small the input: a bomb flows, it isn't held
# Input is fed in small slices because the decompressor copies what follows a gzip member: a file of a million
# twenty-byte members would otherwise copy a megabyte for each.
_SLICE: Final = 1 << 16
# RFC 8878 recommends 8 MiB for decoders; `zstd --ultra -22 --long` writes 128 MiB, the most that is taken by default.
_LARGEST_WINDOW: Final = 1 << 27

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC: Final = b"\x2a\x4d\x18"  # after one byte 0x50 to 0x5f (RFC 8878, 3.1.2)


def codec_of(first: bytes) -> Codec:
    """Tell from a stream's first bytes (four are enough) how it is compressed; anything unknown is taken for a tar."""
    if first.startswith(_GZIP_MAGIC):
        return Codec.GZIP
    if first.startswith(_ZSTD_MAGIC) or (first[1:4] == _SKIPPABLE_MAGIC and first[0] & 0xF0 == 0x50):  # noqa: PLR2004
        return Codec.ZSTD
    return Codec.NONE


def decompressed(chunks: Iterable[bytes], codec: Codec) -> Iterator[bytes]:
    """Yield the decompressed stream in pieces of 1 MiB at most, whatever the ratio.

    Several gzip members (RFC 1952, 2.2) or zstd frames (RFC 8878, 3.1) in a row are one stream. Raises
    `IntegrityError`: DARI-STREAM-TRUNCATED where the input ends early, DARI-STREAM-CORRUPT where it is not what
    `codec` says or its checksum doesn't match.
    """
    match codec:
        case Codec.NONE:
            return iter(chunks)
        case Codec.GZIP:
            return _gunzipped(chunks)
        case Codec.ZSTD:
            return _unzstandard(chunks)


def _gunzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    from isal import igzip_lib  # noqa: PLC0415 - only where a layer is read

    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    started = ended = False
    try:
        for slice_ in _slices(chunks):
            rest = slice_
            while rest:
                if member.eof:
                    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
                started = True
                yield from _pieces(member.decompress(rest, _PIECE))
                while not (member.eof or member.needs_input):
                    yield from _pieces(member.decompress(b"", _PIECE))
                rest = member.unused_data if member.eof else b""
        ended = started and member.eof
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub calls the class an instance
        raise _corrupt(Codec.GZIP, str(error)) from error
    if not ended:
        raise _truncated(Codec.GZIP)


def _unzstandard(chunks: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415 - only where a layer is read

    source = _Frames(chunks)
    decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    try:
        with decompressor.stream_reader(cast("IO[bytes]", source), read_across_frames=True) as reader:
            while piece := reader.read(_PIECE):
                yield piece
    except zstandard.ZstdError as error:
        raise _corrupt(Codec.ZSTD, str(error)) from error
    if not source.complete:
        raise _truncated(Codec.ZSTD)


class _Frames:
    """A file-like source of zstd that knows whether it ended where a frame ends: the decompressor doesn't say.

    Follows RFC 8878, 3.1: each field is awaited in `_field` until whole; block contents are skipped by their size.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._slices = iter(_slices(chunks))
        self._field = b""
        self._awaited = 4
        self._skip = 0
        self._state = "magic"
        self._checksum = 0
        self._frames = 0

    @property
    def complete(self) -> bool:
        """Say whether all frames read so far are whole, and there was one."""
        return self._frames > 0 and self._state == "magic" and not self._field and not self._skip

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - a reader's shape; slices are small already
        """Return the next slice of input, b'' at its end."""
        piece = next(self._slices, b"")
        at = 0
        while at < len(piece):
            if self._skip:
                step = min(self._skip, len(piece) - at)
                self._skip -= step
            else:
                step = min(self._awaited - len(self._field), len(piece) - at)
                self._field += piece[at : at + step]
                if len(self._field) == self._awaited:
                    self._take(self._field)
                    self._field = b""
            at += step
        return piece

    def _take(self, field: bytes) -> None:
        match self._state:
            case "magic" if field == _ZSTD_MAGIC:
                self._await("descriptor", 1)
            case "magic" if field[1:] == _SKIPPABLE_MAGIC and field[0] & 0xF0 == 0x50:  # noqa: PLR2004
                self._await("skippable", 4)
            case "magic":
                raise _corrupt(Codec.ZSTD, f"{field.hex()} does not begin a frame")
            case "skippable":
                self._skip = int.from_bytes(field, "little")
                self._finish()
            case "descriptor":
                self._checksum = 4 if field[0] & 4 else 0
                self._skip = _header_rest(field[0])
                self._await("block", 3)
            case _:
                self._block(int.from_bytes(field, "little"))

    def _block(self, header: int) -> None:
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        self._skip = 1 if kind == 1 else size  # a run-length block holds one byte, whatever its size
        if last:
            self._skip += self._checksum
            self._finish()

    def _await(self, state: str, length: int) -> None:
        self._state, self._awaited = state, length

    def _finish(self) -> None:
        self._frames += 1
        self._await("magic", 4)


def _header_rest(descriptor: int) -> int:
    """Return how many bytes of a frame header follow its descriptor (RFC 8878, 3.1.1.1)."""
    single_segment = descriptor >> 5 & 1
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    content_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    return (0 if single_segment else 1) + dictionary + content_size


def _slices(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) <= _SLICE:
            yield chunk
        else:
            for start in range(0, len(chunk), _SLICE):
                yield chunk[start : start + _SLICE]


def _pieces(piece: bytes) -> tuple[bytes, ...]:
    return (piece,) if piece else ()


def _truncated(codec: Codec) -> IntegrityError:
    return IntegrityError(
        "DARI-STREAM-TRUNCATED",
        f"decompressing a {codec} stream: it ends in the middle",
        hint="the file was cut short where it was made or copied; fetch it again",
    )


def _corrupt(codec: Codec, reason: str) -> IntegrityError:
    return IntegrityError(
        "DARI-STREAM-CORRUPT",
        f"decompressing a {codec} stream: {reason}",
        hint="the bytes were damaged, or the media type names the wrong compression; fetch it again",
    )
