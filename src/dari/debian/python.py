"""The Python that Debian's packages make, for an image from scratch: nothing there can be asked, so it is derived.

Sources: Debian Python Policy chapter 2 (module paths), Debian's posix_local scheme in python3.X's sysconfig.
Read 2026-11-23.
"""

import re
from typing import Final

from dari.values.fact import Missing
from dari.values.lock import LockedDeb
from dari.values.platform import Platform
from dari.values.python import InstallScheme, PythonTarget

_INTERPRETER: Final = re.compile(r"python(\d+)\.(\d+)-minimal")
_VERSION: Final = re.compile(r"(?:\d+:)?(\d+)\.(\d+)")


def python_target(debs: tuple[LockedDeb, ...], platform: Platform) -> PythonTarget | Missing:
    """Return where wheels go in an image made of `debs`: /usr/local, as `pip install` would put them."""
    named = {deb.name: deb for deb in debs}
    interpreters = sorted(
        (int(match[1]), int(match[2])) for match in (_INTERPRETER.fullmatch(name) for name in named) if match
    )
    if not interpreters:
        return Missing("none of the packages is a Python interpreter", ("python3", "python3.X-minimal"))
    default = _version(named.get("python3-minimal") or named.get("python3"))
    version = default if default in interpreters else interpreters[-1]
    glibc = _version(named.get("libc6"))
    if glibc is None:
        return Missing("the packages bring no C library", ("libc6",))
    dotted = f"{version[0]}.{version[1]}"
    site = f"usr/local/lib/python{dotted}/dist-packages"
    return PythonTarget(
        version,
        f"/usr/bin/python{dotted}",
        InstallScheme(site, site, "usr/local/bin", "usr/local", f"usr/local/include/python{dotted}"),
        (site, "usr/lib/python3/dist-packages", f"usr/lib/python{dotted}/dist-packages"),
        platform,
        glibc,
    )


def _version(deb: LockedDeb | None) -> tuple[int, int] | None:
    match = _VERSION.match(deb.version) if deb else None
    return (int(match[1]), int(match[2])) if match else None
