"""No path of an image replaces, removes or shadows the base's GPU stack; the finding names who would have done it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dari.proof import check_paths
from dari.values.fact import Missing
from dari.values.finding import Severity
from tests.proof.bases import CUDA, LATER_SITE, LIB, SYSTEM, TORCH, base, distribution
from tests.support.python_wheels import SITE

CAUSE = "evil==1.0"


def judged(*paths: str) -> list[tuple[str, str]]:
    """Return id and severity of every finding for one cause."""
    findings = check_paths({CAUSE: paths}, base())
    assert all(finding.cause == CAUSE and finding.message.startswith(CAUSE) for finding in findings)
    return [(finding.id.removeprefix("DARI-PROOF-"), finding.severity.value) for finding in findings]


@pytest.mark.parametrize(
    ("path", "id"),
    [
        # (a) the same path, by whatever spelling
        (f"{SITE}/torch/__init__.py", "REPLACES"),
        (f"/{SITE}/torch/__init__.py", "REPLACES"),
        (f"{CUDA}/libcudart.so.12.6.77", "REPLACES"),
        ("usr/local/cuda/targets/x86_64-linux/lib/libcudart.so.12.6.77", "REPLACES"),
        ("usr/local/cuda/version.json", "REPLACES"),
        ("lib/x86_64-linux-gnu/libnccl.so.2", "REPLACES"),
        ("etc/pip/constraint.txt", "REPLACES"),
        # a file or link in the place of a directory above it
        (f"{SITE}/torch/lib", "REPLACES"),
        (f"{SITE}/torch", "REPLACES"),
        (SITE, "REPLACES"),
        ("usr", "REPLACES"),
        ("lib", "REPLACES"),
        ("usr/local/cuda", "REPLACES"),
        ("usr/local/cuda-12.6", "REPLACES"),
        # a directory in the place of a file
        ("etc/pip/constraint.txt/new", "REPLACES"),
        # whiteouts of it, of what is above, of everything in a directory
        (f"{SITE}/torch/.wh.__init__.py", "REMOVES"),
        (f"{SITE}/.wh.torch", "REMOVES"),
        ("usr/.wh.local", "REMOVES"),
        (".wh.usr", "REMOVES"),
        (".wh.lib", "REMOVES"),
        ("usr/local/.wh.cuda", "REMOVES"),
        (f"{SITE}/torch/.wh..wh..opq", "REMOVES"),
        ("usr/.wh..wh..opq", "REMOVES"),
        (".wh..wh..opq", "REMOVES"),
        ("lib/x86_64-linux-gnu/.wh.libnccl.so.2", "REMOVES"),
        # (b) an import that Python finds first, or the same directory added to
        (f"{SITE}/torch/extra.py", "SHADOWS"),
        (f"{SITE}/torch.py", "SHADOWS"),
        (f"{SITE}/torch.cpython-312-x86_64-linux-gnu.so", "SHADOWS"),
        (f"{SITE}/functorch/new.py", "SHADOWS"),
        (f"{SITE}/apex/__init__.py", "SHADOWS"),
        (f"{SITE}/apex_C.so", "SHADOWS"),
        (f"{SITE}/nvidia/dali/more.py", "SHADOWS"),
        (f"{SITE}/nvidia/__init__.py", "SHADOWS"),
        (f"{SITE}/torch-2.11.0.dist-info/METADATA", "SHADOWS"),
        (f"{LATER_SITE}/torch-2.11.0.egg-info/PKG-INFO", "SHADOWS"),
        (f"{LATER_SITE}/apex/extra.py", "SHADOWS"),
        # (c) libraries that the loader would find
        (f"{SYSTEM}/libcudart.so.11.0", "LOADER"),
        ("lib/x86_64-linux-gnu/libcudart.so.11.0", "LOADER"),
        ("usr/local/lib/libtorch_cpu.so", "LOADER"),
        ("opt/tools/lib/libcudnn.so.8", "LOADER"),
        ("usr/local/nvidia/lib/libnccl.so.2.99", "LOADER"),
    ],
)
def test_what_touches_the_stack_is_an_error(path: str, id: str) -> None:
    """One path, one error, and it says which."""
    assert judged(path) == [(id, "error")]


@pytest.mark.parametrize(
    ("path", "id"),
    [
        ("etc/ld.so.conf.d/mine.conf", "STEERS"),
        ("etc/ld.so.preload", "STEERS"),
        ("etc/pip.conf", "STEERS"),
        (f"{SITE}/sitecustomize.py", "STEERS"),
        (f"{SITE}/usercustomize/__init__.py", "STEERS"),
        (f"{SITE}/mine.pth", "STEERS"),
        (f"{SITE}/foo.libs/libcudart-a1b2c3d4.so.12", "PRIVATE"),
        (f"{SITE}/foo/lib/libnccl.so.2", "PRIVATE"),
        (f"{SYSTEM}/libcufft.so.11", "LOADER"),
    ],
)
def test_what_may_matter_is_a_warning(path: str, id: str) -> None:
    """Files that steer searches, private copies, libraries of which the base has none."""
    assert judged(path) == [(id, "warning")]


@pytest.mark.parametrize(
    "path",
    [
        f"{SITE}/torchmetrics/__init__.py",
        f"{SITE}/torch_geometric/__init__.py",
        f"{SITE}/torchmetrics-1.0.dist-info/METADATA",
        f"{SITE}/nvidia/other/__init__.py",
        f"{SITE}/tests/mine.py",
        f"{SITE}/requests/__init__.py",
        f"{LATER_SITE}/torch/late.py",
        f"{SITE}/foo.libs/libgomp-a34b3233.so.1",
        f"{SITE}/foo/torch.py",
        f"{SITE}/foo/libcufft.so.11",
        f"{SITE}/distutils-precedence.pth",
        f"{SITE}/foo/data.pth",
        f"{SITE}/.wh.requests",
        f"{SITE}/__pycache__/torch.cpython-312.pyc",
        "usr/lib/x86_64-linux-gnu/libGL.so.1",
        "usr/lib/x86_64-linux-gnu/libnccl_static.a",
        "workspace/torch/train.py",
        "etc/nccl.conf",
        "opt/new/file",
        "usr/",
        f"{SITE}/torch/",
        ".wh.opt",
    ],
)
def test_what_leaves_the_stack_alone_has_no_finding(path: str) -> None:
    """Neighbours, names that only look alike, namespaces shared, directories made once more."""
    assert judged(path) == []


def test_directories_are_seen_to_be_such_by_what_lies_below() -> None:
    """A Debian package lists usr, usr/lib and so on: making them again changes nothing."""
    paths = ("usr", "usr/lib", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/libGL.so.1")
    assert check_paths({"apt: libgl1": paths}, base()) == ()


def test_one_finding_tells_of_all_paths_alike_and_names_both_sides() -> None:
    """Thousands of files of one wheel against one distribution are one message."""
    paths = tuple(f"{SITE}/torch/{name}.py" for name in ("__init__", "a", "b", "c"))
    replaced, shadowed = check_paths({"torch==2.11.0": paths, "other": ("opt/x",)}, base())
    assert replaced.message == f"torch==2.11.0 would replace the base's torch {TORCH}: '{paths[0]}'"
    assert (
        shadowed.message
        == f"torch==2.11.0 would be imported instead of the base's torch {TORCH}: '{paths[1]}' and 2 more"
    )
    assert (replaced.where, replaced.cause) == (paths[0], "torch==2.11.0")
    assert any("skip" in way for way in replaced.ways_out)


def test_each_cause_has_its_own_findings() -> None:
    """Two requirements that do the same are both named."""
    path = f"{SITE}/torch/__init__.py"
    assert [finding.cause for finding in check_paths({"b": (path,), "a": (path,)}, base())] == ["a", "b"]


def test_what_the_project_replaces_on_purpose_is_let_through() -> None:
    """`allow` gives up one distribution, and only that one."""
    paths = (f"{SITE}/torch/__init__.py", f"{SITE}/torch/new.py", f"{SITE}/torch-2.11.0.dist-info/METADATA")
    assert check_paths({"torch==2.11.0": paths}, base(), allow=("torch",)) == ()
    assert check_paths({"x": (f"{SITE}/triton/__init__.py",)}, base(), allow=("torch",)) != ()


def test_pythonpath_is_searched_before_everything() -> None:
    """A package of torch's name there shadows the base's."""
    inventory = base(environment={"PYTHONPATH": "/opt/pythonpath"})
    (finding,) = check_paths({"train": ("opt/pythonpath/torch/__init__.py",)}, inventory)
    assert finding.id == "DARI-PROOF-SHADOWS"


def test_a_base_with_nothing_to_protect_has_no_findings() -> None:
    """On scratch, a loader configuration or a CUDA library is nobody's business."""
    bare = base(distributions=(distribution("pip", "24", "pip", protected=False),), libraries=(), protected_paths=())
    assert check_paths({"apt: libc6": ("etc/ld.so.conf.d/x.conf", f"{SYSTEM}/libcudart.so.12")}, bare) == ()


def test_without_a_known_python_paths_are_still_guarded() -> None:
    """Where sys.path isn't known, shadowing can't be judged, and replacing still is."""
    inventory = base(python=Missing("no interpreter"))
    (finding,) = check_paths({CAUSE: (f"{LIB}/libtorch.so", f"{SITE}/torch/new.py")}, inventory)
    assert finding.id == "DARI-PROOF-REPLACES"


def test_links_that_go_in_circles_end() -> None:
    """A base may be broken; judging it ends all the same."""
    inventory = base(directory_links={"a": "b", "b": "a", "c": "c/c"})
    assert check_paths({CAUSE: ("a/x", "c/x")}, inventory) == ()


PARTS = st.sampled_from(
    ["usr", "local", "lib", "torch", "cuda", ".wh.torch", ".wh..wh..opq", "libnccl.so.2", "x.py", SITE]
)


@given(st.lists(PARTS, min_size=1, max_size=5).map("/".join))
def test_no_path_at_a_protected_place_goes_unseen(path: str) -> None:
    """Whatever else is said, a path equal to a protected one, or a file above one, is always an error."""
    inventory = base()
    guarded = set(inventory.protected_paths)
    touches = path in guarded or any(place.startswith(path + "/") for place in guarded)
    severities = {finding.severity for finding in check_paths({CAUSE: (path,)}, inventory)}
    assert not touches or severities == {Severity.ERROR}
