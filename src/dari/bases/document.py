"""The inventory as a file: versioned JSON, gzipped. The same inventory gives the same bytes."""

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from dari.values.digest import Digest
from dari.values.documents import json_object, member
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

VERSION: Final = 1
_ID: Final = "DARI-INVENTORY-MALFORMED"
_WHERE: Final = "the inventory"
_LARGEST: Final = 128 << 20  # unpacked; NGC's is about 12 MiB
_GZIP: Final = 31  # zlib's word for a gzip wrapper with the largest window

T = TypeVar("T")


def encode(inventory: Inventory) -> bytes:
    """Write an inventory as gzipped JSON, deterministically."""
    # Names that aren't UTF-8 are surrogate escapes, which only JSON's own escapes carry.
    text = json.dumps(_document(inventory), separators=(",", ":"), ensure_ascii=True)
    packer = zlib.compressobj(6, wbits=_GZIP)  # writes no time and no name into the header
    return packer.compress(text.encode()) + packer.flush()


def decode(content: bytes) -> Inventory:
    """Read what `encode` wrote. Raises `Malformed` (DARI-INVENTORY-MALFORMED, DARI-INVENTORY-VERSION)."""
    document = json_object(_unpacked(content), _WHERE, _ID)
    version = member(document, "version", int, _WHERE, id=_ID)
    if version != VERSION:
        raise Malformed(
            "DARI-INVENTORY-VERSION",
            f"reading an inventory: it is of version {version}, this dari reads {VERSION}",
            hint="scan the base again with `dari bases scan`, or use the dari that wrote it",
        )
    return Inventory(
        Digest.parse(_member(document, "manifest", str)),
        Platform.parse(_member(document, "platform", str)),
        OsRelease(*_words(_member(document, "os_release", list), 4)),
        tuple(
            DebianPackage(_text(row[0]), _text(row[1]), _text(row[2]), _texts(row[3]), _text(row[4]))
            for row in _rows(document, "packages", 5)
        ),
        tuple(
            AptSource(_text(row[0]), _text(row[1]), _texts(row[2]), _bytes(row[3]))
            for row in _rows(document, "apt_sources", 4)
        ),
        _read_fact(document.get("python"), _read_python),
        tuple(_read_distribution(row) for row in _rows(document, "distributions", 6)),
        _texts(document.get("constraints")),
        tuple(_read_library(row) for row in _rows(document, "libraries", 3)),
        _read_protected(document),
        _mapping(document, "directory_links"),
        _mapping(document, "environment"),
        _latin(_member(document, "dpkg_status", str)),
        {path: _latin(text) for path, text in _mapping(document, "install_state").items()},
        {name: _read_missing(fact) for name, fact in _member(document, "missing", dict).items()},
    )


def annotations(inventory: Inventory) -> Mapping[str, str]:
    """Return the annotations of the artifact that carries an inventory in a registry."""
    python = inventory.python
    return {
        "dev.dari.inventory.version": str(VERSION),
        "dev.dari.inventory.subject": str(inventory.manifest),
        "dev.dari.inventory.platform": str(inventory.platform),
        "dev.dari.inventory.os": f"{inventory.os_release.id} {inventory.os_release.version}".strip(),
        "dev.dari.inventory.python": python.value.dotted if isinstance(python, Known) else "",
        "dev.dari.inventory.packages": str(len(inventory.packages)),
        "dev.dari.inventory.distributions": str(len(inventory.distributions)),
    }


def _document(inventory: Inventory) -> dict[str, Any]:
    release = inventory.os_release
    owned = {path for one in inventory.distributions if one.protected for path in one.paths}
    return {
        "version": VERSION,
        "manifest": str(inventory.manifest),
        "platform": str(inventory.platform),
        "os_release": [release.id, release.version, release.codename, release.name],
        "packages": [
            [one.name, one.version, one.architecture, one.provides, one.multi_arch] for one in inventory.packages
        ],
        "apt_sources": [[one.uri, one.suite, one.components, _base64(one.keyring)] for one in inventory.apt_sources],
        "python": _fact(inventory.python, _python),
        "distributions": [_distribution(one) for one in inventory.distributions],
        "constraints": inventory.constraints,
        "libraries": [
            [one.path, one.soname, _fact(one.exports, lambda symbols: _base64(symbols.packed))]
            for one in inventory.libraries
        ],
        # What protected distributions own is said there; here stands the rest.
        "protected_paths": [path for path in inventory.protected_paths if path not in owned],
        "directory_links": dict(sorted(inventory.directory_links.items())),
        "environment": dict(inventory.environment),
        "dpkg_status": inventory.dpkg_status.decode("latin-1"),  # any byte is one character, and text stays text
        "install_state": {path: content.decode("latin-1") for path, content in sorted(inventory.install_state.items())},
        "missing": {name: _fact(fact, str) for name, fact in sorted(inventory.missing.items())},
    }


def _unpacked(content: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        text = unpacker.decompress(content, _LARGEST)
    except zlib.error as error:
        raise Malformed(_ID, f"{_WHERE} is not a gzip file: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise Malformed(_ID, f"{_WHERE} is cut short, has something after its end, or is over {_LARGEST >> 20} MiB")
    return text


def _fact(fact: Fact[T], write: Callable[[T], object]) -> dict[str, object]:
    match fact:
        case Known(value, evidence):
            return {"known": write(value), "evidence": evidence}
        case Missing(reason, looked_at):
            return {"missing": reason, "looked_at": looked_at}


def _read_fact(document: object, read: Callable[[object], T]) -> Fact[T]:
    if isinstance(document, dict) and "known" in document:
        return Known(read(document["known"]), _text(document.get("evidence")))
    return _read_missing(document)


def _read_missing(document: object) -> Missing:
    fact = document if isinstance(document, dict) else {}
    return Missing(_text(fact.get("missing")), _texts(fact.get("looked_at")))


def _python(target: PythonTarget) -> dict[str, object]:
    scheme = target.scheme
    return {
        "version": target.version,
        "interpreter": target.interpreter,
        "scheme": [scheme.purelib, scheme.platlib, scheme.scripts, scheme.data, scheme.headers],
        "search_path": target.search_path,
        "platform": str(target.platform),
        "glibc": target.glibc,
    }


def _read_python(document: object) -> PythonTarget:
    return PythonTarget(
        _pair(_member(document, "version", list)),
        _member(document, "interpreter", str),
        InstallScheme(*_words(_member(document, "scheme", list), 5)),
        _texts(_member(document, "search_path", list)),
        Platform.parse(_member(document, "platform", str)),
        _pair(_member(document, "glibc", list)),
    )


def _distribution(one: Distribution) -> list[object]:
    return [
        one.name,
        one.version,
        one.location,
        one.requires,
        [_relative(path, one) for path in one.paths],
        one.protected,
    ]


def _relative(path: str, one: Distribution) -> str:
    """Write a path as seen from the site directory, where nearly all lie; any other with a leading slash."""
    below = path.removeprefix(f"{one.location}/")
    return f"/{path}" if below == path or below.startswith("/") else below


def _read_distribution(row: list[object]) -> Distribution:
    name, version, location = _words(row[:3], 3)
    paths = tuple(path[1:] if path.startswith("/") else f"{location}/{path}" for path in _texts(row[4]))
    return Distribution(name, version, location, _texts(row[3]), paths, row[5] is True)


def _read_library(row: list[object]) -> SharedLibrary:
    path, soname = _words(row[:2], 2)
    return SharedLibrary(path, soname, _read_fact(row[2], lambda packed: SymbolSet(_bytes(packed))))


def _read_protected(document: Mapping[str, Any]) -> tuple[str, ...]:
    rows = (_read_distribution(row) for row in _rows(document, "distributions", 6))
    owned = {path for one in rows if one.protected for path in one.paths}
    return tuple(sorted(owned.union(_texts(document.get("protected_paths")))))


def _member(document: object, name: str, kind: type[T]) -> T:
    return member(document, name, kind, _WHERE, id=_ID)


def _rows(document: Mapping[str, Any], name: str, width: int) -> list[list[object]]:
    rows = _member(document, name, list)
    if not all(isinstance(row, list) and len(row) == width for row in rows):
        raise Malformed(_ID, f"{_WHERE}: {name!r} holds something else than rows of {width}")
    return rows


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, str]:
    mapping = _member(document, name, dict)
    return {_text(key): _text(value) for key, value in mapping.items()}


def _words(values: list[object], count: int) -> tuple[str, ...]:
    if len(values) != count:
        raise Malformed(_ID, f"{_WHERE}: {len(values)} values stand where {count} belong")
    return tuple(_text(value) for value in values)


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise Malformed(_ID, f"{_WHERE}: {str(values)[:40]!r} stands where a list of texts belongs")
    return tuple(_text(value) for value in values)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed(_ID, f"{_WHERE}: {str(value)[:40]!r} stands where a text belongs")
    return value


def _pair(values: list[object]) -> tuple[int, int]:
    match values:
        case [int(first), int(second)]:
            return first, second
        case _:
            raise Malformed(_ID, f"{_WHERE}: {str(values)[:40]!r} is not a version of two numbers")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except binascii.Error as error:
        raise Malformed(_ID, f"{_WHERE}: a value is not base64: {error}") from error


def _latin(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise Malformed(_ID, f"{_WHERE}: a file's text holds what is not a byte") from error
