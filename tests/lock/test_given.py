"""What the base has is given: left out, never replaced, unless the project says so."""

from dataclasses import replace

import pytest

from dari.errors import ConflictError
from dari.values.finding import Severity
from dari.values.lock import Given
from dari.values.project import LockRules
from tests.lock import bases
from tests.lock.conftest import Place
from tests.lock.wheelhouse import wheel

PRE_RELEASE = (
    "resolving the requirements: torch>=2.6 is asked for (requirements.txt:1), and the base has torch "
    f"{bases.TORCH}, which PEP 440 sorts before 2.6.0: pip would replace the base's build by one from the index"
)


@pytest.mark.parametrize("line", ["torch", "torch>=2.4.0", "torch~=2.5", "torch<3", "torch[opt-einsum]>=2.4", "Torch"])
def test_an_ngc_build_of_torch_satisfies_what_it_is_newer_than(place: Place, line: str) -> None:
    """`2.6.0a0+df5bbc09d1.nv24.12` is given for torch>=2.4.0, local and pre-release parts and all."""
    found = place.resolve(line)
    assert (found.wheels, found.given) == ((), (Given("torch", bases.TORCH, line),))


def test_a_final_release_is_asked_for_and_the_base_has_its_pre_release(place: Place) -> None:
    """The message says what pip would do; the first way out is the one line that settles it."""
    with pytest.raises(ConflictError) as caught:
        place.resolve("torch>=2.6")
    assert (caught.value.id, str(caught.value)) == ("DARI-LOCK-CLASH", PRE_RELEASE)
    assert caught.value.findings[0].ways_out[0] == (
        'accept-prerelease = ["torch"] in dari.toml: the base\'s build counts as 2.6.0'
    )


def test_an_accepted_pre_release_counts_as_final_for_the_project_and_for_wheels(place: Place) -> None:
    """`accept-prerelease` satisfies torch>=2.6 in the project's lines and in a wheel's requirements."""
    wheel(place.house, "trainer", "1.0", "torch>=2.6")
    found = place.resolve("torch>=2.6", "trainer", rules=LockRules(accept_prerelease=("torch",)))
    assert [each.name for each in found.wheels] == ["trainer"]
    assert found.given == (Given("torch", bases.TORCH, "torch>=2.6"),)


def test_a_wheel_that_needs_the_final_release_names_the_same_way_out(place: Place) -> None:
    """The pre-release matters for Requires-Dist too: the chain and the one line are told."""
    wheel(place.house, "trainer", "1.0", "torch>=2.6")
    with pytest.raises(ConflictError) as caught:
        place.resolve("trainer")
    assert str(caught.value) == (
        "resolving the requirements: trainer (requirements.txt:1): trainer needs torch>=2.6, and the base has torch "
        f"{bases.TORCH}, which PEP 440 sorts before 2.6.0: pip would replace the base's build by one from the index"
    )
    assert caught.value.findings[0].ways_out[0].startswith('accept-prerelease = ["torch"]')


def test_only_what_the_base_lacks_is_added(place: Place) -> None:
    """A wheel is added, what it needs and the base has is not, and every wheel says which line led to it."""
    wheel(place.house, "trainer", "2.0", "torch>=2", "numpy", "plotter>=1", "fsspec[gcs]")
    wheel(place.house, "plotter", "1.5", "numpy<2", "missing; sys_platform == 'win32'")
    wheel(place.house, "gcsfs", "2024.5.0", "fsspec==2024.5.0")
    found = place.resolve("trainer", "plotter", "numpy<2", "pywin32; sys_platform == 'win32'")
    assert [(each.name, each.version, each.required_by) for each in found.wheels] == [
        ("gcsfs", "2024.5.0", ("trainer",)),
        ("plotter", "1.5", ("plotter", "trainer")),
        ("trainer", "2.0", ("trainer",)),
    ]
    assert found.given == (Given("numpy", "1.26.4", "numpy<2"),)


def test_an_extra_of_a_base_distribution_adds_what_it_lacks(place: Place) -> None:
    """`fsspec[gcs]` keeps the base's fsspec and adds gcsfs, which the extra asks for."""
    wheel(place.house, "gcsfs", "2024.5.0", "fsspec==2024.5.0")
    found = place.resolve("fsspec[http,gcs]")
    assert [(each.name, each.required_by) for each in found.wheels] == [("gcsfs", ("fsspec[http,gcs]",))]


def test_allow_replaces_one_distribution_of_the_base_and_warns_for_its_dependents(place: Place) -> None:
    """`allow = ["numpy"]` lets numpy go; the base's pandas that bounds it is warned of, nothing else is touched."""
    wheel(place.house, "numpy", "1.25.0")
    wheel(place.house, "pandas", "3.0")
    found = place.resolve("numpy<1.26", "pandas", rules=LockRules(allow=("NumPy",)))
    assert [(each.name, each.version) for each in found.wheels] == [("numpy", "1.25.0")]
    assert [(each.id, each.severity, each.message) for each in found.findings] == [
        (
            "DARI-LOCK-DEPENDENT",
            Severity.WARNING,
            "the base's pandas 2.2.2 asks for numpy>=1.26.0, and numpy 1.25.0 will be installed",
        )
    ]


def test_skip_leaves_a_requirement_out_and_says_so(place: Place) -> None:
    """A skipped line isn't resolved, not even where it would clash."""
    found = place.resolve("torch>=99", "numpy", rules=LockRules(skip=("torch",)))
    assert [each.name for each in found.given] == ["numpy"]
    assert [(each.id, each.message, each.where) for each in found.findings] == [
        ("DARI-LOCK-SKIPPED", "torch>=99 is left out", "requirements.txt:1")
    ]


def test_every_line_that_the_base_contradicts_is_told_at_once(place: Place) -> None:
    """One error carries a finding for each of the project's own lines, constraints included."""
    (place.folder / "limits.txt").write_text("pandas>2.3\n", encoding="utf-8")
    with pytest.raises(ConflictError) as caught:
        place.resolve("numpy>=2", "torch @ https://example.invalid/torch-3.0-py3-none-any.whl", "-c limits.txt")
    assert [finding.message for finding in caught.value.findings] == [
        "numpy>=2 is asked for (requirements.txt:1), and the base has numpy 1.26.4",
        (
            "torch @ https://example.invalid/torch-3.0-py3-none-any.whl (requirements.txt:2) would replace it, "
            f"and the base has torch {bases.TORCH}"
        ),
        "pandas>2.3 is asked for (limits.txt:1), and the base has pandas 2.2.2",
    ]
    assert str(caught.value).endswith("the base has numpy 1.26.4 (and 2 more)")


def test_a_clash_through_other_wheels_is_one_line_that_names_both_sides(place: Place) -> None:
    """The chain runs from the project's line to the base's version; uv's own words follow the ways out."""
    wheel(place.house, "hub", "1.0", "click>=8.4.2")
    wheel(place.house, "models", "5.0", "hub>=1.0")
    with pytest.raises(ConflictError) as caught:
        place.resolve("numpy", "models>=5")
    error = caught.value
    assert error.id == "DARI-LOCK-CLASH"
    assert str(error) == (
        "resolving the requirements: models>=5 (requirements.txt:2): models needs hub==1.0, hub needs click>=8.4.2, "
        "and the base has click 8.1.7"
    )
    assert error.findings[0].ways_out == (
        'allow = ["click"] in dari.toml, to replace the base\'s deliberately',
        "loosen 'models>=5' in requirements.txt:2, or skip = [\"models\"]",
        "choose a base that has another click (`dari inspect` shows what is in one)",
        "build the image with a container engine, which asks pip",
    )
    assert "uv's own words: Because" in error.hint


def test_a_clash_without_the_base_is_told_in_uvs_words(place: Place) -> None:
    """Two lines of the project that contradict each other have no base to blame."""
    wheel(place.house, "left", "1.0", "shared<2")
    for version in ("1.0", "2.0"):
        wheel(place.house, "shared", version)
    with pytest.raises(ConflictError) as caught:
        place.resolve("left", "shared>=2", base=bases.scratch())
    assert "left==1.0" in str(caught.value) or "left" in str(caught.value)
    assert "shared>=2" in str(caught.value)
    assert "base" not in str(caught.value)


def test_the_bases_constraint_file_binds_what_it_has_not(place: Place) -> None:
    """A line of the base's constraint file on a name the base lacks is kept to."""
    for version in ("1.0", "2.0"):
        wheel(place.house, "regexp", version)
    base = bases.inventory({"torch": bases.TORCH}, constraints=("regexp==1.0  # NVIDIA", "torch==0.1", "--option"))
    assert [each.version for each in place.resolve("regexp", base=base).wheels] == ["1.0"]
    freed = place.resolve("regexp", base=base, rules=LockRules(allow=("regexp",)))
    assert [each.version for each in freed.wheels] == ["2.0"]


def test_a_clash_with_the_bases_constraint_file_names_its_line(place: Place) -> None:
    """Both sides are named: the project's line, and the constraint with the file it stands in."""
    wheel(place.house, "regexp", "2.0")
    base = bases.inventory(
        {"torch": bases.TORCH},
        constraints=("regexp==1.0",),
        environment={"PIP_CONSTRAINT": "/etc/pip/constraint.txt"},
    )
    with pytest.raises(ConflictError) as caught:
        place.resolve("regexp>=2", base=base)
    assert str(caught.value) == (
        "resolving the requirements: regexp>=2 is asked for (requirements.txt:1), and the base's constraint file says "
        "regexp==1.0 (/etc/pip/constraint.txt)"
    )


def test_a_part_of_a_gpu_stack_never_slips_in_beside_the_bases(place: Place) -> None:
    """nvidia-* that leaks in through a wheel is refused, with the chain that leads to it."""
    wheel(place.house, "quantizer", "1.0", "kernels")
    wheel(place.house, "kernels", "1.0", "nvidia-cublas-cu12")
    wheel(place.house, "nvidia-cublas-cu12", "12.6")
    with pytest.raises(ConflictError) as caught:
        place.resolve("quantizer>=1")
    assert (caught.value.id, str(caught.value)) == (
        "DARI-LOCK-PROTECTED",
        (
            "resolving the requirements: nvidia-cublas-cu12 would be added beside the base's own GPU stack: "
            "quantizer>=1 → kernels → nvidia-cublas-cu12"
        ),
    )
    allowed = place.resolve("quantizer>=1", rules=LockRules(allow=("nvidia-cublas-cu12",)))
    assert [each.name for each in allowed.wheels] == ["kernels", "nvidia-cublas-cu12", "quantizer"]


def test_torchaudio_goes_on_to_be_looked_into_where_the_base_lacks_it(place: Place) -> None:
    """A protected name that may be added is locked like any other: its binaries are judged elsewhere."""
    wheel(place.house, "torchaudio", "2.11.0", "torch")
    assert [each.name for each in place.resolve("torchaudio").wheels] == ["torchaudio"]


def test_on_scratch_nothing_is_given_and_nothing_protected(place: Place) -> None:
    """Without a base the whole closure is locked, nvidia-* included."""
    wheel(place.house, "torch", "2.9", "nvidia-cublas-cu12", tag="cp312-cp312-manylinux_2_28_x86_64")
    wheel(place.house, "nvidia-cublas-cu12", "12.6")
    found = place.resolve("torch>=2.6", base=bases.scratch())
    assert [each.name for each in found.wheels] == ["nvidia-cublas-cu12", "torch"]
    assert (found.given, found.held_back, found.findings) == ((), (), ())


def test_the_first_of_two_copies_on_the_path_is_the_one_that_counts(place: Place) -> None:
    """As for Python's import: site directories in the order of sys.path."""
    base = bases.ngc()
    older = tuple(
        replace(each, version="0.1", location="usr/lib/python3/dist-packages")
        for each in base.distributions
        if each.name == "numpy"
    )
    found = place.resolve("numpy>=1", base=replace(base, distributions=(*older, *base.distributions)))
    assert found.given == (Given("numpy", "1.26.4", "numpy>=1"),)


def test_a_distribution_that_no_resolver_could_read_is_passed_over(place: Place) -> None:
    """A stranger's base may hold any metadata, a climbing name included: it neither stops nor misleads the rest."""
    base = bases.inventory({"../../escape": "1.0", "ancient": "not a version", "numpy": "1.26.4"})
    assert [each.name for each in place.resolve("numpy", base=base).given] == ["numpy"]


def test_nothing_asked_is_nothing_locked(place: Place) -> None:
    """A project without requirements needs no resolver at all."""
    found = place.offline().resolve(base=bases.scratch())
    assert (found.wheels, found.given, found.held_back, found.findings) == ((), (), (), ())


def test_what_the_base_holds_back_is_told_with_its_cause(place: Place) -> None:
    """The newer version's requirements are followed to the pin that they don't fit."""
    wheel(place.house, "datasets", "2.14.4")
    wheel(place.house, "datasets", "3.4.0", "reader>=2")
    wheel(place.house, "reader", "2.0", "fsspec[http]>=2024.9; python_version >= '3.9'")
    wheel(place.house, "unrelated", "1.0")
    found = place.resolve("datasets", "unrelated")
    assert [(each.name, each.version) for each in found.wheels] == [("datasets", "2.14.4"), ("unrelated", "1.0")]
    assert [(each.name, each.version, each.without_base, each.because) for each in found.held_back] == [
        ("datasets", "2.14.4", "3.4.0", "fsspec is 2024.5.0 in the base, and >=2024.9 is needed (through reader)")
    ]
