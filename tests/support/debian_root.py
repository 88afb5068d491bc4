"""Real Debian root file systems, made once by mmdebstrap from this machine's own apt sources."""

import contextlib
import fcntl
import hashlib
import subprocess
from pathlib import Path
from typing import Final

from dari.values.apt import apt_sources

CACHE: Final = Path(__file__).parents[2] / ".cache" / "tests"


def host_apt_files() -> dict[str, bytes]:
    """Return the host's /etc/apt and its keyrings, as `apt_sources` reads them."""
    places = (
        *Path("/etc/apt").glob("sources.list"),
        *Path("/etc/apt/sources.list.d").glob("*.list"),
        *Path("/etc/apt/sources.list.d").glob("*.sources"),
        *Path("/etc/apt").glob("trusted.gpg"),
        *Path("/etc/apt/trusted.gpg.d").glob("*"),
        *Path("/etc/apt/keyrings").glob("*"),
        *Path("/usr/share/keyrings").glob("*"),
    )
    return {str(place).lstrip("/"): place.read_bytes() for place in places if place.is_file()}


def debian_root(packages: tuple[str, ...] = (), *, suite: str = "bookworm") -> Path:
    """Return a tar of a minbase root with `packages`; root only, about 20 s the first time.

    The suite's -updates and -security pockets are used as the host's sources have them.
    """
    lines = [
        f"deb {source.uri} {source.suite} {' '.join(source.components)}"
        for source in apt_sources(host_apt_files())
        if source.suite in {suite, f"{suite}-updates", f"{suite}-security"}
    ]
    key = hashlib.sha256("\n".join((suite, *sorted(packages), *lines)).encode()).hexdigest()[:16]
    target = CACHE / f"debian-root-{suite}-{key}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{target.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = target.with_suffix(".partial.tar")
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
            include = [f"--include={','.join(sorted(packages))}"] if packages else []
            keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
            subprocess.run(
                [
                    *("mmdebstrap", "--mode=root", "--variant=minbase", f"--keyring={keyring}", *include),
                    *("--aptopt=APT::Install-Recommends false", suite, str(partial), *lines),
                ],
                check=True,
                capture_output=True,
                timeout=280,
            )
            partial.replace(target)
    return target
