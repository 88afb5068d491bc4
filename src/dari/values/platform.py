"""What an image runs on: operating system, architecture, variant (OCI image-index.md, platform)."""

from dataclasses import dataclass
from typing import Final, Self

from dari.values.malformed import Malformed

# GOARCH → (uname -m, Debian's architecture, multiarch triplet).
# Sources: Go's GOARCH list; Debian Multiarch/Tuples. Read 2026-11-23.
_ARCHITECTURES: Final = {
    "amd64": ("x86_64", "amd64", "x86_64-linux-gnu"),
    "arm64": ("aarch64", "arm64", "aarch64-linux-gnu"),
}
_SPELLINGS: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_MOST_PARTS: Final = 3


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """One platform that CUDA containers exist for: linux on amd64 or arm64."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `linux/amd64`, `linux/arm64/v8` or `aarch64`. Raises `Malformed` (DARI-PLATFORM-UNKNOWN)."""
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        architecture = _SPELLINGS.get(parts[1], parts[1])
        variant = parts[2] if len(parts) == _MOST_PARTS else ""
        if len(parts) > _MOST_PARTS or parts[0] != "linux" or architecture not in _ARCHITECTURES:
            known = ", ".join(f"linux/{name}" for name in _ARCHITECTURES)
            raise Malformed(
                "DARI-PLATFORM-UNKNOWN",
                f"platform {text!r} is not one dari builds for",
                hint=f"use one of {known}",
            )
        return cls("linux", architecture, "" if (architecture, variant) == ("arm64", "v8") else variant)

    @property
    def machine(self) -> str:
        """`uname -m` there: x86_64 or aarch64."""
        return _ARCHITECTURES[self.architecture][0]

    @property
    def debian(self) -> str:
        """Debian's name of the architecture."""
        return _ARCHITECTURES[self.architecture][1]

    @property
    def triplet(self) -> str:
        """The multiarch directory's name, as in /usr/lib/x86_64-linux-gnu."""
        return _ARCHITECTURES[self.architecture][2]

    def runs(self, other: "Platform") -> bool:
        """Say whether an image for `other` satisfies a request for this platform."""
        return (self.os, self.architecture) == (other.os, other.architecture) and (
            not self.variant or self.variant == other.variant
        )

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
