"""A wheel's binaries fit the base or the finding says what is missing; what can't be known is a warning."""

from dataclasses import replace
from pathlib import Path

import pytest

from dari.proof import check_binaries
from dari.values.elf import DynamicElf, pack_symbols, read_elf
from dari.values.fact import Known
from dari.values.finding import Finding, Severity
from dari.values.inventory import SharedLibrary, SymbolSet
from dari.values.wheel import WheelBinary, WheelContents
from dari.wheels import inspect_wheel
from tests.proof.bases import CUDA, DISTRIBUTIONS, LIB, LIBRARIES, TORCH, base, library
from tests.support.python_wheels import TARGET, real_wheel, write_wheel
from tests.wheels.test_elf import compile_library

MODULE = "demo/_C.cpython-312-x86_64-linux-gnu.so"


def binary(
    path: str = MODULE,
    *,
    needed: tuple[str, ...] = ("libc10.so", "libtorch_cpu.so", "libc.so.6"),
    undefined: tuple[bytes, ...] = (),
    exported: tuple[bytes, ...] = (),
    machine: str = "x86_64",
    soname: str = "",
) -> WheelBinary:
    """Return a binary as inspection would."""
    return WheelBinary(path, DynamicElf(machine, soname, needed, (), frozenset(exported), frozenset(undefined)))


def wheel(*binaries: WheelBinary, name: str = "demo", requires: tuple[str, ...] = ()) -> WheelContents:
    """Return a wheel's contents."""
    return WheelContents(name, "1.0", requires, False, (), binaries)  # noqa: FBT003 - `pure`, as the class has it


def judged(contents: WheelContents, *others: WheelContents, **changes: object) -> list[tuple[str, Severity]]:
    """Return id and severity of each finding on the NGC-like base."""
    findings = check_binaries(contents, ("demo>=1",), base(**changes), others)
    assert all(finding.cause == "demo>=1" for finding in findings)
    return [(finding.id.removeprefix("DARI-PROOF-"), finding.severity) for finding in findings]


ERROR, WARNING = Severity.ERROR, Severity.WARNING
CLAMP, ABSENT = b"_ZN2at6Tensor5clampEv", b"_ZNK3c104impl17OperatorEntryImpl4findEv"
CUDART_13 = ("libcudart.so.13",)


def unknown_libraries() -> tuple[SharedLibrary, ...]:
    """Return the base's libraries with a libtorch_cpu that couldn't be looked into."""
    return (
        *(item for item in LIBRARIES if "torch_cpu" not in item.path),
        library(f"{LIB}/libtorch_cpu.so", known=False),
    )


@pytest.mark.parametrize(
    "contents",
    [
        wheel(),
        wheel(binary(undefined=(CLAMP, b"_ZN3c1010TensorImplD1Ev", b"aoti_torch_get_data_ptr"))),
        wheel(binary(needed=("libcudart.so.12", "libcudnn.so.9"), undefined=(b"cudaMalloc", b"cudnnCreate"))),
        # the driver's libraries and names come from the host
        wheel(binary(needed=("libcuda.so.1", "libnvidia-ml.so.1"), undefined=(b"cuMemAlloc_v2", b"nvmlInit_v2"))),
        # no library of torch's is named: the symbol is somebody else's business
        wheel(binary(needed=("libc.so.6",), undefined=(ABSENT, b"cudaNoSuchThing"))),
        # names of other families, and of nobody
        wheel(binary(undefined=(b"_ZN10torchaudio2ioEv", b"PyList_New", b"curl_easy_init"))),
        # the wheel's own library offers it, by soname or by file name
        wheel(binary(undefined=(ABSENT,)), binary("demo/lib/libmine.so", exported=(ABSENT,))),
        wheel(
            binary(needed=("libcudart-a1b2c3d4.so.13",), undefined=(b"cudaNewThing",)),
            binary("demo.libs/libcudart-a1b2c3d4.so.13", needed=(), exported=(b"cudaNewThing",)),
        ),
        # for another machine
        wheel(binary(machine="aarch64", needed=CUDART_13)),
        # one variant of several fits
        wheel(
            binary("demo/libdemo_cuda126.so", needed=("libcudart.so.12",)),
            binary("demo/libdemo_cuda130.so", needed=CUDART_13),
            binary("demo/libdemo_cuda118.so", needed=("libcudart.so.11.0",)),
        ),
    ],
)
def test_what_fits_has_no_finding(contents: WheelContents) -> None:
    """Nothing is said where the base, the wheel, or the driver has what is needed."""
    assert judged(contents) == []


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (wheel(binary(needed=CUDART_13)), [("LIBRARY", ERROR)]),
        (wheel(binary(needed=("libtorch_hip.so",))), [("LIBRARY", ERROR)]),
        (wheel(binary(needed=("libcudnn.so.8", *CUDART_13))), [("LIBRARY", ERROR), ("LIBRARY", ERROR)]),
        (wheel(binary(undefined=(ABSENT,))), [("SYMBOL", ERROR)]),
        (wheel(binary(needed=("libcudart.so.12",), undefined=(b"cudaNewThing",))), [("SYMBOL", ERROR)]),
        # through a library of the wheel
        (
            wheel(
                binary(needed=("libmine.so",)),
                binary("demo/lib/libmine.so", needed=("libc10.so",), undefined=(ABSENT,), soname="libmine.so"),
            ),
            [("SYMBOL", ERROR)],
        ),
        # ctypes packages have no module: their libraries are what they are for
        (wheel(binary("demo/libdemo.so", needed=CUDART_13)), [("LIBRARY", ERROR)]),
        (
            wheel(
                binary("demo/libdemo_cuda130.so", needed=CUDART_13),
                binary("demo/libdemo_cuda131.so", needed=CUDART_13),
            ),
            [("LIBRARY", ERROR)],
        ),
        # a plugin beside a module
        (
            wheel(binary(needed=()), binary("demo/libprovider_cuda.so", needed=CUDART_13)),
            [("LIBRARY", WARNING)],
        ),
        # a binding, imported by who wants the library
        (
            wheel(binary("cupy/libs/cudnn.cpython-312-x86_64-linux-gnu.so", needed=("libcudnn.so.8",))),
            [("LIBRARY", WARNING)],
        ),
        # a library of which the base has no version at all
        (wheel(binary(needed=("libcutensor.so.2",))), [("LIBRARY", WARNING)]),
    ],
)
def test_what_does_not_fit_is_found(contents: WheelContents, expected: list[tuple[str, Severity]]) -> None:
    """Libraries of another version, functions of another torch; warnings where it may not matter."""
    assert judged(contents) == expected


def test_a_base_without_torch_lacks_it_wholly() -> None:
    """Torch missing is an error wherever a module links to it: the import can't succeed."""
    assert judged(wheel(binary()), libraries=()) == [("LIBRARY", ERROR)]


def test_another_wheel_of_the_lock_may_offer_it() -> None:
    """torch itself may be locked: then its own libraries are what counts."""
    torch = wheel(
        binary("torch/lib/libc10.so", needed=(), soname="libc10.so"),
        binary("torch/lib/libtorch_cpu.so", needed=(), soname="libtorch_cpu.so", exported=(CLAMP,)),
        name="torch",
    )
    assert judged(wheel(binary(undefined=(CLAMP,))), torch, libraries=()) == []
    assert judged(wheel(binary(undefined=(ABSENT,))), torch, libraries=()) == [("SYMBOL", ERROR)]


def test_what_was_not_looked_into_is_not_known() -> None:
    """One unread library of the family is enough: the symbol may be there."""
    contents = wheel(binary(undefined=(ABSENT,)))
    assert judged(contents, libraries=unknown_libraries()) == [("UNKNOWN", WARNING)]
    assert judged(wheel(binary(undefined=(b"_ZN3c1010TensorImplD1Ev",))), libraries=unknown_libraries()) == []


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        ("torch==2.11.0", ("SYMBOL", ERROR)),
        ("torch>=2.7", ("SYMBOL", ERROR)),
        ("torch==2.6.0", ("UNKNOWN", WARNING)),
        ("torch>=2.4", ("UNKNOWN", WARNING)),
        ("torch==2.11.0; extra == 'all'", ("UNKNOWN", WARNING)),
        ("not a requirement!", ("UNKNOWN", WARNING)),
        ("numpy==2.0", ("UNKNOWN", WARNING)),
    ],
)
def test_a_pin_that_the_base_misses_settles_what_is_not_known(pin: str, expected: tuple[str, Severity]) -> None:
    """The wheel's own word for the torch it was built for; NGC's 2.6.0a0 stands for 2.6.0."""
    contents = wheel(binary(undefined=(ABSENT,)), requires=(pin,))
    assert judged(contents, libraries=unknown_libraries()) == [expected]


def test_the_message_says_what_is_missing_where_and_what_to_do() -> None:
    """Requirement, wheel, symbol in words, library, version, ways out."""
    (finding,) = check_binaries(wheel(binary(undefined=(ABSENT,))), ("demo>=1",), base(), ())
    assert finding == Finding(
        "DARI-PROOF-SYMBOL",
        Severity.ERROR,
        f"demo 1.0 needs c10::impl::OperatorEntryImpl::find, which the base's libc10.so (torch {TORCH}) doesn't export",
        f"demo 1.0: {MODULE}",
        "demo>=1",
        (
            f"require another version of demo, one built for torch {TORCH}",
            'leave it out: `skip = ["demo"]` in dari.toml',
            "build demo inside the base, with a container engine",
        ),
    )
    (finding,) = check_binaries(wheel(binary(needed=CUDART_13)), ("demo>=1",), base(), ())
    assert finding.message == "demo 1.0 needs libcudart.so.13; the base has libcudart.so.12"
    assert finding.ways_out[0] == "require another version of demo, one built for CUDA 12.6.3.004"


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        (b"_ZTVN5torch8autograd4NodeE", "torch::autograd::Node"),
        (b"_ZN3c104impl", "c10::impl"),
        (b"_ZN2at99999999999999999999x", "at::x"),
        (b"aoti_torch_get_dim", "aoti_torch_get_dim"),
        (b"_ZN2at" + b"1x" * 500, ("at::" + "x::" * 500)[:120]),
        (b"aoti_torch_\xff", "aoti_torch_\\xff"),
    ],
)
def test_symbols_are_shown_in_words_whatever_they_hold(symbol: bytes, shown: str) -> None:
    """A light demangling: namespaces and names, never an exception, never a screenful."""
    (finding,) = check_binaries(wheel(binary(undefined=(symbol,))), ("demo>=1",), base(), ())
    assert f"needs {shown}," in finding.message


def looked_into(path: Path) -> WheelContents:
    """Inspect a wheel file."""
    return inspect_wheel(path, filename=path.name, target=TARGET)


def test_real_torchaudio_does_not_fit_a_base_of_torch_2_6() -> None:
    """torchaudio 2.11 pins no torch and resolves against 2.6; its binaries tell, by CUDA 13 and by new functions."""
    contents = looked_into(real_wheel("torchaudio==2.11.0"))
    findings = check_binaries(contents, ("torchaudio",), base(), ())
    assert {(finding.id, finding.severity) for finding in findings} == {
        ("DARI-PROOF-LIBRARY", ERROR),
        ("DARI-PROOF-LIBRARY", ERROR),
    }
    assert any("torchaudio 2.11.0 needs libcudart.so.13; the base has libcudart.so.12" in f.message for f in findings)
    with_cuda_13 = (
        *LIBRARIES,
        library(f"{LIB}/libc10_cuda.so"),
        library(f"{LIB}/libtorch_cuda.so"),
        library(f"{CUDA}/libcudart.so.13", *(s for b in contents.binaries for s in b.elf.undefined if b"cuda" in s)),
    )
    (finding,) = check_binaries(contents, ("torchaudio",), base(libraries=with_cuda_13), ())
    assert (finding.id, finding.severity) == ("DARI-PROOF-SYMBOL", ERROR)
    assert "aoti_torch_abi_version" in finding.message


def test_real_torchaudio_fits_a_base_that_offers_what_it_needs() -> None:
    """The same wheel on a base of its own kind has nothing against it."""
    contents = looked_into(real_wheel("torchaudio==2.11.0"))
    wanted = {symbol for item in contents.binaries for symbol in item.elf.undefined}
    names = ("libc10.so", "libtorch.so", "libc10_cuda.so", "libtorch_cuda.so", "libcudart.so.13")
    libraries = (*(library(f"{LIB}/{name}") for name in names), library(f"{LIB}/libtorch_cpu.so", *wanted))
    assert check_binaries(contents, ("torchaudio",), base(libraries=libraries), ()) == ()


@pytest.mark.parametrize(("offered", "expected"), [(True, []), (False, ["DARI-PROOF-SYMBOL"])])
def test_compiled_binaries_are_judged_against_a_compiled_base(
    offered: bool,  # noqa: FBT001 - a case
    expected: list[str],
    tmp_path: Path,
) -> None:
    """gcc on both sides: a module in C++ names against a libc10 with and without the function."""
    function = "_ZN3c104warnERKNS_7WarningE"
    source = f"void {function}(void) {{}}" if offered else "void _ZN3c105otherEv(void) {}"
    provided = read_elf(compile_library(tmp_path, "-Wl,-soname,libc10.so", source=source, name="libc10.so"))
    assert provided is not None
    module = compile_library(
        tmp_path,
        "-L.",
        "-Wl,--no-as-needed,--unresolved-symbols=ignore-all",
        "-lc10",
        source=f"extern void {function}(void); void PyInit__C(void) {{ {function}(); }}",
        name="_C.abi3.so",
    )
    contents = looked_into(write_wheel(tmp_path, {"demo/_C.abi3.so": module}))
    machine = replace(contents, binaries=tuple(_on_amd64(item) for item in contents.binaries))
    exports = Known(SymbolSet(pack_symbols(provided.exported)), "its dynamic symbol table")
    libraries = (SharedLibrary(f"{LIB}/libc10.so", provided.soname, exports),)
    findings = check_binaries(machine, ("demo>=1",), base(libraries=libraries, distributions=DISTRIBUTIONS), ())
    assert [finding.id for finding in findings] == expected


def _on_amd64(item: WheelBinary) -> WheelBinary:
    return replace(item, elf=replace(item.elf, machine="x86_64"))


def test_findings_come_in_a_fixed_order() -> None:
    """The same wheel, whatever the order of its binaries, is told of in the same words."""
    lacking = {"demo/a.so": CUDART_13, "demo/b.so": ("libcudnn.so.8",)}
    binaries = tuple(binary(path, needed=needed) for path, needed in lacking.items())
    first = check_binaries(wheel(*binaries), ("demo",), base(), ())
    assert [finding.message for finding in first] == sorted(
        finding.message for finding in check_binaries(wheel(*reversed(binaries)), ("demo",), base(), ())
    )
