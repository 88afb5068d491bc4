"""Base inventories for the proof's tests, small and like NGC's."""

from dataclasses import replace

from dari.values.digest import Digest
from dari.values.elf import pack_symbols
from dari.values.fact import Known, Missing
from dari.values.inventory import Distribution, Inventory, OsRelease, SharedLibrary, SymbolSet
from dari.values.platform import Platform
from tests.support.python_wheels import SITE, TARGET

TORCH = "2.6.0a0+df5bbc09d1.nv24.12"
LIB = f"{SITE}/torch/lib"
CUDA = "usr/local/cuda-12.6/targets/x86_64-linux/lib"
SYSTEM = "usr/lib/x86_64-linux-gnu"
LATER_SITE = "usr/lib/python3/dist-packages"


def library(path: str, *symbols: bytes, soname: str = "", known: bool = True) -> SharedLibrary:
    """Return a library of the base that exports `symbols`, or that couldn't be looked into."""
    exports = Known(SymbolSet(pack_symbols(symbols)), "its dynamic symbol table") if known else Missing("too large")
    return SharedLibrary(path, soname or path.rpartition("/")[2], exports)


LIBRARIES = (
    library(f"{LIB}/libc10.so", b"_ZN3c1010TensorImplD1Ev"),
    library(f"{LIB}/libtorch_cpu.so", b"_ZN2at6Tensor5clampEv", b"aoti_torch_get_data_ptr"),
    library(f"{LIB}/libtorch.so"),
    library(f"{CUDA}/libcudart.so.12.6.77", b"cudaMalloc", b"cudaFree", soname="libcudart.so.12"),
    library(f"{SYSTEM}/libcudnn.so.9.6.0", b"cudnnCreate", soname="libcudnn.so.9"),
    library(f"{SYSTEM}/libnccl.so.2", b"ncclAllReduce"),
)


def distribution(name: str, version: str, *paths: str, protected: bool = True, site: str = SITE) -> Distribution:
    """Return a distribution that owns `paths` below its site directory."""
    return Distribution(name, version, site, (), tuple(f"{site}/{path}" for path in paths), protected)


DISTRIBUTIONS = (
    distribution(
        "torch", TORCH, "torch/__init__.py", "torch/lib/libtorch.so", "functorch/__init__.py", "torch/test.py"
    ),
    distribution("triton", "3.0.0", "triton/__init__.py", "tests/conftest.py"),
    distribution("nvidia-dali-cuda120", "1.44", "nvidia/dali/__init__.py"),
    distribution("apex", "0.1", "apex/__init__.py", "apex_C.cpython-312-x86_64-linux-gnu.so", site=LATER_SITE),
    distribution("requests", "2.32.3", "requests", protected=False),
)


def base(**changes: object) -> Inventory:
    """Return an NGC-like base, with members changed."""
    inventory = Inventory(
        manifest=Digest.of(b"base"),
        platform=Platform("linux", "amd64"),
        os_release=OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04"),
        packages=(),
        apt_sources=(),
        python=Known(TARGET, "a test"),
        distributions=DISTRIBUTIONS,
        constraints=(),
        libraries=LIBRARIES,
        protected_paths=(
            *(path for item in DISTRIBUTIONS if item.protected for path in item.paths),
            *(item.path for item in LIBRARIES),
            "usr/local/cuda",
            "usr/local/cuda-12.6/version.json",
            "etc/pip/constraint.txt",
        ),
        directory_links={"lib": "usr/lib", "usr/local/cuda": "usr/local/cuda-12.6"},
        environment={"CUDA_VERSION": "12.6.3.004", "LD_LIBRARY_PATH": "/opt/tools/lib:/usr/local/nvidia/lib"},
    )
    return replace(inventory, **changes)  # type: ignore[arg-type] # members by name, as the tests state them
