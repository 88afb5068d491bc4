"""The inventory's file: what is written is read again, the same in the same bytes, and anything else is refused."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dari.bases import annotations, decode, encode
from dari.values.digest import Digest
from dari.values.fact import Fact, Known, Missing
from dari.values.inventory import (
    AptSource,
    DebianPackage,
    Distribution,
    Inventory,
    OsRelease,
    SharedLibrary,
    SymbolSet,
)
from dari.values.malformed import Malformed
from dari.values.platform import Platform
from dari.values.python import InstallScheme, PythonTarget

_TEXT = st.text(max_size=12) | st.sampled_from(["caf\udce9", "naïve", '"\\\n', "./odd", "다리"])
_TEXTS = st.lists(_TEXT, max_size=3).map(tuple)
_PLATFORM = st.sampled_from([Platform("linux", "amd64"), Platform("linux", "arm64")])
_MISSING = st.builds(Missing, _TEXT, _TEXTS)
_NUMBERS = st.tuples(st.integers(0, 9), st.integers(0, 99))
_PYTHON = st.builds(PythonTarget, _NUMBERS, _TEXT, st.builds(InstallScheme, *[_TEXT] * 5), _TEXTS, _PLATFORM, _NUMBERS)
_EXPORTS: st.SearchStrategy[Fact[SymbolSet]] = _MISSING | st.builds(
    Known, st.builds(SymbolSet, st.binary(max_size=12)), _TEXT
)


def _closed(inventory: Inventory) -> Inventory:
    """Hold what a scan guarantees: protected paths are sorted, single, and include what protected ones own."""
    owned = {path for one in inventory.distributions if one.protected for path in one.paths}
    fields = {name: getattr(inventory, name) for name in inventory.__dataclass_fields__}
    return Inventory(**fields | {"protected_paths": tuple(sorted(owned | set(inventory.protected_paths)))})


_INVENTORY = st.builds(
    Inventory,
    manifest=st.binary(max_size=4).map(Digest.of),
    platform=_PLATFORM,
    os_release=st.builds(OsRelease, *[_TEXT] * 4),
    packages=st.lists(st.builds(DebianPackage, _TEXT, _TEXT, _TEXT, _TEXTS, _TEXT), max_size=2).map(tuple),
    apt_sources=st.lists(st.builds(AptSource, _TEXT, _TEXT, _TEXTS, st.binary(max_size=9)), max_size=2).map(tuple),
    python=_MISSING | st.builds(Known, _PYTHON, _TEXT),
    distributions=st.lists(
        st.builds(Distribution, _TEXT, _TEXT, st.sampled_from(["site", "a/b"]), _TEXTS, _TEXTS, st.booleans()),
        max_size=3,
    ).map(tuple),
    constraints=_TEXTS,
    libraries=st.lists(st.builds(SharedLibrary, _TEXT, _TEXT, _EXPORTS), max_size=2).map(tuple),
    protected_paths=_TEXTS,
    directory_links=st.dictionaries(_TEXT, _TEXT, max_size=3),
    environment=st.dictionaries(_TEXT, _TEXT, max_size=3),
    dpkg_status=st.binary(max_size=30),
    install_state=st.dictionaries(_TEXT, st.binary(max_size=30), max_size=2),
    missing=st.dictionaries(_TEXT, _MISSING, max_size=2),
).map(_closed)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_INVENTORY)
def test_what_is_encoded_is_decoded(inventory: Inventory) -> None:
    """`decode(encode(x)) == x`, names that aren't UTF-8 and bytes of every kind included."""
    assert decode(encode(inventory)) == inventory


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_INVENTORY)
def test_the_same_inventory_gives_the_same_bytes(inventory: Inventory) -> None:
    """Encoding, decoding and encoding again changes no byte, so that its digest can stand for it."""
    assert encode(decode(encode(inventory))) == encode(inventory)


SMALL = Inventory(
    Digest.of(b""), Platform("linux", "amd64"), OsRelease("debian", "12", "bookworm", "Debian"),
    (DebianPackage("bash", "5.2", "amd64"),), (AptSource("https://archive.example", "bookworm", ("main",), b"k"),),
    Known(PythonTarget((3, 11), "/usr/bin/python3.11", InstallScheme("p", "p", "b", "d", "h"), ("p",),
                       Platform("linux", "amd64"), (2, 36)), "here"),
    (Distribution("torch", "2.6.0", "p", (), ("p/torch/a.py",), protected=True),), ("six",),
    (SharedLibrary("p/libc10.so", "libc10.so", Known(SymbolSet(b"sixsix"), "there")),), ("p/torch/a.py",),
    dpkg_status=b"x",
)  # fmt: skip


def test_the_artifacts_annotations_say_what_is_in_it() -> None:
    """A registry's listing shows base, system, Python and counts without a download."""
    assert annotations(SMALL) == {
        "dev.dari.inventory.version": "1",
        "dev.dari.inventory.subject": str(Digest.of(b"")),
        "dev.dari.inventory.platform": "linux/amd64",
        "dev.dari.inventory.os": "debian 12",
        "dev.dari.inventory.python": "3.11",
        "dev.dari.inventory.packages": "1",
        "dev.dari.inventory.distributions": "1",
    }


def _changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(gzip.decompress(encode(SMALL)))
    change(document)
    return gzip.compress(json.dumps(document).encode())


def _set(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.__setitem__(name, value)


WRONG: dict[str, bytes] = {
    "nothing": b"",
    "not gzip": b"{}",
    "not JSON": gzip.compress(b"hello"),
    "a list": gzip.compress(b"[]"),
    "cut short": encode(SMALL)[:-5],
    "something after it": encode(SMALL) + b"x",
    "two in one": encode(SMALL) + encode(SMALL),
    "brackets without end": gzip.compress(b"[" * 200_000),
    "a member missing": _changed(lambda document: document.pop("manifest")),
    "a digest that is none": _changed(_set("manifest", "sha256:1")),
    "a platform that is none": _changed(_set("platform", "plan9/mips")),
    "a row too short": _changed(_set("packages", [["bash", "5.2"]])),
    "a row that is none": _changed(_set("packages", ["bash"])),
    "a number for a name": _changed(_set("packages", [[1, "5.2", "amd64", [], ""]])),
    "a text for a list": _changed(_set("packages", [["bash", "5.2", "amd64", "none", ""]])),
    "a keyring that isn't base64": _changed(_set("apt_sources", [["u", "s", [], "%%"]])),
    "a fact that is none": _changed(_set("python", 3)),
    "a Python without a version": _changed(_set("python", {"known": {}, "evidence": ""})),
    "a version of three": _changed(lambda document: document["python"]["known"].__setitem__("version", [3, 11, 1])),
    "a status beyond bytes": _changed(_set("dpkg_status", "다리")),
    "links to numbers": _changed(_set("directory_links", {"lib": 1})),
    "constraints of nothing": _changed(_set("constraints", None)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_inventory_is_refused(name: str) -> None:
    """One clear error, whatever is wrong with it."""
    with pytest.raises(Malformed) as raised:
        decode(WRONG[name])
    assert raised.value.id in {"DARI-INVENTORY-MALFORMED", "DARI-DIGEST-MALFORMED", "DARI-PLATFORM-UNKNOWN"}


def test_another_version_says_so() -> None:
    """An inventory of a later format is not guessed at."""
    with pytest.raises(Malformed) as raised:
        decode(_changed(_set("version", 2)))
    assert raised.value.id == "DARI-INVENTORY-VERSION"
    assert "scan" in raised.value.hint


def test_a_bomb_is_refused_before_it_is_held() -> None:
    """A small file that unpacks to 300 MB is an error at the ceiling."""
    with pytest.raises(Malformed):
        decode(gzip.compress(bytes(300 << 20), 1))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_inventory_or_malformed(content: bytes) -> None:
    """Nothing else than `Malformed` comes out of a stranger's attachment."""
    with pytest.raises(Malformed):
        decode(content)
