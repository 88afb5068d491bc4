"""What base and wheels together offer to a binary: libraries by name, symbols, and how much of that is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from dari.proof.symbols import TORCH, family
from dari.values.elf import contains
from dari.values.fact import Known
from dari.values.inventory import Inventory, SharedLibrary
from dari.values.wheel import WheelBinary, WheelContents

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Offers:
    """The base's GPU libraries and the binaries of every wheel, by soname and by file name."""

    base: Mapping[str, SharedLibrary]
    wheels: Mapping[str, WheelBinary]
    exported: frozenset[bytes]  # by any wheel
    torch: str  # the base's torch version; empty where it has none
    cuda: str

    @classmethod
    def of(cls, inventory: Inventory, wheels: tuple[WheelContents, ...]) -> "Offers":
        """Gather what `inventory` and `wheels` offer."""
        binaries = tuple(binary for wheel in wheels for binary in wheel.binaries)
        versions = {canonicalize_name(item.name): item.version for item in inventory.distributions}
        return cls(
            {name: library for library in inventory.libraries for name in _names(library.soname, library.path)},
            {name: binary for binary in binaries for name in _names(binary.elf.soname, binary.path)},
            frozenset().union(*(binary.elf.exported for binary in binaries)),
            versions.get(canonicalize_name("torch"), ""),
            inventory.environment.get("CUDA_VERSION", ""),
        )

    def library(self, name: str) -> bool:
        """Say whether somebody offers the library that a NEEDED entry names."""
        return name in self.base or name in self.wheels

    def symbol(self, name: bytes) -> bool:
        """Say whether a wheel, or a library of the base that was looked into, exports a symbol."""
        if name in self.exported:
            return True
        facts = (library.exports for library in self.base.values())
        return any(isinstance(fact, Known) and contains(fact.value.packed, name) for fact in facts)

    def knows(self, stack: str) -> bool | None:
        """Say whether every library of a family was looked into; None where nobody has one."""
        in_base = [library for name, library in self.base.items() if _belongs(name, stack)]
        if not in_base and not any(_belongs(name, stack) for name in self.wheels):
            return None
        return all(isinstance(library.exports, Known) for library in in_base)

    def closure(self, binary: WheelBinary) -> frozenset[str]:
        """Return the names a binary needs, with those that the wheels' libraries among them need in turn."""
        found: set[str] = set()
        pending = list(binary.elf.needed)
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending.extend(self.wheels[name].elf.needed if name in self.wheels else ())
        return frozenset(found)

    def versions(self, stack: str) -> str:
        """Say which sonames of a family there are: 'the base has libcudart.so.12'; '' where there is none."""
        base = {item.soname or name for name, item in self.base.items() if family(name) == stack}
        wheels = {item.elf.soname or name for name, item in self.wheels.items() if family(name) == stack}
        whose = ("the base has", base) if base else ("the lock's wheels have", wheels)
        return f"{whose[0]} {', '.join(sorted(whose[1])[:_SHOWN])}" if whose[1] else ""

    def versions_in_words(self, stack: str) -> str:
        """Return the version that a wheel for this base is built for: 'torch 2.6.0a0+…' or 'CUDA 12.6.3.004'."""
        if stack == TORCH:
            return f"torch {self.torch}" if self.torch else ""
        return f"CUDA {self.cuda}" if self.cuda else ""

    def describe(self, stack: str, symbol: bytes) -> str:
        """Name the library of the base (or else of a wheel) that ought to export a symbol."""
        whose, names = "the base's", sorted(name for name in self.base if _belongs(name, stack))
        if not names:
            whose, names = "the lock's", sorted(name for name in self.wheels if _belongs(name, stack))
        preferred = "libc10.so" if b"3c10" in symbol[:14] else "libtorch_cpu.so"
        name = preferred if preferred in names else names[0]
        version = self.versions_in_words(stack)
        return f"{whose} {name} ({version})" if version and whose == "the base's" else f"{whose} {name}"

    def contradiction(self, wheel: WheelContents) -> str:
        """Return the wheel's own requirement of torch if the base's version can't meet it, not even as a release."""
        from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - its grammar loads slowly

        try:
            version = Version(self.torch)
        except InvalidVersion:
            return ""
        for line in wheel.requires:
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue
            if canonicalize_name(requirement.name) != "torch" or requirement.marker:
                continue
            # NGC's 2.6.0a0+… stands for 2.6.0: only a pin that both miss contradicts the base.
            candidates = (version, Version(version.base_version))
            if not any(requirement.specifier.contains(candidate, prereleases=True) for candidate in candidates):
                return line
        return ""


def _names(soname: str, path: str) -> tuple[str, ...]:
    return tuple({name for name in (soname, path.rpartition("/")[2]) if name})


def _belongs(name: str, stack: str) -> bool:
    return family(name) == stack or family(name).startswith(stack + "_")
