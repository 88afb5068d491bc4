"""dari.lock: read(write(lock)) is the lock, the text is what a reviewer sees, and nothing malformed passes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dari.lock import read_lock, write_lock
from dari.values.digest import Digest
from dari.values.lock import Given, HeldBack, Lock, LockedDeb, LockedWheel, PlatformLock
from dari.values.malformed import Malformed
from dari.values.platform import Platform
from dari.values.python import InstallScheme, PythonTarget
from tests.lock import bases

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12)
PATH = st.lists(NAME.filter(lambda name: name not in {".", ".."}), max_size=3).map("/".join)
PROGRAM = st.from_regex(r"(/[a-z0-9_.+-]*[a-z0-9]){1,3}", fullmatch=True)
DIGEST = st.builds(Digest.of, st.binary(max_size=8))
PLATFORM = st.sampled_from([Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "amd64", "v3")])
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
SIZE = st.integers(0, 1 << 40)
PAIR = st.tuples(st.integers(0, 99), st.integers(0, 99))
PYTHON = st.builds(
    PythonTarget, PAIR, PROGRAM, st.builds(InstallScheme, PATH, PATH, PATH, PATH, PATH), TEXTS, PLATFORM, PAIR
)
URL = st.builds(str.__add__, st.sampled_from(["https://", "http://", "file:", "sdist+https://"]), TEXT)
FILENAME = TEXT.map(lambda text: text.replace("/", "").replace("\0", "") + ".whl")
WHEEL = st.builds(LockedWheel, TEXT, TEXT, FILENAME, URL, DIGEST, SIZE, TEXTS)
DEB = st.builds(LockedDeb, TEXT, TEXT, TEXT, URL, DIGEST, SIZE, TEXTS)
PLATFORM_LOCK = st.builds(
    PlatformLock,
    PLATFORM,
    st.none() | DIGEST,
    st.none() | PYTHON,
    st.lists(WHEEL, max_size=2).map(tuple),
    st.lists(DEB, max_size=2).map(tuple),
    st.lists(st.builds(Given, TEXT, TEXT, TEXT), max_size=2).map(tuple),
    st.lists(st.builds(HeldBack, TEXT, TEXT, TEXT, TEXT), max_size=2).map(tuple),
)
LOCK = st.builds(Lock, DIGEST, TEXT, st.lists(PLATFORM_LOCK, max_size=2).map(tuple))

ONE = Lock(
    Digest.of(b"inputs"),
    "nvcr.io/nvidia/pytorch:24.12-py3",
    (
        PlatformLock(
            bases.AMD64,
            Digest.of(b"manifest"),
            bases.TARGET,
            (
                LockedWheel(
                    "tqdm",
                    "4.67.1",
                    "tqdm-4.67.1-py3-none-any.whl",
                    "https://example.invalid/tqdm-4.67.1-py3-none-any.whl",
                    Digest.of(b"tqdm"),
                    78540,
                    ("datasets>=3", "tqdm"),
                ),
            ),
            (
                LockedDeb(
                    "git",
                    "1:2.43.0-1ubuntu7.1",
                    "amd64",
                    "http://example.invalid/git_2.43.0-1ubuntu7.1_amd64.deb",
                    Digest.of(b"git"),
                    3_680_000,
                    ("git",),
                ),
            ),
            (Given("torch", bases.TORCH, "torch>=2.4.0"),),
            (HeldBack("datasets", "2.14.4", "3.4.0", "fsspec is 2025.3.0 in the base"),),
        ),
    ),
)


@given(LOCK)
def test_a_lock_survives_its_file(lock: Lock) -> None:
    """read(write(lock)) == lock, and writing again gives the same bytes."""
    raw = write_lock(lock)
    assert read_lock(raw, "dari.lock") == lock
    assert write_lock(read_lock(raw, "dari.lock")) == raw


def test_a_reviewer_sees_this() -> None:
    """The whole text, so that a change of form is a decision."""
    expected = Path(__file__).with_name("expected.lock")
    assert write_lock(ONE).decode() == expected.read_text(encoding="utf-8")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_lock_or_malformed(raw: bytes) -> None:
    """Nothing but `Malformed` is raised for bytes that are no lock."""
    with pytest.raises(Malformed):
        read_lock(raw, "dari.lock")


@pytest.mark.parametrize(
    ("old", "new", "id", "message"),
    [
        (
            "version = 1\n",
            "version = 2\n",
            "DARI-LOCK-VERSION",
            "dari.lock has version 2, and this dari reads version 1",
        ),
        ("version = 1\n", "", "DARI-LOCK-MALFORMED", "dari.lock: 'version' is not a number"),
        ("version = 1\n", "version = true\n", "DARI-LOCK-MALFORMED", "dari.lock: 'version' is not a number, 0 or more"),
        ('inputs = "sha256:', 'inputs = "sha1:', "DARI-LOCK-MALFORMED", "dari.lock: 'inputs' is not a digest"),
        (
            'base = "nvcr',
            'extra = 1\nbase = "nvcr',
            "DARI-LOCK-MALFORMED",
            "dari.lock has a member 'extra' that this dari ",
        ),
        (
            '"linux/amd64"',
            '"plan9/mips"',
            "DARI-LOCK-MALFORMED",
            "dari.lock: platform 1: 'platform' is not a platform that ",
        ),
        (
            "size = 78540",
            "size = -1",
            "DARI-LOCK-MALFORMED",
            "dari.lock: platform 1: wheel 1: 'size' is not a number, 0 ",
        ),
        ("size = 78540", 'size = "1"', "DARI-LOCK-MALFORMED", "dari.lock: platform 1: wheel 1: 'size' is not a number"),
        (
            "size = 78540",
            "size = 1\nmore = 2",
            "DARI-LOCK-MALFORMED",
            "dari.lock: platform 1: wheel 1 has a member 'more' ",
        ),
        (
            '"tqdm-4.67.1-py3-none-any.whl"',
            '"../tqdm.whl"',
            "DARI-LOCK-MALFORMED",
            "dari.lock: platform 1: wheel 1: 'filename' is not the name of a wheel file",
        ),
        (
            '"https://example.invalid/tqdm',
            '"ftp://example.invalid/tqdm',
            "DARI-LOCK-MALFORMED",
            "dari.lock: platform 1: wheel 1: 'url' is not an https:, http:, file: or sdist+ address",
        ),
        (
            'glibc = "2.39"',
            'glibc = "new"',
            "DARI-LOCK-MALFORMED",
            "dari.lock: platform 1: python: 'glibc' is not two numbers ",
        ),
        (
            "[platform.python.scheme]",
            "[platform.python.x]",
            "DARI-LOCK-MALFORMED",
            "dari.lock: platform 1: python: 'scheme' is ",
        ),
        ("[[platform]]", "[platform]", "DARI-LOCK-MALFORMED", "dari.lock"),
        ("[[platform]]", "<<<<<<< ours", "DARI-LOCK-MALFORMED", "dari.lock is not TOML: "),
    ],
)
def test_a_malformed_member_is_named_with_its_place(old: str, new: str, id: str, message: str) -> None:
    """Every member is checked; the message says which one, in which table, and what it should be."""
    text = write_lock(ONE).decode()
    assert old in text
    with pytest.raises(Malformed) as caught:
        read_lock(text.replace(old, new, 1).encode(), "dari.lock")
    assert (caught.value.id, str(caught.value)[: len(message)]) == (id, message)
    assert "dari lock" in caught.value.hint
