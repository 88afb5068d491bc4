"""Building an sdist to a wheel on this host: only by name, only to pure Python, and the same bytes everywhere.

The build's own requirements are those the index had when the sdist was uploaded, so that another machine, later,
builds the same; `SOURCE_DATE_EPOCH` (reproducible-builds.org) is fixed, and the wheel is packed anew.
"""

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode

from packaging.utils import canonicalize_name

from dari.errors import ConflictError, IntegrityError, OutsideError
from dari.lock.addresses import relative_address, wheel_address
from dari.lock.files import File, Release
from dari.lock.repack import compiles, repack
from dari.lock.uv import Unsatisfiable, Uv, run_uv
from dari.lock.workbench import Workbench
from dari.system import chunks_of
from dari.values.digest import Digest
from dari.values.finding import Finding, Severity
from dari.values.lock import LockedWheel
from dari.values.malformed import Malformed
from dari.values.python import PythonTarget

_PREFIX: Final = "sdist+"
_KIND: Final = "wheel-of-sdist-1"
_ENVIRONMENT: Final = {"DS_BUILD_OPS": "0", "PYTHONHASHSEED": "0", "TZ": "UTC"}
_COMPILER_CALLED: Final = "nothing is compiled on the host"


@dataclass(frozen=True, slots=True)
class Sdist:
    """An sdist to build: where it is, its digest, and the time whose index its build requirements come from."""

    name: str
    version: str
    url: str
    digest: Digest
    before: str

    @property
    def address(self) -> str:
        """The text that stands for it in a lock."""
        fragment = {self.digest.algorithm: self.digest.hex, **({"before": self.before} if self.before else {})}
        return f"{_PREFIX}{self.url}#{urlencode(fragment, safe=':')}"


def is_built(wheel: LockedWheel) -> bool:
    """Say whether a locked wheel is one that is built here from an sdist."""
    return wheel.url.startswith(_PREFIX)


def sdist_of(wheel: LockedWheel) -> Sdist:
    """Read a locked wheel's `sdist+` address. Raises `Malformed` (DARI-LOCK-ADDRESS)."""
    url, _, fragment = wheel.url.removeprefix(_PREFIX).partition("#")
    words = parse_qs(fragment)
    digests = [Digest.parse(f"{kind}:{words[kind][0]}") for kind in ("sha256", "sha512") if kind in words]
    if not is_built(wheel) or not url or len(digests) != 1:
        raise Malformed(
            "DARI-LOCK-ADDRESS",
            f"{wheel.url[:300]!r} is not the address of an sdist with its digest",
            hint="run `dari lock` again; the lock is not written by hand",
        )
    return Sdist(wheel.name, wheel.version, url, digests[0], words.get("before", [""])[0])


def refused(release: Release, target: PythonTarget, line: str) -> Finding:
    """Return the finding for a version that has no wheel the target can use."""
    machine = f"Python {target.dotted} on {target.platform.machine} with glibc {target.glibc[0]}.{target.glibc[1]}"
    others = f" (it has {release.wheels_elsewhere} for others)" if release.wheels_elsewhere else ""
    build = (
        f'build = ["{release.name}"] in dari.toml, if it is pure Python: dari runs its build, which is the sdist\'s'
        " own code, on this host, and takes only a wheel without machine code"
    )
    return Finding(
        "DARI-LOCK-SDIST",
        Severity.ERROR,
        f"{release.name} {release.version} has no wheel for {machine}{others}"
        + (", only an sdist" * bool(release.sdist)),
        where=f"{release.name}=={release.version}",
        cause=line,
        ways_out=(
            *((build,) if release.sdist else ()),
            "pin a version that has a wheel",
            "build a wheel of it inside the base and name the file (./wheels/NAME.whl)",
            f'skip = ["{release.name}"] in dari.toml',
            "build the image with a container engine, where pip compiles inside the base",
        ),
    )


def sdist_from(release: Release, exclude_newer: str, folder: Path) -> Sdist:
    """Return the sdist of a release that has one, as the lock will name it."""
    if release.sdist is None:
        message = "only a release with an sdist is built"
        raise ValueError(message)
    times = [time for time in (release.sdist.uploaded, exclude_newer) if time]
    url = relative_address(release.sdist.url, folder)
    return Sdist(release.name, release.version, url, release.sdist.digest, min(times, default=""))


def built(sdist: Sdist, bench: Workbench, folder: Path) -> File:
    """Return the wheel of an sdist, from the cache or built now.

    Raises `ConflictError`: DARI-LOCK-COMPILES where it isn't pure Python, DARI-LOCK-BUILD where its build ends in an
    error; `OutsideError` and `IntegrityError` of the download.
    """
    kept = bench.store.record(_KIND, sdist.address)
    if kept is not None:
        document = json.loads(kept)
        digest = Digest.parse(document["digest"])
        if bench.store.holds(digest):
            return File(document["filename"], sdist.address, digest, document["size"], "")
    bench.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bench.work.resolve()) as name:
        wheel = _build(sdist, bench, folder, Path(name))
        packed = Path(name) / "packed.whl"
        with packed.open("wb") as target:
            repack(wheel, (sdist.name, sdist.version), target)
        filename = wheel.name
        with bench.store.writer() as writer, packed.open("rb") as stream:
            for chunk in chunks_of(stream):
                writer.write(chunk)
            size, digest = writer.size, writer.commit()
    document = {"filename": filename, "digest": str(digest), "size": size}
    bench.store.remember(_KIND, sdist.address, json.dumps(document).encode())
    return File(filename, sdist.address, digest, size, "")


def build_wheel(wheel: LockedWheel, folder: Path, bench: Workbench) -> Path:
    """Return the path of a locked wheel that is built from an sdist, building it where the cache lacks it.

    `folder` is the project's. Raises `IntegrityError` (DARI-LOCK-REBUILD) where this machine builds other bytes than
    the lock says; `ConflictError` and `OutsideError` as the build does.
    """
    if not bench.store.holds(wheel.digest, wheel.size):
        file = built(sdist_of(wheel), bench, folder)
        if file.digest != wheel.digest:
            raise IntegrityError(
                "DARI-LOCK-REBUILD",
                f"building {wheel.name} {wheel.version} from its sdist: this machine makes {file.digest}, "
                f"the lock says {wheel.digest}",
                hint="its build isn't reproducible: build the wheel once, keep the file with the project and name it "
                "in the requirements, or run `dari lock` again here",
            )
    return bench.store.path(wheel.digest)


def _build(sdist: Sdist, bench: Workbench, folder: Path, work: Path) -> Path:
    locked = LockedWheel(sdist.name, sdist.version, "", sdist.url, sdist.digest, 0, ())
    fetched = bench.fetcher.fetch(wheel_address(locked, folder), sdist.digest, label=sdist.url.rpartition("/")[2])
    source = work / sdist.url.rpartition("/")[2]
    shutil.copyfile(fetched, source)
    uv = Uv(folder, work, bench.offline, (canonicalize_name(sdist.name),), sdist.before)
    arguments = (
        "build",
        "--wheel",
        "--python",
        sys.executable,
        "--no-create-gitignore",
        "--out-dir",
        str(work / "out"),
    )
    try:
        answer = run_uv(uv, (*arguments, str(source)), environment=_ENVIRONMENT)
    except OutsideError as error:
        if error.id != "DARI-LOCK-UV":
            raise
        if _COMPILER_CALLED in error.hint:
            raise compiles((sdist.name, sdist.version), "its build calls a compiler") from error
        raise _failed(sdist, str(error), error.hint) from error
    wheels = sorted((work / "out").glob("*.whl"))
    if isinstance(answer, Unsatisfiable) or len(wheels) != 1:
        raise _failed(sdist, "it left no wheel", answer.derivation if isinstance(answer, Unsatisfiable) else "")
    return wheels[0]


def _failed(sdist: Sdist, reason: str, detail: str) -> ConflictError:
    return ConflictError(
        "DARI-LOCK-BUILD",
        f"building {sdist.name} {sdist.version} from its sdist: {reason}",
        hint="build the wheel yourself and name its file in the requirements, or use a container engine\n" + detail,
    )
