"""Which Python an image runs, and where things are installed for it, from names and small files alone.

Sources: PEP 405 (pyvenv.cfg), sysconfig's schemes, Debian's posix_local and Fedora's rpm_prefix (both put what pip
installs under /usr/local), CPython's Modules/getpath.py. Read 2026-11-23.
"""

import re
from collections.abc import Mapping
from typing import Final

from dari.bases.merged import Merged
from dari.values.fact import Fact, Known, Missing
from dari.values.platform import Platform
from dari.values.python import InstallScheme, PythonTarget

_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what runtimes set
_INTERPRETER: Final = re.compile(r"python(\d)\.(\d{1,2})")
_VERSION: Final = re.compile(r"(\d)\.(\d{1,2})(?:\.|\b)")


def python_target(
    merged: Merged, environment: Mapping[str, str], platform: Platform, glibc: Fact[tuple[int, int]]
) -> Fact[PythonTarget]:
    """Find the interpreter that `python3` starts in the image, and where it looks for packages."""
    path = environment.get("PATH", _DEFAULT_PATH)
    looked_at = tuple(part for part in path.split(":") if part)
    command = _command(merged, looked_at)
    if command is None:
        return Missing("there is no python3 or python on the PATH", looked_at)
    real = merged.real(command)
    version = _version(merged, command, real)
    if version is None:
        return Missing(f"the version of /{command} can't be told from its name or folders", (f"/{real}",))
    if isinstance(glibc, Missing):
        return Missing(f"wheels can't be chosen: {glibc.reason}", glibc.looked_at)
    scheme, search_path = _places(merged, command, real, version)
    python_path = [part.strip("/") for part in environment.get("PYTHONPATH", "").split(":") if part.startswith("/")]
    sites = dict.fromkeys(merged.real(site) for site in (*python_path, *search_path) if site)
    existing = tuple(site for site in sites if merged.is_folder(site) or site == scheme.purelib)
    in_environment = _configuration(merged, command) is not None
    interpreter = command if in_environment else real
    target = PythonTarget(version, f"/{interpreter}", scheme, existing, platform, glibc.value)
    return Known(target, f"/{command} on the PATH")


def _command(merged: Merged, folders: tuple[str, ...]) -> str | None:
    for folder in folders:
        for name in ("python3", "python"):
            path = f"{folder.strip('/')}/{name}".lstrip("/")
            if merged.is_file(path):
                return path
    return None


def _version(merged: Merged, command: str, real: str) -> tuple[int, int] | None:
    if match := _INTERPRETER.fullmatch(real.rpartition("/")[2]):
        return int(match[1]), int(match[2])
    settings = _configuration(merged, command) or {}
    if match := _VERSION.match(settings.get("version", settings.get("version_info", ""))):
        return int(match[1]), int(match[2])
    prefix = real.rpartition("/")[0].rpartition("/")[0]
    folders = [_INTERPRETER.fullmatch(name) for name in merged.names(f"{prefix}/lib")]
    versions = {(int(match[1]), int(match[2])) for match in folders if match}
    return versions.pop() if len(versions) == 1 else None


def _places(merged: Merged, command: str, real: str, version: tuple[int, int]) -> tuple[InstallScheme, tuple[str, ...]]:
    name = f"python{version[0]}.{version[1]}"
    settings = _configuration(merged, command)
    if settings is not None:
        prefix = command.rpartition("/")[0].rpartition("/")[0]
        scheme, search_path = _plain_places(merged, prefix, name)
        if settings.get("include-system-site-packages", "").lower() == "true":
            search_path += _system_places(merged, real, name)[1]
        return scheme, search_path
    return _system_places(merged, real, name)


def _system_places(merged: Merged, real: str, name: str) -> tuple[InstallScheme, tuple[str, ...]]:
    prefix = real.rpartition("/")[0].rpartition("/")[0]
    if prefix == "usr" and merged.is_folder("usr/lib/python3/dist-packages"):
        scheme, search_path = _debian_places(name)
        return _resolved(merged, scheme), search_path
    if prefix == "usr" and merged.is_folder(f"usr/lib64/{name}"):
        scheme, search_path = _fedora_places(name)
        return _resolved(merged, scheme), search_path
    return _plain_places(merged, prefix, name)


def _debian_places(name: str) -> tuple[InstallScheme, tuple[str, ...]]:
    own = f"usr/local/lib/{name}/dist-packages"
    scheme = InstallScheme(own, own, "usr/local/bin", "usr/local", f"usr/local/include/{name}")
    return scheme, (own, "usr/lib/python3/dist-packages", f"usr/lib/{name}/dist-packages")


def _fedora_places(name: str) -> tuple[InstallScheme, tuple[str, ...]]:
    pure, binary = f"usr/local/lib/{name}/site-packages", f"usr/local/lib64/{name}/site-packages"
    scheme = InstallScheme(pure, binary, "usr/local/bin", "usr/local", f"usr/local/include/{name}")
    return scheme, (binary, pure, f"usr/lib64/{name}/site-packages", f"usr/lib/{name}/site-packages")


def _plain_places(merged: Merged, prefix: str, name: str) -> tuple[InstallScheme, tuple[str, ...]]:
    below = f"{prefix}/" if prefix else ""
    own = f"{below}lib/{name}/site-packages"
    scheme = InstallScheme(own, own, f"{below}bin", prefix, f"{below}include/{name}")
    return _resolved(merged, scheme), (own,)


def _resolved(merged: Merged, scheme: InstallScheme) -> InstallScheme:
    return InstallScheme(
        merged.real(scheme.purelib),
        merged.real(scheme.platlib),
        merged.real(scheme.scripts),
        merged.real(scheme.data),
        merged.real(scheme.headers),
    )


def _configuration(merged: Merged, command: str) -> Mapping[str, str] | None:
    """Return pyvenv.cfg beside the command or one folder up (PEP 405); None where the command is in no venv."""
    folder = command.rpartition("/")[0]
    for place in (folder, folder.rpartition("/")[0]):
        text = merged.text(f"{place}/pyvenv.cfg".lstrip("/"))
        if text is not None:
            lines = (line.partition("=") for line in text.splitlines())
            return {key.strip().lower(): value.strip() for key, equals, value in lines if equals}
    return None
