"""Streams from strangers: any number of members or frames, any cut, bounded memory."""

import gzip
import os
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dari.errors import IntegrityError
from dari.system import codec_of, decompressed
from dari.values.media import Codec

_SKIPPABLE = b"\x51\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"


def _gzip(parts: list[bytes]) -> bytes:
    return b"".join(gzip.compress(part) for part in parts)


def _zstd(parts: list[bytes]) -> bytes:
    kinds = [
        zstandard.ZstdCompressor(write_checksum=True),
        zstandard.ZstdCompressor(write_content_size=False),
        zstandard.ZstdCompressor(level=19, write_checksum=True, write_content_size=False),
    ]
    return _SKIPPABLE.join(kinds[number % 3].compress(part) for number, part in enumerate(parts))


WRITERS: dict[Codec, Callable[[list[bytes]], bytes]] = {Codec.GZIP: _gzip, Codec.ZSTD: _zstd}
COMPRESSED = sorted(WRITERS)


def _cut(stream: bytes, size: int) -> Iterator[bytes]:
    return (stream[at : at + size] for at in range(0, len(stream), size))


@pytest.mark.parametrize("codec", COMPRESSED)
@given(parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=5), size=st.integers(1, 4000))
def test_any_cut_of_any_members_gives_the_content(codec: Codec, parts: list[bytes], size: int) -> None:
    """However a stream is divided into members and chunks, its content comes out, and its codec is recognised."""
    stream = WRITERS[codec](parts)
    assert codec_of(stream[:4]) is codec
    assert b"".join(decompressed(_cut(stream, size), codec)) == b"".join(parts)


@pytest.mark.parametrize("codec", COMPRESSED)
@given(content=st.binary(min_size=1, max_size=3000), data=st.data())
def test_a_truncated_stream_is_an_error(codec: Codec, content: bytes, data: st.DataObject) -> None:
    """Cut anywhere inside a member, a stream is never taken for a shorter one."""
    stream = WRITERS[codec]([content])
    cut = data.draw(st.integers(0, len(stream) - 1))
    with pytest.raises(IntegrityError) as caught:
        list(decompressed([stream[:cut]], codec))
    assert caught.value.id == "DARI-STREAM-TRUNCATED"


@pytest.mark.parametrize("codec", COMPRESSED)
@pytest.mark.parametrize("tail", [b"\0" * 40, b"garbage that follows", b"\x1f\x8b\x08\0garbage that is no block"])
def test_what_follows_the_last_member_must_be_one_too(codec: Codec, tail: bytes) -> None:
    """Bytes after the end are an error, as they are for engines."""
    with pytest.raises(IntegrityError):
        list(decompressed([WRITERS[codec]([b"content"]) + tail], codec))


@pytest.mark.parametrize("codec", COMPRESSED)
@given(content=st.binary(min_size=1, max_size=2000), place=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_never_gives_other_content(codec: Codec, content: bytes, place: int, bit: int) -> None:
    """With checksums inside, a damaged stream is an error, or (in a header's free fields) the same content."""
    stream = bytearray(WRITERS[codec]([content]))
    stream[place % len(stream)] ^= 1 << bit
    try:
        assert b"".join(decompressed([bytes(stream)], codec)) == content
    except IntegrityError as error:
        assert error.id in {"DARI-STREAM-CORRUPT", "DARI-STREAM-TRUNCATED"}  # noqa: PT017 - either end is right


@pytest.mark.parametrize("codec", COMPRESSED)
def test_a_bomb_flows_and_is_not_held(codec: Codec) -> None:
    """A gigabyte of zeros from a small file passes in pieces of 1 MiB."""
    member = WRITERS[codec]([bytes(64 << 20)])
    tracemalloc.start()
    try:
        total = 0
        for piece in decompressed([member] * 4, codec):
            assert len(piece) <= 1 << 20
            total += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 256 << 20
    assert peak < 8 << 20


def test_a_million_tiny_members_take_no_square_of_time() -> None:
    """Twenty-byte members are read in time that grows with their number only (seconds otherwise)."""
    assert list(decompressed([gzip.compress(b"") * 50_000], Codec.GZIP)) == []


def test_plain_streams_pass_unchanged() -> None:
    """An uncompressed tar has no magic number; chunks pass as they are."""
    chunks = [os.urandom(10), b"", b"x"]
    assert codec_of(b"etc/passwd") is codec_of(b"") is Codec.NONE
    assert list(decompressed(chunks, Codec.NONE)) == chunks
