"""pam-auth-update on a root that has never seen it: /etc/pam.d/common-* from the profiles that packages bring.

Source: pam-auth-update(8) of pam 1.5 (libpam-runtime), its create_from_template and write_profiles. Read 2026-11-23.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dari.debian.scripts.doubt import Outcome, Refused, Text
from dari.debian.scripts.state import Input, Machine

_PROFILES: Final = "/usr/share/pam-configs"
_STATE: Final = "/var/lib/pam"
_TYPES: Final = ("auth", "account", "password", "session", "session-noninteractive")
_MODULE: Final = re.compile(r"((?:\[[^]]+\]|\w+)\s+\S+)\s*(.*)")
_BLOCKS: Final = {
    '# here are the per-package modules (the "Primary" block)': ("Primary", "# here's the fallback if no module"),
    '# and here are more per-package modules (the "Additional" block)': ("Additional", "# end of pam-auth-update"),
}


@dataclass(frozen=True, slots=True)
class _Profile:
    """`lines` by field name: 'Auth', 'Auth-Initial', 'Session'…."""

    name: str
    fields: Mapping[str, str]
    lines: Mapping[str, tuple[str, ...]]

    def block(self, kind: str) -> str:
        """Return 'Primary', 'Additional' or '' for a type such as 'session-noninteractive'."""
        if kind == "session-noninteractive" and self.fields.get("Session-Interactive-Only", "").lower() == "yes":
            return ""
        return self.fields.get(f"{_field(kind)}-Type", "")

    def modules(self, kind: str, *, first: bool) -> tuple[str, ...]:
        """Return the module lines; those of '-Initial' where this profile comes first."""
        name = _field(kind)
        return (self.lines.get(f"{name}-Initial") if first else None) or self.lines.get(name, ())


def pam_auth_update(machine: Machine, _: tuple[Text, ...], __: Input) -> Outcome:
    """Write common-* and pam-auth-update's own record of them."""
    if not machine.view.complete:
        raise Refused("it changes how users are authenticated, and the base's own choices aren't known")
    machine.effect()
    profiles = tuple(_profiles(machine))
    enabled = tuple(profile for profile in profiles if profile.fields.get("Default", "no") == "yes")
    for kind in _TYPES:
        template = machine.view.read(f"/usr/share/pam/common-{kind}")
        if not isinstance(template, bytes):
            raise Refused(f"/usr/share/pam/common-{kind} isn't there")
        filled = "".join(_filled(template.decode("utf-8", "surrogateescape"), enabled, kind))
        machine.view.write(f"/etc/pam.d/common-{kind}", filled.encode("utf-8", "surrogateescape"))
        machine.view.write(f"{_STATE}/{kind}", "".join(_record(enabled, kind)).encode("utf-8", "surrogateescape"))
    machine.view.write(f"{_STATE}/seen", "".join(f"{profile.name}\n" for profile in profiles).encode())
    return Outcome(0)


def _field(kind: str) -> str:
    return kind.removesuffix("-noninteractive").capitalize()


def _profiles(machine: Machine) -> Iterator[_Profile]:
    """Yield the profiles, the highest priority first, then by name."""
    found = []
    for path in machine.view.matching(f"{_PROFILES}/*"):
        content = machine.view.read(path)
        if isinstance(content, bytes):
            found.append(_parsed(path.rpartition("/")[2], content.decode("utf-8", "surrogateescape")))
    yield from sorted(found, key=lambda profile: (-int(profile.fields.get("Priority", "0")), profile.name))


def _parsed(name: str, content: str) -> _Profile:
    fields: dict[str, str] = {}
    lines: dict[str, tuple[str, ...]] = {}
    current = ""
    for line in content.splitlines():
        if line[:1].isspace():
            lines[current] = (*lines.get(current, ()), line.strip())
        elif ":" in line:
            current, _, value = line.partition(":")
            fields[current] = value.strip()
    return _Profile(name, fields, lines)


def _modules(enabled: tuple[_Profile, ...], kind: str, block: str) -> tuple[tuple[_Profile, tuple[str, ...]], ...]:
    chosen = [profile for profile in enabled if profile.block(kind) == block]
    return tuple((profile, profile.modules(kind, first=number == 0)) for number, profile in enumerate(chosen))


def _filled(template: str, enabled: tuple[_Profile, ...], kind: str) -> Iterator[str]:
    """Put the modules in; what the template has between the marks is dropped, and 'end' becomes a count of lines."""
    until = ""
    for line in template.splitlines(keepends=True):
        if until and not line.startswith(until):
            continue
        until = ""
        yield line
        for mark, (block, closing) in _BLOCKS.items():
            if line.startswith(mark):
                yield from _block(enabled, kind, block)
                until = closing


def _block(enabled: tuple[_Profile, ...], kind: str, block: str) -> Iterator[str]:
    word = kind.removesuffix("-noninteractive")
    lines = [line for _, modules in _modules(enabled, kind, block) for line in modules]
    count = len(lines) - (block == "Additional")
    if block == "Primary" and not lines:
        yield f"{word}\t[default=1]\t\t\tpam_permit.so\n"
    for number, line in enumerate(lines):
        match = _MODULE.match(line)
        module, options = (match[1], match[2].split()) if match else (line, [])
        yield f"{word}\t{module.replace('end', str(count - number))} {' '.join(options)}\n"


def _record(enabled: tuple[_Profile, ...], kind: str) -> Iterator[str]:
    primary = _modules(enabled, kind, "Primary")
    for profile, modules in primary:
        yield f"Module: {profile.name}\n" + "".join(f"{line}\n" for line in modules)
    if not primary:
        yield "Module: null\n[default=1]\t\t\tpam_permit.so\n"
    for profile, modules in _modules(enabled, kind, "Additional"):
        yield f"Module: {profile.name}\n" + "".join(f"{line}\n" for line in modules)
