"""What a wheel holds, read without installing it."""

import re
from dataclasses import dataclass
from typing import Final

from dari.values.elf import DynamicElf

# The names a framework or a CUDA library owns: C++ functions, methods, type infos and guards in torch's namespaces
# (Itanium C++ ABI, 5.1: _ZN…, _ZNK…, _ZTV/_ZTI…, lengths before names), and the C prefixes of torch and CUDA.
# The driver's own cu[A-Z]… are left out: libcuda.so.1 comes from the host, never from an image.
_TORCH: Final = re.compile(
    rb"_Z(?:T[A-Z]|GV|GR)?N[VKr]*[RO]?(?:2at|3c10|4c10d|5torch|6caffe2)(?=\w)"
    rb"|(?:aoti_torch_|torch_(?:library|call|get|set|list|new|delete|dispatch|exception|abi|parallel|string)_|THP[A-Z])"
)
_CUDA: Final = re.compile(
    rb"(?:_*cuda[A-Z]|cublas|cudnn|cufft|curand|cusolver|cusparse|nccl[A-Z]|pnccl[A-Z]|nvrtc[A-Z]|nvJitLink|nvjpeg)"
)


@dataclass(frozen=True, slots=True)
class WheelBinary:
    """A shared library or extension module of a wheel; `path` is inside the archive.

    Its symbols are only those that `is_stack_symbol` knows: the others are never judged, and pyarrow alone has 10^5.
    """

    path: str
    elf: DynamicElf


@dataclass(frozen=True, slots=True)
class WheelContents:
    """A wheel's name and version (from its metadata), what it requires, and its binaries.

    `installed_paths` are where its files would land for the target it was read for, relative to the root.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    pure: bool
    installed_paths: tuple[str, ...]
    binaries: tuple[WheelBinary, ...]


def is_torch_symbol(name: bytes) -> bool:
    """Say whether a dynamic symbol's name belongs to torch (libtorch*, libc10*, libtorch_python)."""
    return _TORCH.match(name) is not None


def is_cuda_symbol(name: bytes) -> bool:
    """Say whether a dynamic symbol's name belongs to CUDA's toolkit libraries, cuDNN or NCCL (not to the driver)."""
    return _CUDA.match(name) is not None


def is_stack_symbol(name: bytes) -> bool:
    """Say whether a dynamic symbol's name belongs to the GPU stack."""
    return is_torch_symbol(name) or is_cuda_symbol(name)
