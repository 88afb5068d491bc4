"""What a deliberate replacement leaves behind: whiteouts for the base's own copy of a distribution."""

from collections import Counter
from collections.abc import Iterable

from packaging.utils import canonicalize_name

from dari.values.digest import Digest
from dari.values.entry import Entry, Kind, Part
from dari.values.inventory import Distribution, Inventory
from dari.values.python import PythonTarget


def replaced_part(inventory: Inventory, names: Iterable[str], target: PythonTarget) -> Part | None:
    """Return the part that removes the base's `names` from where their new versions go; None where nothing is there.

    Without it two versions' files would lie in one package, and two .dist-info beside each other. It belongs in a
    layer below the new wheels. A name that another distribution has too (a namespace package) stays; so does what
    Debian's own packages brought, which lies in a directory of its own, later on sys.path.
    """
    wanted = {canonicalize_name(name) for name in names}
    places = {target.scheme.purelib, target.scheme.platlib}
    there = [one for one in inventory.distributions if one.location in places]
    owners = Counter(name for one in there for name in _top_level(one))
    leaving = [one for one in there if canonicalize_name(one.name) in wanted]
    paths = sorted({f"{one.location}/{name}" for one in leaving for name in _top_level(one) if owners[name] == 1})
    if not paths:
        return None
    entries = tuple(Entry(path, Kind.WHITEOUT, 0) for path in paths)
    title = "replaced: " + ", ".join(sorted(f"{one.name} {one.version}" for one in leaving))
    return Part(title, f"replaced:1:{Digest.of(chr(0).join(paths).encode())}", 0, lambda: entries)


def _top_level(one: Distribution) -> set[str]:
    """Return the names directly below the site directory that a distribution has, its .dist-info included."""
    prefix = one.location + "/"
    return {path.removeprefix(prefix).partition("/")[0] for path in one.paths if path.startswith(prefix)}
