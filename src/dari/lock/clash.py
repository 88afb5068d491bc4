"""Turning a contradiction into one line that names both sides, and the ways out.

Two sources: the project's own lines against what the base has (found before uv runs, all of them at once), and uv's
derivation ("Because A depends on B>=2 and B==1, …"), which is walked from a line of the project to the pin it meets.
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from dari.errors import ConflictError
from dari.lock.given import BasePython, Held
from dari.lock.refusal import refusal
from dari.lock.requirements import Line, Requested
from dari.values.finding import Finding, Severity
from dari.values.protection import is_protected_distribution

_NAME: Final = r"[A-Za-z0-9][\w.-]*(?:\[[\w,.-]+\])?"
_RANGE: Final = r"(?:(?:===|[<>=!~]=?)[^\s,]+(?:,(?:[<>=!~]=?)[^\s,]+)*)?"
_DEPENDS: Final = re.compile(
    rf"(?P<who>{_NAME}?)(?P<when>{_RANGE}) depends? on (?:one of: )?(?P<what>{_NAME}?)(?P<range>{_RANGE})(?=[\s,]|$)"
)
_VERSION: Final = re.compile(r"(?<==|<|>|~)(\d+(?:\.\d+)*)")
_MOST_LINES: Final = 16


@dataclass(frozen=True, slots=True)
class _Edge:
    who: str
    when: str
    what: str
    range: str

    @property
    def newest(self) -> Version:
        """The newest version that its range of dependents names."""
        return max((Version(found) for found in _VERSION.findall(self.when)), default=Version("0"))

    @property
    def text(self) -> str:
        return f"{self.who}{self.when} needs {self.what}{self.range}"


def own_clashes(requested: Requested, base: BasePython) -> tuple[Finding, ...]:
    """Return a finding for each line of the project that the base's own version doesn't satisfy."""
    findings: list[Finding] = []
    for line in (*requested.lines, *requested.constraints):
        held = base.held.get(line.name)
        if held is None:
            continue
        if line.requirement.url is not None:
            findings.append(_finding(f"{line.text} ({line.where}) would replace it", held, line, early=False))
        elif not line.requirement.specifier.contains(held.version, prereleases=True):
            early = line.requirement.specifier.contains(held.version.base_version, prereleases=True)
            findings.append(_finding(f"{line.text} is asked for ({line.where})", held, line, early=early))
    return tuple(findings)


def contradiction(derivation: str, requested: Requested, base: BasePython) -> ConflictError:
    """Return the error (DARI-LOCK-CLASH) for uv's derivation: the one line, the ways out, and uv's own words."""
    detail = f"uv's own words: {_shortened(derivation)}"
    return refusal("resolving the requirements", (_read(derivation, requested, base),), detail=detail)


def _read(derivation: str, requested: Requested, base: BasePython) -> Finding:
    """Read uv's derivation into the one contradiction that matters: the chain from a line to what it meets."""
    text = re.sub(r"\s+", " ", derivation)
    edges = _edges(text)
    lines = {line.name: line for line in reversed(requested.lines)}
    # Of the versions that uv tried in turn, the newest one's demand is the one worth telling.
    bad = [edge for edge in edges if edge.what in base.held and not _fits(edge.range, base.held[edge.what].version)]
    if bad:
        worst = max(bad, key=lambda edge: edge.newest)
        chain = _chain(edges, lines, worst)
        line = lines.get(chain[0].who)
        asked = f"{line.text} ({line.where}): " if line else ""
        held = base.held[worst.what]
        early = _fits(worst.range, Version(held.version.base_version))
        return _finding(asked + ", ".join(step.text for step in chain), held, line, early=early)
    for constraint in base.constraints:
        if f"{constraint.name}{constraint.requirement.specifier}" in text:
            return _constraint_finding(constraint, lines.get(constraint.name), edges)
    return _plain_finding(text, lines)


def _edges(text: str) -> tuple[_Edge, ...]:
    found: list[_Edge] = []
    for match in _DEPENDS.finditer(text):
        if match["who"] and match["what"]:
            who, what = (canonicalize_name(match[part].partition("[")[0]) for part in ("who", "what"))
            found.append(_Edge(who, match["when"], what, match["range"]))
    return tuple(found)


def _fits(range_: str, version: Version) -> bool:
    try:
        return SpecifierSet(range_).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _shortened(detail: str) -> str:
    lines = detail[max(detail.find("cause:"), 0) :].removeprefix("cause:").strip().splitlines()
    if len(lines) > _MOST_LINES:
        half = _MOST_LINES // 2
        lines = [*lines[:half], f"         … {len(lines) - 2 * half} lines …", *lines[-half:]]
    return "\n".join(lines)


def _chain(edges: tuple[_Edge, ...], lines: dict[str, Line], last: _Edge) -> tuple[_Edge, ...]:
    """Return the shortest way, edge by edge, from a line of the project to `last`."""
    waiting: deque[tuple[_Edge, ...]] = deque([(last,)])
    seen = {last.who}
    while waiting:
        chain = waiting.popleft()
        if chain[0].who in lines:
            return chain
        for edge in edges:
            if edge.what == chain[0].who and edge.who not in seen:
                seen.add(edge.who)
                waiting.append((edge, *chain))
    return (last,)


def _finding(demand: str, held: Held, line: Line | None, *, early: bool) -> Finding:
    """Return the finding; `early` says that the base's version would do, were it no pre-release."""
    message = f"{demand}, and the base has {held.name} {held.shown}"
    ways: list[str] = []
    if early and held.version.is_prerelease:
        final = held.version.base_version
        message += f", which PEP 440 sorts before {final}: pip would replace the base's build by one from the index"
        ways.append(f'accept-prerelease = ["{held.name}"] in dari.toml: the base\'s build counts as {final}')
    caution = " (it belongs to the base's GPU stack)" if is_protected_distribution(held.name) else ""
    ways.append(f'allow = ["{held.name}"] in dari.toml, to replace the base\'s deliberately{caution}')
    if line is not None:
        ways.append(f'loosen {line.text!r} in {line.where}, or skip = ["{line.name}"]')
    ways.append(f"choose a base that has another {held.name} (`dari inspect` shows what is in one)")
    ways.append("build the image with a container engine, which asks pip")
    return Finding(
        "DARI-LOCK-CLASH",
        Severity.ERROR,
        message,
        where=line.where if line else "",
        cause=line.text if line else "",
        ways_out=tuple(ways),
    )


def _constraint_finding(constraint: Line, line: Line | None, edges: tuple[_Edge, ...]) -> Finding:
    demand = next((edge.text for edge in edges if edge.what == constraint.name), "")
    asked = f"{line.text} is asked for ({line.where})" if line else demand or "a requirement needs another version"
    return Finding(
        "DARI-LOCK-CLASH",
        Severity.ERROR,
        f"{asked}, and the base's constraint file says {constraint.text} ({constraint.where})",
        where=line.where if line else constraint.where,
        cause=line.text if line else "",
        ways_out=(
            f'allow = ["{constraint.name}"] in dari.toml, to pass over that line of the base\'s constraint file',
            f"ask for a version of {constraint.name} that the line admits",
            "choose another base (`dari inspect` shows what is in one)",
        ),
    )


def _plain_finding(text: str, lines: dict[str, Line]) -> Finding:
    reason = text.partition("cause: ")[2].partition(" hint:")[0] or text
    line = next(
        (line for name, line in lines.items() if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", reason)), None
    )
    return Finding(
        "DARI-LOCK-CLASH",
        Severity.ERROR,
        reason[:400],
        where=line.where if line else "",
        cause=line.text if line else "",
        ways_out=("loosen one of the requirements it names", "build the image with a container engine"),
    )
