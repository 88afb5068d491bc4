"""The NGC-shaped base's GPU stack: importable shells of the GPU distributions, real ones for the rest, libraries."""

import base64
import csv
import hashlib
import io
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

TORCH = "2.6.0a0+df5bbc09d1.nv24.12"
MACHINE = platform.machine()
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[MACHINE]

ENVIRONMENT = {
    "CUDA_VERSION": "12.6.3.004",
    "CUDA_DRIVER_VERSION": "560.35.05",
    "CUDA_CACHE_DISABLE": "1",
    "NVIDIA_REQUIRE_JETPACK_HOST_MOUNTS": "",
    "_CUDA_COMPAT_PATH": "/usr/local/cuda/compat",
    "ENV": "/etc/shinit_v2",
    "BASH_ENV": "/etc/bash.bashrc",
    "SHELL": "/bin/bash",
    "NVIDIA_REQUIRE_CUDA": "cuda>=9.0",
    "NCCL_VERSION": "2.23.4",
    "CUBLAS_VERSION": "12.6.4.1",
    "CUDNN_VERSION": "9.6.0.74",
    "TRANSFORMER_ENGINE_VERSION": "1.13",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility,video",
    "NVIDIA_PRODUCT_NAME": "PyTorch",
    "NVIDIA_PYTORCH_VERSION": "24.12",
    "NVIDIA_BUILD_ID": "126674149",
    "PYTORCH_BUILD_VERSION": "2.6.0a0+df5bbc0",
    "PYTORCH_VERSION": "2.6.0a0+df5bbc0",
    "PYTORCH_BUILD_NUMBER": "0",
    "PYTORCH_HOME": "/opt/pytorch/pytorch",
    "PYTHONIOENCODING": "utf-8",
    "PIP_CONSTRAINT": "/etc/pip/constraint.txt",
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "TORCH_CUDA_ARCH_LIST": "6.0 6.1 7.0 7.2 7.5 8.0 8.6 8.7 9.0+PTX",
    "CUDA_ARCH_LIST": "6.0 6.1 7.0 7.2 7.5 8.0 8.6 8.7 9.0+PTX",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "CUDA_MODULE_LOADING": "LAZY",
}
LABELS = {
    "com.nvidia.build.id": "126674149",
    "com.nvidia.cuda.version": "9.0",  # a constant in every NGC image; the variable says the truth
    "com.nvidia.cublas.version": "12.6.4.1",
    "com.nvidia.cudnn.version": "9.6.0.74",
    "com.nvidia.nccl.version": "2.23.4",
    "com.nvidia.pytorch.version": "2.6.0a0+df5bbc0",
    "com.nvidia.volumes.needed": "nvidia_driver",
}

# The 20 distributions that come as they are from the package index.
REAL = (
    "certifi==2024.8.30", "charset-normalizer==3.4.0", "filelock==3.16.1", "fsspec==2024.5.0", "idna==3.10",
    "jinja2==3.1.4", "markupsafe==3.0.2", "mpmath==1.3.0", "networkx==3.4.2", "numpy==1.26.4", "packaging==23.2",
    "pillow==11.0.0", "pip==24.3.1", "protobuf==4.24.4", "pyyaml==6.0.2", "requests==2.32.3", "setuptools==70.3.0",
    "sympy==1.13.1", "typing-extensions==4.12.2", "urllib3==2.2.3",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Shell:
    """A distribution in name only: importable, with its metadata and the version NGC gives it."""

    name: str
    version: str
    requires: tuple[str, ...]


SHELLS = (
    _Shell(
        "torch",
        TORCH,
        ("filelock", "typing-extensions>=4.10.0", "networkx", "jinja2", "fsspec",
         'sympy==1.13.1; python_version >= "3.9"',
         'optree>=0.12.0; extra == "optree"'),
    ),
    _Shell("torchvision", "0.20.0a0", ("numpy", "torch", "pillow!=8.3.*,>=5.3.0")),
    _Shell("triton", "3.0.0+dedb7bdf3", ("filelock",)),
    _Shell("transformer_engine", "1.13.0+e5edd6c", ("packaging",)),
    _Shell("flash_attn", "2.4.2", ("torch", "packaging")),
    _Shell("apex", "0.1", ("packaging>20.6",)),
    _Shell("nvfuser", "0.2.23a0", ()),  # the top layer takes it away again
)  # fmt: skip

_TENSOR = "_ZN2at4_ops"
_CHECK = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
# Library → soname, libraries it needs, symbols it exports, the version node they carry.
_LIBRARIES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...], str], ...] = (
    ("torch/libc10.so", "libc10.so", (), (
        _CHECK,
        "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
        "_ZN3c1010TensorImplD1Ev", "_ZN3c1021throwNullDataPtrErrorEv", "_ZN3c1019UndefinedTensorImpl10_singletonE",
        "_ZNK3c1010TensorImpl14is_contiguous_", "_ZN3c107WarningC1Ev", "_ZN3c104warnERKNS_7WarningE",
        "_ZN3c1015SmallVectorBaseIjE8grow_podEPvmm",
    ), ""),
    ("torch/libc10_cuda.so", "libc10_cuda.so", ("libc10.so", "libcudart.so.12"), (
        "_ZN3c104cuda20CUDACachingAllocator9allocatorE", "_ZN3c104cuda14ExchangeDeviceEa",
        "_ZN3c104cuda29c10_cuda_check_implementationEiPKcS2_jb", "_ZN3c104cuda20getCurrentCUDAStreamEa",
    ), ""),
    ("torch/libtorch_cpu.so", "libtorch_cpu.so", ("libc10.so",), (
        f"{_TENSOR}5empty13memory_format4callEv", f"{_TENSOR}10add_Tensor4callERKNS_6TensorES4_RKN3c106ScalarE",
        f"{_TENSOR}5zeros4callEv", f"{_TENSOR}6conv2d4callEv", f"{_TENSOR}2to12dtype_layout4callEv",
        "_ZN2at6Tensor5clampEv", "_ZNK2at10TensorBase8__typeidEv", "_ZN5torch8autograd4Node4nameEv",
        "_ZN5torch7LibraryC1ENS0_4KindENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
        "_ZN3c1010Dispatcher17realSingletonEv", "_ZN3c108ListTypeE",
        "aoti_torch_get_data_ptr", "aoti_torch_get_sizes", "aoti_torch_delete_tensor_object",
    ), ""),
    ("torch/libtorch_cuda.so", "libtorch_cuda.so", ("libtorch_cpu.so", "libc10_cuda.so", "libcudnn.so.9",
                                                    "libcublas.so.12", "libnccl.so.2"), (
        "_ZN2at4cuda19getCurrentCUDABlasHandleEv", "_ZN2at4cuda24getCurrentDevicePropertiesEv",
    ), ""),
    ("torch/libtorch.so", "libtorch.so", ("libtorch_cpu.so", "libtorch_cuda.so"), (), ""),
    ("torch/libtorch_python.so", "libtorch_python.so", ("libtorch.so",), (
        "THPVariableClass", "_Z16THPVariable_WrapN2at10TensorBaseE", "_ZN5torch8PyWarningHandlerE",
    ), ""),
    ("cuda/libcudart.so.12", "libcudart.so.12", (), (
        "cudaMalloc", "cudaFree", "cudaMemcpyAsync", "cudaLaunchKernel", "cudaGetDevice", "cudaGetErrorString",
        "cudaStreamSynchronize", "__cudaRegisterFatBinary", "__cudaRegisterFunction",
    ), "libcudart.so.12"),
    ("cuda/libcublas.so.12", "libcublas.so.12", (), ("cublasCreate_v2", "cublasGemmEx", "cublasLtMatmul"),
     "libcublas.so.12"),
    ("system/libcudnn.so.9", "libcudnn.so.9", (), ("cudnnCreate", "cudnnConvolutionForward", "cudnnGetVersion"),
     "libcudnn.so.9"),
    ("system/libnccl.so.2", "libnccl.so.2", (), ("ncclGetVersion", "ncclCommInitRank", "ncclAllReduce"), ""),
)  # fmt: skip

_ENTRYPOINT = """#!/bin/bash
# What NGC's entrypoint does that matters here: speak on stderr, never stop the command.
if [ ! -e /proc/driver/nvidia/version ]; then
  export NVIDIA_CPU_ONLY=1
  echo "WARNING: The NVIDIA Driver was not detected. GPU functionality will not be available." >&2
fi
if [ $# -eq 0 ]; then exec /bin/bash; fi
exec "$@"
"""


def write_stack(folder: Path, python: str, cache: Path) -> None:
    """Write the whole stack below `folder`, for an interpreter called `python` ('python3.11')."""
    packages = folder / "usr/local/lib" / python / "dist-packages"
    packages.mkdir(parents=True)
    _install_real(packages, folder / "usr/local", python.removeprefix("python"), cache)
    _write_libraries(folder, packages)
    for shell in SHELLS:
        _write_shell(packages, shell)
    _write(folder / "opt/nvidia/nvidia_entrypoint.sh", _ENTRYPOINT, mode=0o755)
    _write(folder / "opt/nvidia/entrypoint.d/10-banner.sh", "#!/bin/bash\n", mode=0o755)
    _write(folder / "opt/pytorch/pytorch/README.md", "the source of torch; an upper layer empties this folder\n")
    pins = sorted([*REAL, *(f"{shell.name.replace('_', '-')}=={shell.version}" for shell in SHELLS)])
    _write(folder / "etc/pip/constraint.txt", "# pinned by the base\n" + "".join(f"{pin}\n" for pin in pins))
    _write(folder / "etc/ld.so.conf.d/nvidia.conf", "/usr/local/nvidia/lib\n/usr/local/nvidia/lib64\n")
    _write(folder / "etc/ld.so.conf.d/000_cuda.conf", "/usr/local/cuda/lib64\n")
    _write(folder / "workspace/README.md", "NVIDIA PyTorch\n")
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "usr/bin/python").symlink_to("python3")


def _install_real(packages: Path, prefix: Path, version: str, cache: Path) -> None:
    import uv  # noqa: PLC0415 - only a machine that builds the base needs it

    subprocess.run(
        (uv.find_uv_bin(), "pip", "install", "--quiet", "--target", packages, "--python-version", version,
         "--python-platform", f"{MACHINE}-manylinux_2_28", "--only-binary", ":all:", "--no-deps", "--link-mode", "copy",
         "--cache-dir", cache / "uv", *REAL),
        check=True,
    )  # fmt: skip
    (packages / ".lock").unlink(missing_ok=True)
    for name in ("bin", "share"):  # `--target` keeps these beside the modules; pip puts them under the prefix
        if (packages / name).exists():
            shutil.move(packages / name, prefix / name)
    for script in (prefix / "bin").iterdir():
        script.write_bytes(re.sub(rb"\A#!.*", b"#!/usr/bin/python3", script.read_bytes()))
    for record in packages.glob("*.dist-info/RECORD"):
        rows = [_moved(row, packages) for row in csv.reader(record.read_text(encoding="utf-8").splitlines())]
        record.write_text(_rows(rows), encoding="utf-8")


def _moved(row: list[str], packages: Path) -> list[str]:
    if not row[0].startswith(("bin/", "share/")):
        return row
    path = f"../../../{row[0]}"
    return [path, *_hash_and_size((packages / path).read_bytes())]


def _write_libraries(folder: Path, packages: Path) -> None:
    triplet = f"{MACHINE}-linux-gnu"
    toolkit = f"usr/local/cuda-12.6/targets/{'x86_64' if MACHINE == 'x86_64' else 'sbsa'}-linux/lib"
    places = {"torch": packages / "torch/lib", "cuda": folder / toolkit, "system": folder / "usr/lib" / triplet}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    for path, soname, needed, symbols, version in _LIBRARIES:
        kind, _, name = path.partition("/")
        _compile(places[kind] / name, soname, needed, symbols, version)
    (folder / "usr/local/cuda-12.6/lib64").symlink_to(Path(toolkit).relative_to("usr/local/cuda-12.6"))
    (folder / "usr/local/cuda").symlink_to("/usr/local/cuda-12.6")  # absolute, as NVIDIA's own
    (folder / toolkit / "libcudart.so").symlink_to("libcudart.so.12")
    _write(folder / "usr/local/cuda-12.6/version.json", '{"cuda":{"name":"CUDA SDK","version":"12.6.3"}}\n')


def _compile(target: Path, soname: str, needed: tuple[str, ...], symbols: tuple[str, ...], version: str) -> None:
    source = (
        "".join(f"void {symbol}(void) {{}}\n" for symbol in symbols) + "static int own; int *_own(void){return &own;}"
    )
    script = target.with_name(f"{target.name}.map")
    script.write_text(f"{version or 'unused'} {{ global: *; local: _own; }};\n", encoding="utf-8")
    # A needed library may lie elsewhere at run time, so a stand-in of the same soname is linked here.
    stand_ins = [_stand_in(target.parent / f".{name}", name) for name in needed]
    subprocess.run(
        ("gcc", "-shared", "-fPIC", "-nostdlib", "-w", "-x", "c", "-", "-o", target, f"-Wl,-soname,{soname}",
         "-Wl,--no-as-needed", *((f"-Wl,--version-script={script}",) if version else ()), "-x", "none", *stand_ins),
        input=source.encode(),
        check=True,
    )  # fmt: skip
    for extra in (script, *stand_ins):
        extra.unlink()


def _stand_in(path: Path, soname: str) -> Path:
    subprocess.run(
        ("gcc", "-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-o", path, f"-Wl,-soname,{soname}"),
        input=b"",
        check=True,
    )
    return path


def _write_shell(packages: Path, shell: _Shell) -> None:
    body = f'"""{shell.name}, in name only."""\n\nfrom {shell.name}.version import __version__\n'
    _write(packages / shell.name / "__init__.py", body)
    _write(packages / shell.name / "version.py", f"__version__ = {shell.version!r}\n")
    information = packages / f"{shell.name}-{shell.version}.dist-info"
    requires = "".join(f"Requires-Dist: {line}\n" for line in shell.requires)
    _write(
        information / "METADATA", f"Metadata-Version: 2.1\nName: {shell.name}\nVersion: {shell.version}\n{requires}\n"
    )
    _write(information / "INSTALLER", "pip\n")
    _write(information / "WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_{MACHINE}\n")
    _write(information / "top_level.txt", f"{shell.name}\n")
    owned = sorted([*(packages / shell.name).rglob("*"), *information.iterdir()])
    rows = [
        [path.relative_to(packages).as_posix(), *_hash_and_size(path.read_bytes())] for path in owned if path.is_file()
    ]
    _write(information / "RECORD", _rows([*rows, [f"{information.name}/RECORD", "", ""]]))


def _hash_and_size(content: bytes) -> tuple[str, str]:
    encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={encoded}", str(len(content))


def _rows(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
