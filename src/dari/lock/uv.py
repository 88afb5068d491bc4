"""Running uv: which program, under which settings, for how long, and what its failures mean."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dari.errors import ConflictError, DariError, OutsideError, UsageError
from dari.lock.addresses import without_secrets
from dari.lock.guard import REFUSAL, guarded
from dari.lock.refusal import refusal
from dari.system import Completed, run
from dari.values.finding import Finding, Severity
from dari.values.python import PythonTarget

DEADLINE: Final = 600.0  # seconds for one resolution: a cold one over a slow index takes minutes, never ten
# Settings of the user's uv that would change what a resolution means; an empty text switches each off.
# Where packages come from (UV_INDEX…, uv.toml, credentials, proxies, certificates) stays the user's own.
_NEUTRAL: Final = {
    **dict.fromkeys(
        ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT", "UV_PYTHON", "UV_TARGET"), ""
    ),
    "UV_NO_BUILD": "0",
}
# The glibc versions that uv 0.13 has a --python-platform for (uv pip install --help).
_MANYLINUX: Final = (17, 28, *range(31, 41))
_UNREACHABLE: Final = re.compile(
    r"error sending request|Failed to fetch|Request failed|Could not connect|dns error|operation timed out|"
    r"connection (?:closed|reset|refused)",
    re.IGNORECASE,
)
_REFUSED: Final = re.compile(r"Failed to (?:download and )?build `([^`]+)`")
# uv breaks its lines at the terminal's width, anywhere between two words.
_UNKNOWN: Final = re.compile(
    r"ecause (\S+) was not found in the (?:package registry|provided package locations)".replace(" ", r"[\s│]+")
)
_OFFLINE: Final = re.compile(r"network[\s│]+was[\s│]+disabled")


@dataclass(frozen=True, slots=True)
class Uv:
    """How uv is to be run: whose folder's settings hold, where its files go, which names may be built here."""

    directory: Path
    work: Path
    offline: bool
    permitted: tuple[str, ...] = ()
    exclude_newer: str = ""


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """The requirements contradict each other: uv's own derivation of it."""

    derivation: str


def run_uv(
    uv: Uv, arguments: tuple[str, ...], *, environment: Mapping[str, str] | None = None
) -> Completed | Unsatisfiable:
    """Run uv to a good end, or to its proof that there is no solution.

    Raises `ConflictError` DARI-LOCK-SDIST where a build would have to run; `UsageError`
    DARI-LOCK-UNKNOWN for a name that no index has; `OutsideError` DARI-LOCK-INDEX, DARI-LOCK-OFFLINE, DARI-LOCK-UV,
    DARI-PROGRAM-TIMEOUT.
    """
    from uv import find_uv_bin  # noqa: PLC0415 - loaded only where it is used

    argv = (
        find_uv_bin(),
        *arguments,
        "--no-progress",
        "--color=never",
        *(("--offline",) if uv.offline else ()),
        *(("--exclude-newer", uv.exclude_newer) if uv.exclude_newer else ()),
    )
    settings = {"UV_PYTHON_DOWNLOADS": "never", **_NEUTRAL, **guarded(uv.work, uv.permitted), **(environment or {})}
    completed = run(argv, environment=settings, directory=uv.directory, timeout=DEADLINE)
    if not completed.status:
        return completed
    text = without_secrets(completed.stderr).strip()
    if "No solution found" in text and not _OFFLINE.search(text) and not _UNKNOWN.search(text):
        return Unsatisfiable(text)
    raise _failure(completed.status, text)


def target_arguments(target: PythonTarget) -> tuple[str, ...]:
    """Return the options that make uv resolve for `target`, whatever Python and machine it runs on."""
    minor = max((known for known in _MANYLINUX if known <= target.glibc[1]), default=_MANYLINUX[0])
    return (
        "--python",
        sys.executable,
        "--python-version",
        target.dotted,
        "--python-platform",
        f"{target.platform.machine}-manylinux_2_{minor}",
    )


def _failure(status: int, text: str) -> DariError:
    if REFUSAL in text:
        return _refused_build(text)
    if _OFFLINE.search(text):
        return OutsideError(
            "DARI-LOCK-OFFLINE",
            f"resolving without the network: {_last_reason(text)}",
            hint="run `dari lock` once with the network; after that its answers are in uv's cache",
        )
    if unknown := _UNKNOWN.search(text):
        return UsageError(
            "DARI-LOCK-UNKNOWN",
            f"resolving the requirements: no index has a distribution named {unknown.group(1)!r}",
            hint="correct the name, or name the index that has it (--extra-index-url, or uv.toml)",
        )
    if _UNREACHABLE.search(text):
        return OutsideError(
            "DARI-LOCK-INDEX",
            f"resolving the requirements: the package index does not answer: {_first_cause(text)}",
            hint="check the network, the proxy and the index in uv.toml; then run the command again",
            temporary=True,
        )
    return OutsideError(
        "DARI-LOCK-UV",
        f"resolving the requirements: uv ended with status {status}: {_first_cause(text)}",
        hint="its whole output:\n" + text[-2000:],
    )


def _refused_build(text: str) -> ConflictError:
    """Return the error for an sdist whose code uv would have had to run."""
    found = _REFUSED.search(text)
    what = found.group(1) if found else "a requirement"
    name = re.split(r"[=<>!~ @]", what)[0]
    finding = Finding(
        "DARI-LOCK-SDIST",
        Severity.ERROR,
        f"{what} has no wheel, and what it requires can only be known by running its build on this host",
        where=what,
        ways_out=(
            f'build = ["{name}"] in dari.toml, if you trust its code and it is pure Python',
            f"pin a version of {name} that has a wheel (an old version: pins led uv back to it)",
            f'skip = ["{name}"] in dari.toml',
            "build the image with a container engine",
        ),
    )
    return refusal("resolving the requirements", (finding,))


def _first_cause(text: str) -> str:
    causes = [line.strip().removeprefix("cause:").strip() for line in text.splitlines() if "cause:" in line]
    errors = [line.removeprefix("error:").strip() for line in text.splitlines() if line.startswith("error:")]
    return "; ".join((*errors[:1], *causes[:1])) or text[:200] or "it said nothing"


def _last_reason(text: str) -> str:
    reasons = [line.strip() for line in text.splitlines() if "ecause" in line]
    return reasons[0].removeprefix("cause:").strip() if reasons else _first_cause(text)
