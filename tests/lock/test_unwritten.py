"""What needs more than its metadata says: an older version where there is one, a warning where there is none."""

import pytest

from dari.values.finding import Severity
from tests.lock import bases
from tests.lock.conftest import Place
from tests.lock.wheelhouse import wheel


def test_an_older_version_is_taken_for_the_bases_sake(place: Place) -> None:
    """pyarrow 26 can't be imported beside the base's numpy 1.26: 25 is taken, reported as held back, with a note."""
    for version in ("25.0.0", "26.0.1"):
        wheel(place.house, "pyarrow", version)
    found = place.resolve("pyarrow")
    assert [one.version for one in found.wheels] == ["25.0.0"]
    assert [(one.name, one.version, one.without_base) for one in found.held_back] == [("pyarrow", "25.0.0", "26.0.1")]
    assert found.held_back[0].because == "numpy is 1.26.4 in the base, and >=2 is needed"
    note = next(one for one in found.findings if one.id == "DARI-LOCK-UNWRITTEN")
    assert note.severity is Severity.NOTE
    assert note.message == (
        "pyarrow 26.0.1 needs numpy>=2, which its metadata doesn't require, and numpy is 1.26.4 here: "
        "pyarrow 25.0.0 is taken"
    )


def test_a_pre_release_of_torch_turns_a_newer_transformers_off(place: Place) -> None:
    """transformers 5.20 compares versions as PEP 440 does: NGC's 2.6.0a0 is before 2.6, so 5.19 is taken."""
    for version in ("5.19.0", "5.20.0"):
        wheel(place.house, "transformers", version)
    assert [one.version for one in place.resolve("transformers", "torch").wheels] == ["5.19.0"]


def test_what_is_pinned_is_kept_with_a_warning(place: Place) -> None:
    """Where the project leaves no older version dari does as told, and says what will happen and the ways out."""
    wheel(place.house, "pyarrow", "26.0.1")
    found = place.resolve("pyarrow==26.0.1")
    assert [one.version for one in found.wheels] == ["26.0.1"]
    warning = next(one for one in found.findings if one.id == "DARI-LOCK-UNWRITTEN")
    assert warning.severity is Severity.WARNING
    assert "importing it fails" in warning.message
    assert warning.ways_out == (
        "let the requirements accept pyarrow<26",
        'allow = ["numpy"] in dari.toml, to let dari replace the base\'s',
    )


@pytest.mark.parametrize(("numpy", "expected"), [("numpy<2", "25.0.0"), ("numpy", "26.0.1")])
def test_on_scratch_it_is_the_projects_own_numpy_that_counts(place: Place, numpy: str, expected: str) -> None:
    """Without a base the same holds for what the project itself brings."""
    for name, versions in {"pyarrow": ("25.0.0", "26.0.1"), "numpy": ("1.26.4", "2.4.6")}.items():
        for version in versions:
            wheel(place.house, name, version)
    found = place.resolve("pyarrow", numpy, base=bases.inventory({}))
    assert {one.name: one.version for one in found.wheels}["pyarrow"] == expected


def test_what_fits_is_left_alone(place: Place) -> None:
    """An old version, or one on a base that has what it needs, brings no finding."""
    wheel(place.house, "pyarrow", "26.0.1")
    found = place.resolve("pyarrow", base=bases.inventory({"numpy": "2.1.0"}))
    assert [one.version for one in found.wheels] == ["26.0.1"]
    assert not [one for one in found.findings if one.id == "DARI-LOCK-UNWRITTEN"]
