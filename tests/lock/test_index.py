"""The real index: the guide's requirements on an NGC-shaped base, as of a fixed day."""

from collections.abc import Callable

import pytest

from dari.errors import ConflictError
from dari.lock import build_wheel, is_built
from dari.values.digest import Digest
from dari.values.project import LockRules
from dari.values.protection import is_protected_distribution
from tests.lock import bases
from tests.lock.conftest import Place

pytestmark = pytest.mark.system

DAY = "2026-11-20T00:00:00Z"
GUIDE = (
    "torch>=2.4.0",
    "torchvision",
    "torchaudio",
    "transformers",
    "datasets",
    "accelerate",
    "evaluate",
    "tokenizers",
    "deepspeed",
    "mpi4py",
    "sentencepiece",
    "protobuf",
    "numpy<2",
    "pandas",
    "tqdm",
    "pyyaml",
    "boto3",
    "fsspec",
    "huggingface_hub",
    "psutil",
    "py-cpuinfo",
    "flash-attn",
)
GIVEN = {
    "flash-attn",
    "fsspec",
    "numpy",
    "pandas",
    "protobuf",
    "psutil",
    "pyyaml",
    "torch",
    "torchvision",
    "tqdm",
}  # fmt: skip


def test_the_guides_requirements_give_the_right_delta(new_place: Callable[[str], Place]) -> None:
    """No torch, no nvidia-*, nothing the base has; deepspeed from its sdist; the second time offline, the same."""
    rules = LockRules(build=("deepspeed",), exclude_newer=DAY)
    place = new_place("here")
    found = place.resolve(*GUIDE, rules=rules, index=True)
    names = [each.name for each in found.wheels]
    assert names == sorted(set(names))
    assert {each.name for each in found.given} == GIVEN
    assert not {name for name in names if is_protected_distribution(name)} - {"torchaudio"}
    assert not set(names) & {base.lower().replace("_", "-") for base in bases.NGC}
    asked = {line.partition(">")[0].partition("<")[0].replace("_", "-") for line in GUIDE}
    assert asked - GIVEN <= set(names)
    assert [each.name for each in found.wheels if is_built(each)] == ["deepspeed"]
    assert all(each.url.startswith("https://") for each in found.wheels if not is_built(each))
    assert all(each.required_by and each.size > 0 for each in found.wheels)
    assert {each.name for each in found.held_back} >= {"huggingface-hub", "transformers"}
    assert place.offline().resolve(*GUIDE, rules=rules, index=True) == found
    deepspeed = next(each for each in found.wheels if is_built(each))
    rebuilt = build_wheel(deepspeed, place.folder, new_place("another").bench)
    assert Digest.of(rebuilt.read_bytes()) == deepspeed.digest


def test_deepspeed_without_leave_is_refused_by_name(place: Place) -> None:
    """Its newest version is named, not an ancient one with a wheel."""
    with pytest.raises(ConflictError) as caught:
        place.resolve("deepspeed==0.19.8", rules=LockRules(exclude_newer=DAY), index=True)
    assert (caught.value.id, str(caught.value)) == (
        "DARI-LOCK-SDIST",
        "choosing wheels: deepspeed 0.19.8 has no wheel for Python 3.12 on x86_64 with glibc 2.39, only an sdist",
    )


def test_flash_attn_from_source_needs_more_than_the_host_has(place: Place) -> None:
    """On a base without flash-attn even `build` doesn't help: its build wants torch and a compiler."""
    base = bases.inventory({name: version for name, version in bases.NGC.items() if name != "flash-attn"})
    rules = LockRules(build=("flash-attn",), exclude_newer=DAY)
    with pytest.raises(ConflictError) as caught:
        place.resolve("flash-attn==2.8.3", base=base, rules=rules, index=True)
    assert caught.value.id in {"DARI-LOCK-BUILD", "DARI-LOCK-COMPILES", "DARI-LOCK-SDIST"}
    assert "flash-attn" in str(caught.value)


def test_datasets_goes_back_and_the_reason_is_told(place: Place) -> None:
    """`datasets 3.4 → 2.14.4, because fsspec is 2025.3.0`: what uv does in silence."""
    rules = LockRules(exclude_newer="2025-03-15T00:00:00Z")
    found = place.resolve("datasets", base=bases.ngc(fsspec="2025.3.0"), rules=rules, index=True)
    assert [(each.name, each.version, each.without_base, each.because) for each in found.held_back] == [
        (
            "datasets",
            "2.14.4",
            "3.4.0",
            "fsspec is 2025.3.0 in the base, and <=2024.12.0,>=2023.1.0 is needed",
        ),
        ("dill", "0.3.7", "0.3.8", "datasets, which is held back itself, needs <0.3.8,>=0.3.0"),
        ("multiprocess", "0.70.15", "0.70.16", "dill, which is held back itself, is 0.3.7, and >=0.3.8 is needed"),
    ]


def test_a_real_clash_is_one_line(place: Place) -> None:
    """A library that pins another torchvision: both sides, and the ways out."""
    with pytest.raises(ConflictError) as caught:
        place.resolve("tqdm", "vllm==0.8.5", rules=LockRules(exclude_newer=DAY), index=True)
    assert str(caught.value) == (
        "resolving the requirements: vllm==0.8.5 (requirements.txt:2): vllm==0.8.5 needs torchvision==0.21.0, "
        "and the base has torchvision 0.20.0a0"
    )


def test_a_withdrawn_version_is_warned_of(place: Place) -> None:
    """A pin on a yanked version is kept, with its publishers' reason."""
    found = place.resolve("attrs==21.1.0", base=bases.scratch(), rules=LockRules(exclude_newer=DAY), index=True)
    assert [(each.name, each.version) for each in found.wheels] == [("attrs", "21.1.0")]
    assert [each.id for each in found.findings] == ["DARI-LOCK-YANKED"]


def test_scratch_locks_the_whole_closure(place: Place) -> None:
    """Without a base numpy comes from the index, for the target's Python and glibc."""
    rules = LockRules(exclude_newer=DAY)
    found = place.resolve("pandas==2.2.3", "numpy<2", base=bases.scratch(), rules=rules, index=True)
    assert [(each.name, each.version) for each in found.wheels][:2] == [("numpy", "1.26.4"), ("pandas", "2.2.3")]
    assert "cp312-manylinux_2_17_x86_64" in found.wheels[0].filename
