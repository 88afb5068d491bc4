"""JSON at the door: read into checked members, written in one canonical form."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from dari.values.malformed import Malformed

T = TypeVar("T")


def json_object(raw: bytes, where: str, id: str) -> dict[str, Any]:
    """Read one JSON object. Raises `Malformed` with `id` for anything else, deep nesting included."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Malformed(id, f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Malformed(id, f"{where} is not a JSON object")
    return document


def member(document: object, name: str, kind: type[T], where: str, *, id: str = "DARI-MANIFEST-MALFORMED") -> T:
    """Return a required member of the given kind. Raises `Malformed` with `id`."""
    value = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Malformed(id, f"{where} has no {name!r} of type {kind.__name__}")
    return value


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Write JSON without white space, in the order given: the same document, the same bytes."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
