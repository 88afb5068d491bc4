"""Who requires whom: from the project's own lines through the wheels' requirements, for the target's environment."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from dari.lock.requirements import Line
from dari.values.python import PythonTarget


@dataclass(frozen=True, slots=True)
class Graph:
    """`required_by` are the project's lines that lead to a name, `chains` one shortest way there, name by name."""

    required_by: Mapping[str, tuple[str, ...]]
    chains: Mapping[str, tuple[str, ...]]


def environment(target: PythonTarget) -> dict[str, str]:
    """Return the marker environment (PEP 508) of the target, as uv sees it: a patch version of 0."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{target.dotted}.0",
        "os_name": "posix",
        "platform_machine": target.platform.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{target.dotted}.0",
        "python_version": target.dotted,
        "sys_platform": "linux",
        "extra": "",
    }


def applies(requirement: Requirement, values: Mapping[str, str], extras: frozenset[str] = frozenset()) -> bool:
    """Say whether a requirement counts in the environment with these extras asked for."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**values, "extra": extra}) for extra in ("", *sorted(extras)))


def walk(lines: tuple[Line, ...], requires: Mapping[str, tuple[str, ...]], values: Mapping[str, str]) -> Graph:
    """Walk from every line to whatever it leads to. `requires` has the Requires-Dist lines of each name."""
    parsed = {name: tuple(parsed_lines(texts)) for name, texts in requires.items()}
    required_by: dict[str, list[str]] = {}
    chains: dict[str, tuple[str, ...]] = {}
    for line in lines:
        start = (line.name, frozenset(line.requirement.extras))
        waiting: deque[tuple[tuple[str, frozenset[str]], tuple[str, ...]]] = deque([(start, (line.text,))])
        seen = {start}
        while waiting:
            (name, extras), chain = waiting.popleft()
            texts = required_by.setdefault(name, [])
            if line.text not in texts:
                texts.append(line.text)
            if name not in chains or len(chain) < len(chains[name]):
                chains[name] = chain
            for requirement in parsed.get(name, ()):
                following: tuple[str, frozenset[str]] = (
                    canonicalize_name(requirement.name),
                    frozenset(requirement.extras),
                )
                if following not in seen and applies(requirement, values, extras):
                    seen.add(following)
                    waiting.append((following, (*chain, following[0])))
    return Graph({name: tuple(sorted(texts)) for name, texts in required_by.items()}, chains)


def parsed_lines(texts: tuple[str, ...]) -> Iterator[Requirement]:
    """Read Requires-Dist lines; one that no resolver could read counts for nothing."""
    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement:
            continue
