"""Following the maintainer scripts of a set of packages, in dpkg's order: preinst, unpacking, postinst."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from typing import Any, Final

from dari.debian.package import Package
from dari.debian.scripts.accounts import account_commands
from dari.debian.scripts.alternatives import update_alternatives
from dari.debian.scripts.builtin import builtins
from dari.debian.scripts.certificates import update_certificates, write_configuration
from dari.debian.scripts.database import database_commands
from dari.debian.scripts.debconf import debconf_commands
from dari.debian.scripts.doubt import UNKNOWN, Leaving, Outcome, Refused, Text
from dari.debian.scripts.files import file_commands
from dari.debian.scripts.machine import run, substituted
from dari.debian.scripts.pam import pam_auth_update
from dari.debian.scripts.parser import parse
from dari.debian.scripts.shells import add_shell, update_shells
from dari.debian.scripts.state import Handler, Input, Machine
from dari.debian.scripts.text import text_commands
from dari.debian.scripts.view import KnownPackage, View
from dari.debian.scripts.words import Unreadable
from dari.values.entry import Entry, Kind
from dari.values.finding import Finding, Severity
from dari.values.inventory import DebianPackage

_SHELLS: Final = re.compile(r"#! ?(?:/usr)?/bin/(?:sh|dash|bash)\b")
_SHADOW_FILES: Final = frozenset({"etc/shadow", "etc/gshadow"})
_SHADOW_GROUP: Final = 42  # base-passwd's group.master
WAYS_OUT: Final = ("build the image with a container engine, where apt itself installs it", "leave it out of `apt`")
# What a script of each kind is called with on a first installation (Policy 6.5).
# debconf runs `config` before postinst.
_STEPS: Final = (("preinst", ("install",)), ("config", ("configure", "")), ("postinst", ("configure", "")))


@dataclass(frozen=True, slots=True)
class Configured:
    """What the scripts come to: changed files, placed and sorted, and why some packages can't be installed."""

    entries: tuple[Entry, ...]
    refusals: tuple[Finding, ...]


def configure(
    packages: tuple[Package, ...],
    *,
    base_files: Mapping[str, bytes],
    links: Mapping[str, str],
    root: Iterable[Entry],
    installed: tuple[DebianPackage, ...],
) -> Configured:
    """Follow all scripts. `base_files` are what is known of the base's files, `installed` its packages.

    Nothing installed means an image from scratch: then `root` is all that stands before the first package.
    """
    view = View(not installed, links)
    view.add(root)
    view.packages.update((each.name, KnownPackage(each.version, each.architecture)) for each in installed)
    view.packages.update((package.name, _known(package)) for package in packages)
    view.add(_base_entry(path, content) for path, content in base_files.items())
    commands = _commands(packages)
    refusals: list[Finding] = []
    ordered = _ordered(packages)
    for script, arguments in _STEPS:
        if script == "config":
            for package in ordered:
                view.add(package.entries)
        for package in ordered:
            if script in package.control.files:
                refusals.extend(_followed(view, package, script, arguments, commands))
    refusals.extend(_diverted(view, packages))
    return Configured(view.outcome(), tuple(refusals))


def _known(package: Package) -> KnownPackage:
    paths = tuple(f"/{entry.path}" if entry.path else "/." for entry in package.entries)
    return KnownPackage(package.deb.version, package.deb.architecture, paths)


def _base_entry(path: str, content: bytes) -> Entry:
    if path in _SHADOW_FILES:
        return Entry(path, Kind.FILE, 0o640, len(content), gid=_SHADOW_GROUP, open=lambda: BytesIO(content))
    return Entry(path, Kind.FILE, 0o644, len(content), open=lambda: BytesIO(content))


def _ordered(packages: tuple[Package, ...]) -> tuple[Package, ...]:
    """Order packages so that each comes after what it depends on; circles are cut by name."""
    named = {package.name: package for package in sorted(packages, key=lambda package: package.name)}
    done: dict[str, Package] = {}
    # base-passwd first: what the others chown to must have a number.
    pending = [("", name) for name in sorted(named, key=lambda name: (name != "base-passwd", name), reverse=True)]
    entered: set[str] = set()
    while pending:
        action, name = pending.pop()
        if action:
            done[name] = named[name]
        elif name not in entered:
            entered.add(name)
            pending.append(("leave", name))
            fields = named[name].control.fields
            wanted = re.findall(r"[a-z0-9][a-z0-9+.-]+", f"{fields.get('depends', '')} {fields.get('pre-depends', '')}")
            pending.extend(("", each) for each in sorted(set(wanted), reverse=True) if each in named)
    return tuple(done.values())


def _followed(
    view: View, package: Package, script: str, arguments: tuple[str, ...], commands: Mapping[str, Handler]
) -> Iterator[Finding]:
    content = package.control.files[script]
    text = _reviewed(package.name, script, content) or content.decode("utf-8", "surrogateescape")
    view.umask = 0o022
    machine = Machine(view, commands, _environment(package, script), substituted, arguments=arguments)
    if text.startswith("#!") and not _SHELLS.match(text):
        yield _refusal(package, script, Refused(f"it is written for {text.splitlines()[0][2:].strip()!r}"))
        return
    try:
        run(machine, parse(text), Input(""))
    except Leaving as leaving:
        if leaving.kind == "exit" and leaving.status not in {0, None}:
            yield _refusal(package, script, Refused(f"it would end with status {leaving.status}"))
    except Refused as refused:
        yield _refusal(package, script, refused)
    except (Unreadable, RecursionError) as error:
        yield _refusal(package, script, Refused(f"dari can't read it ({error})"))


def _environment(package: Package, script: str) -> dict[str, Text]:
    """Return what dpkg sets for a script (dpkg(1), environment), and a frontend that asks nothing."""
    return {
        "0": f"/var/lib/dpkg/info/{package.info_name}.{script}",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "IFS": " \t\n",
        "DEBIAN_FRONTEND": "noninteractive",
        "DPKG_ADMINDIR": "/var/lib/dpkg",
        "DPKG_MAINTSCRIPT_ARCH": package.control.fields["architecture"],
        "DPKG_MAINTSCRIPT_NAME": script,
        "DPKG_MAINTSCRIPT_PACKAGE": package.name,
        "DPKG_ROOT": "",
        "DPKG_RUNNING_VERSION": UNKNOWN,
    }


def _refusal(package: Package, script: str, refused: Refused) -> Finding:
    command = f" runs {refused.command[:160]!r} (line {refused.line})" if refused.command else ""
    return Finding(
        "DARI-APT-SCRIPT",
        Severity.ERROR,
        f"{package.name} {package.deb.version}: its {script}{command}: {refused.reason}",
        where=f"{package.info_name}.{script}",
        cause=", ".join(package.deb.required_by),
        ways_out=WAYS_OUT,
    )


def _reviewed(package: str, script: str, content: bytes) -> str | None:
    """Return what a reviewed script comes to; None for one that isn't in the table."""
    text = content.decode("utf-8", "surrogateescape")
    for entry in _table("scripts.toml")["script"]:
        if (entry["package"], entry["name"]) == (package, script) and all(part in text for part in entry["contains"]):
            return str(entry["instead"])
    return None


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("dari.debian").joinpath("data", name).read_text("utf-8"))


def tables() -> str:
    """Return the text of the reviewed tables, which decides what scripts come to as much as the scripts do."""
    folder = resources.files("dari.debian").joinpath("data")
    return "\0".join(folder.joinpath(name).read_text("utf-8") for name in ("commands.toml", "scripts.toml"))


def _commands(packages: tuple[Package, ...]) -> Mapping[str, Handler]:
    architectures = {package.deb.architecture for package in packages} - {"all"}
    skipped = {name: _skipped for table in _table("commands.toml").values() for name in table["commands"]}
    return {
        **skipped,
        **text_commands(),
        **builtins(),
        **file_commands(),
        **account_commands(),
        **database_commands(min(architectures, default="all")),
        **debconf_commands(packages),
        "add-shell": add_shell,
        "dari-ca-certificates-configuration": write_configuration,
        "pam-auth-update": pam_auth_update,
        "update-alternatives": update_alternatives,
        "update-ca-certificates": update_certificates,
        "update-shells": update_shells,
    }


def _skipped(machine: Machine, arguments: tuple[Text, ...], stdin: Input) -> Outcome:
    del machine, arguments, stdin
    return Outcome(0, UNKNOWN, skipped=True)


def _diverted(view: View, packages: tuple[Package, ...]) -> Iterator[Finding]:
    """Refuse packages whose file another package diverts: dpkg would put it elsewhere."""
    content = view.read("/var/lib/dpkg/diversions")
    lines = content.decode("utf-8", "surrogateescape").splitlines() if isinstance(content, bytes) else []
    owners = {lines[place]: lines[place + 2] for place in range(0, len(lines) - 2, 3)}
    for package in packages:
        for entry in package.entries:
            owner = owners.get(f"/{entry.path}", package.name)
            if owner != package.name and entry.kind is not Kind.DIRECTORY:
                yield _refusal(package, "files", Refused(f"/{entry.path} is diverted by {owner}"))
