"""Which file is taken, from where, and how it is written down."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from dari.errors import ConflictError, IntegrityError, OutsideError
from dari.lock import wheel_address
from dari.values.platform import Platform
from tests.lock import bases
from tests.lock.conftest import Place
from tests.lock.wheelhouse import wheel


def test_the_best_wheel_of_the_targets_tags_is_taken(place: Place) -> None:
    """The most specific tag that the base's Python and glibc run wins; the rest stay where they are."""
    for tag in (
        "py3-none-any",
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp312-cp312-manylinux_2_17_x86_64",
        "cp312-cp312-manylinux_2_28_aarch64",
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp312-cp312-musllinux_1_2_x86_64",
    ):
        wheel(place.house, "fast", "1.0", tag=tag)
    found = place.resolve("fast").wheels[0]
    assert found.filename == "fast-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
    older = replace(bases.TARGET, glibc=(2, 27))
    assert place.resolve("fast", target=older).wheels[0].filename == "fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    arm = replace(bases.TARGET, platform=Platform("linux", "arm64"))
    assert place.resolve("fast", target=arm).wheels[0].filename == "fast-1.0-cp312-cp312-manylinux_2_28_aarch64.whl"


def test_a_python_that_this_host_has_not_is_resolved_for(place: Place) -> None:
    """The target's version decides markers and wheels, whatever Python runs dari."""
    wheel(place.house, "fast", "1.0", "old; python_version < '3.15'", "new; python_full_version >= '3.15'")
    wheel(place.house, "old", "1.0")
    wheel(place.house, "new", "1.0", tag="cp315-cp315-manylinux_2_28_x86_64")
    found = place.resolve("fast", target=replace(bases.TARGET, version=(3, 15)))
    assert [(each.name, each.required_by) for each in found.wheels] == [("fast", ("fast",)), ("new", ("fast",))]


def test_a_wheel_of_the_project_is_written_down_relative_to_it(place: Place) -> None:
    """A local wheel's address is the same in every checkout; its digest and size are those of the file."""
    path = wheel(place.folder / "wheels", "mine", "1.0+local", "numpy")
    found = place.resolve("./wheels/mine-1.0+local-py3-none-any.whl").wheels
    assert [(each.name, each.version, each.url) for each in found] == [
        ("mine", "1.0+local", "file:wheels/mine-1.0%2Blocal-py3-none-any.whl")
    ]
    assert found[0].digest.hex == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found[0].size == path.stat().st_size
    assert wheel_address(found[0], place.folder) == path.resolve().as_uri()
    assert found[0].required_by == ("./wheels/mine-1.0+local-py3-none-any.whl",)


@pytest.mark.parametrize(
    "line",
    [
        "mine @ file:wheels/mine-1.0-py3-none-any.whl",
        "file:./wheels/mine-1.0-py3-none-any.whl",
        "mine @ {uri}",
        "{uri}",
    ],
)
def test_a_local_wheel_may_be_named_in_every_way_that_pip_knows(place: Place, line: str) -> None:
    """A path, a file: address, with a name or without."""
    uri = wheel(place.folder / "wheels", "mine", "1.0").resolve().as_uri()
    found = place.resolve(line.format(uri=uri)).wheels
    assert [(each.name, each.url) for each in found] == [("mine", "file:wheels/mine-1.0-py3-none-any.whl")]


def test_a_wheel_for_another_platform_only_is_named(place: Place) -> None:
    """A version whose wheels don't fit is a conflict that says for what there are wheels."""
    path = wheel(place.folder / "wheels", "mine", "1.0", tag="cp310-cp310-win_amd64")
    with pytest.raises((ConflictError, OutsideError)) as caught:
        place.resolve(f"./wheels/{path.name}")
    assert "mine" in str(caught.value)


def test_hashes_of_the_requirements_are_insisted_on(place: Place) -> None:
    """A line's --hash values must have the digest of the file chosen."""
    digest = hashlib.sha256(wheel(place.house, "mine", "1.0").read_bytes()).hexdigest()
    good = place.resolve("mine==1.0 \\", f"    --hash=sha256:{'0' * 64} \\", f"    --hash=sha256:{digest}")
    assert good.wheels[0].digest.hex == digest
    with pytest.raises(IntegrityError) as caught:
        place.resolve(f"mine==1.0 --hash=sha256:{'0' * 64}")
    assert caught.value.id == "DARI-LOCK-HASH"


def test_two_runs_are_equal_wherever_the_project_lies(new_place: Callable[[str], Place]) -> None:
    """Two machines with the same inputs write the same resolution."""
    found = []
    for name in ("one", "another-place"):
        place = new_place(name)
        for version in ("1.0", "1.1"):
            wheel(place.house, "a-b.c", version, "d[e]>0")
        wheel(place.house, "d", "3", "f; extra == 'e'")
        wheel(place.house, "f", "4")
        found.append(place.resolve("A_b.C", "f"))
    assert found[0] == found[1]
    assert next(each.url for each in found[0].wheels).startswith("file:house/")


def test_settings_of_the_users_uv_do_not_change_the_meaning(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """UV_CONSTRAINT and its like are switched off: a lock depends on the project alone."""
    for version in ("1.0", "2.0"):
        wheel(place.house, "mine", version)
    limits = place.folder / "limits.txt"
    limits.write_text("mine<2\n", encoding="utf-8")
    for name in ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE"):
        monkeypatch.setitem(os.environ, name, str(limits))
    monkeypatch.setitem(os.environ, "UV_NO_BUILD", "1")
    assert place.resolve("mine").wheels[0].version == "2.0"
