"""What goes when a base's distribution is replaced on purpose, and what stays."""

from dataclasses import replace

from dari.bases import scratch_inventory
from dari.values.entry import Kind
from dari.values.inventory import Distribution, Inventory
from dari.wheels import replaced_part
from tests.support.python_wheels import TARGET

SITE = TARGET.scheme.purelib
ELSEWHERE = "usr/lib/python3/dist-packages"


def base(*distributions: tuple[str, str, tuple[str, ...]]) -> Inventory:
    """Return an inventory with distributions of (name, site directory, top-level names)."""
    made = tuple(
        Distribution(name, "1.0", site, (), tuple(f"{site}/{top}" for top in tops), protected=False)
        for name, site, tops in distributions
    )
    return replace(scratch_inventory(TARGET.platform, ()), distributions=made)


def removed(inventory: Inventory, *names: str) -> list[str]:
    """Return the paths that the part whites out, relative to the site directory."""
    part = replaced_part(inventory, names, TARGET)
    entries = part.entries() if part else ()
    assert all(entry.kind is Kind.WHITEOUT for entry in entries)
    return [entry.path.removeprefix(f"{SITE}/") for entry in entries]


def test_package_libraries_and_metadata_go() -> None:
    """Everything at the top that is the distribution's own is removed, by normalised name."""
    inventory = base(("NumPy", SITE, ("numpy", "numpy.libs", "numpy-1.0.dist-info")), ("six", SITE, ("six.py",)))
    assert removed(inventory, "numpy") == ["numpy", "numpy-1.0.dist-info", "numpy.libs"]


def test_a_namespace_that_others_share_stays() -> None:
    """A name that a second distribution has too is not removed: protobuf and google-auth both have `google`."""
    inventory = base(
        ("protobuf", SITE, ("google", "protobuf-1.0.dist-info")),
        ("google-auth", SITE, ("google", "google_auth-1.0.dist-info")),
    )
    assert removed(inventory, "protobuf") == ["protobuf-1.0.dist-info"]


def test_what_debian_installed_stays() -> None:
    """A copy in Debian's own directory comes later on sys.path and belongs to dpkg."""
    assert removed(base(("numpy", ELSEWHERE, ("numpy",))), "numpy") == []


def test_nothing_there_is_no_part() -> None:
    """A name that the base doesn't have needs no layer."""
    assert replaced_part(base(), ("numpy",), TARGET) is None
