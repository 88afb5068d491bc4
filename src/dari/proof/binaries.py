"""Whether a wheel's binaries fit the base's GPU stack: by the libraries they name and the symbols they leave open.

Only what is certain is an error. The loader resolves a wheel's symbols in whatever is loaded, so a symbol is judged
only where it can come from nowhere else: its name is torch's or CUDA's, the binary (or a library of a wheel that it
needs) names a library of that family, and no wheel of the lock offers it. CPython loads extension modules with
RTLD_NOW, so one missing symbol makes the import fail.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from dari.proof.offers import Offers
from dari.proof.symbols import TORCH, family, is_judged_library, readable, symbol_family
from dari.values.finding import Finding, Severity
from dari.values.inventory import Inventory
from dari.values.wheel import WheelBinary, WheelContents

_MODULE: Final = re.compile(r"(?!lib).+\.so|.+\.(?:cpython-|abi3|pypy)[^/]*")
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class _Misfit:
    """What one binary lacks of one family: libraries by soname, symbols; `certain` where the base was looked into."""

    binary: WheelBinary
    family: str
    libraries: tuple[str, ...]
    symbols: tuple[bytes, ...]
    certain: bool


def check_binaries(
    wheel: WheelContents, required_by: tuple[str, ...], inventory: Inventory, others: tuple[WheelContents, ...]
) -> tuple[Finding, ...]:
    """Judge a wheel's binaries against the base and the other wheels of the lock, one finding a cause.

    DARI-PROOF-LIBRARY: a library that nobody offers. DARI-PROOF-SYMBOL: a symbol that the base's library lacks.
    DARI-PROOF-UNKNOWN (a warning): the base's library couldn't be looked into. Warnings too, not errors: a CUDA
    library of which the base has no version at all (a base without a GPU stack), a plugin beside the wheel's own
    extension modules, and a binding that bears the library's name: both are loaded only where asked for. Of
    binaries that differ in numbers only (libx_cuda118.so, libx_cuda126.so) one that fits is enough.
    """
    offers = Offers.of(inventory, (wheel, *others))
    ordered = sorted(wheel.binaries, key=lambda binary: binary.path)
    native = tuple(binary for binary in ordered if binary.elf.machine == inventory.platform.machine)
    variants: defaultdict[str, list[tuple[_Misfit, ...]]] = defaultdict(list)
    for binary in native:
        variants[re.sub(r"\d+", "#", binary.path)].append(tuple(_misfits(binary, offers)))
    worst: dict[tuple[str, str], Finding] = {}
    main = _main_binaries(native, offers)
    for misfits in (min(group, key=len) for group in variants.values()):
        for misfit in misfits:
            optional = misfit.binary.path not in main or _is_binding(misfit)
            finding = _finding(misfit, wheel, required_by, offers, optional=optional)
            key = finding.id, misfit.family
            if key not in worst or (worst[key].severity, finding.severity) == (Severity.WARNING, Severity.ERROR):
                worst[key] = finding
    return tuple(finding for _, finding in sorted(worst.items(), key=lambda item: item[0]))


def _misfits(binary: WheelBinary, offers: Offers) -> Iterator[_Misfit]:
    """Say what a binary lacks, a family at a time."""
    lacking: defaultdict[str, list[str]] = defaultdict(list)
    for needed in filter(is_judged_library, binary.elf.needed):
        if not offers.library(needed):
            lacking[family(needed)].append(needed)
    reachable = {family(needed) for needed in offers.closure(binary)}
    unresolved: defaultdict[str, list[bytes]] = defaultdict(list)
    for symbol in sorted(binary.elf.undefined):
        owner = symbol_family(symbol)
        if _reached(owner, reachable) and not offers.symbol(symbol):
            unresolved[owner].append(symbol)
    for name in sorted(lacking.keys() | unresolved.keys()):
        known = offers.knows(name)
        symbols = tuple(unresolved[name]) if known is not None else ()
        if lacking[name] or symbols:
            yield _Misfit(binary, name, tuple(lacking[name]), symbols, certain=bool(known))


def _reached(owner: str, reachable: Iterable[str]) -> bool:
    """Say whether the symbol's library is among those loaded (libcudnn's symbols are in libcudnn_ops too)."""
    return bool(owner) and any(name == owner or name.startswith(owner + "_") for name in reachable)


def _main_binaries(binaries: tuple[WheelBinary, ...], offers: Offers) -> frozenset[str]:
    """Return the paths of extension modules and what they need; of all binaries where there is no such module."""
    modules = [binary for binary in binaries if _MODULE.fullmatch(binary.path.rpartition("/")[2])]
    if not modules:
        return frozenset(binary.path for binary in binaries)
    needed = {name for module in modules for name in offers.closure(module)}
    beneath = (b.path for b in binaries if needed & {b.elf.soname, b.path.rpartition("/")[2]})
    return frozenset(module.path for module in modules) | frozenset(beneath)


def _is_binding(misfit: _Misfit) -> bool:
    """Say whether a module bears its library's name: cupy's cudnn.cpython-312.so, imported only by who wants cuDNN."""
    module = misfit.binary.path.rpartition("/")[2].partition(".")[0]
    return f"lib{module}".lower() == misfit.family.lower()


def _finding(
    misfit: _Misfit, wheel: WheelContents, required_by: tuple[str, ...], offers: Offers, *, optional: bool
) -> Finding:
    who = f"{wheel.name} {wheel.version}"
    where = f"{who}: {misfit.binary.path}"
    cause = ", ".join(required_by) or wheel.name
    ways_out = _ways_out(wheel.name, misfit.family, offers)
    if misfit.libraries:
        present = offers.versions(misfit.family)
        has = present or "neither the base nor a wheel of the lock has any version of it"
        message = f"{who} needs {_list(misfit.libraries)}; {has}"
        serious = bool(present) or misfit.family == TORCH
        severity = Severity.ERROR if serious and not optional else Severity.WARNING
        return Finding("DARI-PROOF-LIBRARY", severity, message, where, cause, ways_out)
    symbols = _list(tuple(readable(symbol) for symbol in misfit.symbols))
    library = offers.describe(misfit.family, misfit.symbols[0])
    pin = offers.contradiction(wheel) if misfit.family == TORCH else ""
    if misfit.certain or pin:
        severity = Severity.WARNING if optional else Severity.ERROR
        verb = "doesn't export" if misfit.certain else f"can't have: it requires {pin}"
        message = f"{who} needs {symbols}, which {library} {verb}"
        return Finding("DARI-PROOF-SYMBOL", severity, message, where, cause, ways_out)
    message = f"{who} needs {symbols}; whether {library} exports it is not known"
    return Finding("DARI-PROOF-UNKNOWN", Severity.WARNING, message, where, cause, ways_out)


def _list(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _ways_out(name: str, stack: str, offers: Offers) -> tuple[str, ...]:
    built_for = offers.versions_in_words(stack)
    return (
        f"require another version of {name}" + (f", one built for {built_for}" if built_for else ""),
        f'leave it out: `skip = ["{name}"]` in dari.toml',
        f"build {name} inside the base, with a container engine",
    )
