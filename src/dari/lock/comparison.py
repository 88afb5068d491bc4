"""The same resolution without the base: what it holds back, and whether that is why only an sdist is left."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dari.errors import ConflictError, DariError
from dari.lock.case import Case
from dari.lock.files import File, Release
from dari.lock.graph import environment
from dari.lock.held_back import causes, held_back, lower_than
from dari.lock.metadata import requirements_of
from dari.lock.plan import releases, versions_without
from dari.lock.refusal import refusal
from dari.values.finding import Finding, Severity
from dari.values.lock import HeldBack


@dataclass(frozen=True, slots=True)
class _Comparison:
    newer: Mapping[str, str]
    because: Mapping[str, str]
    candidates: tuple[Release, ...]


def what_is_held_back(
    case: Case, versions: Mapping[str, str], files: Mapping[str, File]
) -> tuple[tuple[HeldBack, ...], tuple[Finding, ...]]:
    """Return what is older only because of the base, or a note that it couldn't be found out."""
    found = _compared(case, versions)
    if isinstance(found, str):
        note = Finding(
            "DARI-LOCK-COMPARISON",
            Severity.NOTE,
            f"what the base holds back isn't known: resolving without it: {found[:300]}",
        )
        return (), (note,)
    chosen = requirements_of({name: files[name] for name in found.newer}, case.bench)
    later = {it.name: it.wheel for it in found.candidates if it.wheel and it.name in found.newer}
    return held_back(versions, found.newer, found.because, chosen, requirements_of(later, case.bench)), ()


def raise_with_reason(case: Case, error: ConflictError) -> None:
    """Raise a refusal of sdists anew where the base alone made uv go back to their versions, saying so; else return.

    vllm 0.1.3 without a wheel is not the trouble; that the base's torch shuts out the newer ones is.
    """
    refused = dict(_release(finding) for finding in error.findings if finding.id == "DARI-LOCK-SDIST")
    try:
        found = _compared(case, refused)
    except DariError:
        return  # the reason would have been a help; what is wrong is known without it
    if not isinstance(found, str) and found.newer:
        raise refusal(
            "resolving the requirements", tuple(_explained(each, found) for each in error.findings)
        ) from error


def _compared(case: Case, versions: Mapping[str, str]) -> _Comparison | str:
    if not case.base.held or not versions:
        return _Comparison({}, {}, ())
    without = versions_without(case.base, case.requested, case.target, case.uv)
    if isinstance(without, str):
        return without
    newer = lower_than(versions, without)
    if not newer:
        return _Comparison({}, {}, ())
    candidates = releases(without, case.requested, case.target, case.uv)
    because = causes(newer, candidates, case.base, environment(case.target), case.bench)
    return _Comparison(newer, because, candidates)


def _release(finding: Finding) -> tuple[str, str]:
    name, _, version = finding.where.partition("==")
    return name, version


def _explained(finding: Finding, found: _Comparison) -> Finding:
    name, version = _release(finding)
    if name not in found.newer:
        return finding
    newest = f"{name} {found.newer[name]}"
    reason = found.because.get(name, "the base's pins shut it out")
    return replace(
        finding,
        message=f"{finding.message}; it came to {version} because {newest} doesn't fit the base: {reason}",
        ways_out=(f"settle what keeps {newest} off: `allow`, `accept-prerelease` or another base", *finding.ways_out),
    )
