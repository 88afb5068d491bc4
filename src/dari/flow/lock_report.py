"""What a lock holds, as a report: what it adds, what the base already gives, what the base holds back."""

from pathlib import Path

from dari.values.amounts import bytes_text, plural
from dari.values.finding import Finding, Severity
from dari.values.lock import HeldBack, Lock, PlatformLock
from dari.values.report import Report, Section


def lock_report(path: Path, lock: Lock, *, written: bool, findings: tuple[Finding, ...]) -> Report:
    """Tell what is in the lock at `path`."""
    sections = tuple(section for one in lock.platforms for section in _sections(one))
    document = {
        "path": str(path),
        "changed": written,
        "base": lock.base,
        "platforms": [_document(one) for one in lock.platforms],
    }
    state = "written" if written else "up to date"
    return Report("lock", f"{path}: {state}, on {lock.base}", document, sections, (*findings, *held_back(lock)))


def held_back(lock: Lock) -> tuple[Finding, ...]:
    """Return a warning for each distribution that the base's own pins hold back."""
    return tuple(_held(one) for platform in lock.platforms for one in platform.held_back)


def _held(one: HeldBack) -> Finding:
    return Finding(
        "DARI-LOCK-HELD-BACK",
        Severity.WARNING,
        f"{one.name} {one.without_base} → {one.version}: {one.because}",
        ways_out=(f"accept {one.version}, or name what holds it in `allow`, to have it replaced",),
    )


def _sections(one: PlatformLock) -> tuple[Section, ...]:
    adds = (
        (plural(len(one.wheels), "wheel"), bytes_text(sum(wheel.size for wheel in one.wheels))),
        (plural(len(one.debs), "Debian package"), bytes_text(sum(deb.size for deb in one.debs))),
    )
    given = tuple((given.requirement, f"{given.name} {given.version}") for given in one.given)
    return (
        Section(f"{one.platform} adds", adds),
        *([Section("the base already satisfies", given)] if given else []),
    )


def _document(one: PlatformLock) -> dict[str, object]:
    return {
        "platform": str(one.platform),
        "manifest": str(one.manifest) if one.manifest else None,
        "python": one.python.dotted if one.python else None,
        "wheels": [{"name": w.name, "version": w.version, "size": w.size, "sha256": w.digest.hex} for w in one.wheels],
        "debs": [{"name": d.name, "version": d.version, "size": d.size, "sha256": d.digest.hex} for d in one.debs],
        "given": [{"requirement": g.requirement, "name": g.name, "version": g.version} for g in one.given],
        "held_back": [
            {"name": h.name, "version": h.version, "without_base": h.without_base, "because": h.because}
            for h in one.held_back
        ],
    }
