"""Content digests (OCI image-spec, descriptor.md#digests)."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from dari.values.malformed import Malformed

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """`algorithm:hex`; only the two registered algorithms, sha256 and sha512, lower-case hex."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sha256:…`. Raises `Malformed` (DARI-DIGEST-MALFORMED)."""
        algorithm, _, encoded = text.partition(":")
        if _HEX_LENGTH.get(algorithm) != len(encoded) or not _HEX.fullmatch(encoded):
            raise Malformed(
                "DARI-DIGEST-MALFORMED",
                f"{text[:200]!r} is not a digest",
                hint="a digest is 'sha256:' and 64 lower-case hexadecimal digits (or sha512: and 128)",
            )
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Compute the sha256 digest of `content`."""
        return cls("sha256", hashlib.sha256(content).hexdigest())

    @property
    def short(self) -> str:
        """The first twelve hex digits, as engines print them."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
