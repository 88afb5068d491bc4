"""Looking into a wheel tells its metadata, its places and what its binaries need, in little memory."""

import tracemalloc
from pathlib import Path

import pytest

from dari.errors import IntegrityError
from dari.values.digest import Digest
from dari.values.wheel import is_cuda_symbol, is_stack_symbol, is_torch_symbol
from dari.wheels import inspect_wheel, wheel_part
from tests.support.python_wheels import REAL, TARGET, real_wheel, write_wheel
from tests.wheels.test_elf import compile_library


@pytest.mark.parametrize("requirement", REAL)
def test_installed_paths_are_those_of_the_part(requirement: str) -> None:
    """What is announced is what is laid out, less what the installer adds itself."""
    wheel = real_wheel(requirement)
    contents = inspect_wheel(wheel, filename=wheel.name, target=TARGET)
    part = wheel_part(wheel, filename=wheel.name, digest=Digest.of(b""), target=TARGET, requested=True)
    own = {"INSTALLER", "REQUESTED", "RECORD"}
    places = {e.path for e in part.entries() if ".dist-info/" not in e.path or e.path.rpartition("/")[2] not in own}
    assert set(contents.installed_paths) == places
    assert f"{contents.name.lower()}=={contents.version}" == requirement


def test_torchaudio_says_what_it_needs_of_torch() -> None:
    """The real wheel: no pin in its metadata, libraries and functions of torch and CUDA 13 in its binaries."""
    wheel = real_wheel("torchaudio==2.11.0")
    contents = inspect_wheel(wheel, filename=wheel.name, target=TARGET)
    assert (contents.name, contents.version, contents.pure) == ("torchaudio", "2.11.0", False)
    assert not any(line.startswith("torch") for line in contents.requires)
    binaries = {binary.path: binary.elf for binary in contents.binaries}
    elf = binaries["torchaudio/lib/_torchaudio.abi3.so"]
    assert {"libc10.so", "libtorch_cpu.so", "libcudart.so.13"} <= set(elf.needed)
    assert elf.undefined == {
        b"aoti_torch_abi_version",
        b"aoti_torch_delete_library_object",
        b"aoti_torch_library_def",
        b"aoti_torch_library_init_def",
        b"aoti_torch_library_init_impl",
        b"torch_library_impl",
    }


@pytest.mark.parametrize(("requirement", "pure"), [("tqdm==4.70.1", True), ("markupsafe==3.0.4", False)])
def test_a_wheel_is_pure_where_it_says_so_and_holds_no_binary(requirement: str, pure: bool) -> None:  # noqa: FBT001 - a case
    """Root-Is-Purelib alone isn't believed."""
    wheel = real_wheel(requirement)
    assert inspect_wheel(wheel, filename=wheel.name, target=TARGET).pure is pure


def test_a_binary_in_a_wheel_that_calls_itself_pure_is_found(tmp_path: Path) -> None:
    """Whatever the tag says; a file named so that is no ELF is passed over."""
    files = {"demo/lib.so": compile_library(tmp_path), "demo/fake.so": b"not a library, " * 10}
    wheel = write_wheel(tmp_path, files)
    contents = inspect_wheel(wheel, filename=wheel.name, target=TARGET)
    assert not contents.pure
    assert [binary.path for binary in contents.binaries] == ["demo/lib.so"]
    assert contents.binaries[0].elf.undefined == {b"cudaMalloc"}


def test_a_large_library_is_not_held(tmp_path: Path) -> None:
    """100 MB of library cost a few megabytes of memory, and leave no file behind."""
    body = compile_library(tmp_path) + bytes(100 << 20)
    wheel = write_wheel(tmp_path, {"demo/big.so": body})
    del body
    before = set(tmp_path.iterdir())
    tracemalloc.start()
    try:
        contents = inspect_wheel(wheel, filename=wheel.name, target=TARGET)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert contents.binaries[0].elf.undefined == {b"cudaMalloc"}
    assert set(tmp_path.iterdir()) == before


def test_a_large_member_is_streamed(tmp_path: Path) -> None:
    """Reading a 100 MB entry takes a chunk of memory, not the member's size."""
    wheel = write_wheel(tmp_path, {"demo/big.bin": bytes(range(256)) * (100 << 12)})
    part = wheel_part(wheel, filename=wheel.name, digest=Digest.of(b""), target=TARGET, requested=True)
    entry = max(part.entries(), key=lambda entry: entry.size)
    assert entry.open is not None
    tracemalloc.start()
    try:
        with entry.open() as stream:
            assert sum(map(len, iter(lambda: stream.read(1 << 20), b""))) == 100 << 20
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_damage_inside_a_library_is_found_while_looking(tmp_path: Path) -> None:
    """What is judged is what RECORD vouches for."""
    wheel = write_wheel(
        tmp_path, {"demo/lib.so": compile_library(tmp_path)}, record={"demo/lib.so": "demo/lib.so,sha256=AAAA,"}
    )
    with pytest.raises(IntegrityError) as caught:
        inspect_wheel(wheel, filename=wheel.name, target=TARGET)
    assert caught.value.id == "DARI-WHEEL-RECORD"


@pytest.mark.parametrize(
    ("name", "torch", "cuda"),
    [
        (b"_ZN2at6Tensor5clampEv", True, False),
        (b"_ZNK3c1010TensorImpl4sizeEl", True, False),
        (b"_ZTVN5torch8autograd4NodeE", True, False),
        (b"_ZN4c10d12ProcessGroupC2Ev", True, False),
        (b"aoti_torch_get_data_ptr", True, False),
        (b"torch_library_impl", True, False),
        (b"THPVariableClass", True, False),
        (b"cudaMalloc", False, True),
        (b"__cudaRegisterFatBinary", False, True),
        (b"cublasCreate_v2", False, True),
        (b"ncclAllReduce", False, True),
        (b"cudnnCreate", False, True),
        (b"nvrtcCompileProgram", False, True),
        (b"cuMemAlloc_v2", False, False),  # the driver's
        (b"_ZN10torchaudio3ioC2Ev", False, False),
        (b"_ZN3c101XE", True, False),
        (b"_ZN4atom3runEv", False, False),
        (b"_ZNSt6vectorIN2at6TensorESaIS1_EE9push_backERKS1_", False, False),
        (b"torchvision_init", False, False),
        (b"curl_easy_init", False, False),
        (b"cursor", False, False),
        (b"customer", False, False),
        (b"PyInit_torch", False, False),
        (b"ncclient", False, False),
    ],
)
def test_only_names_of_the_stack_are_the_stacks(name: bytes, torch: bool, cuda: bool) -> None:  # noqa: FBT001 - a case
    """Namespaces and prefixes of torch and CUDA, whole words of them, and nothing that only looks alike."""
    assert (is_torch_symbol(name), is_cuda_symbol(name)) == (torch, cuda)
    assert is_stack_symbol(name) == (torch or cuda)
