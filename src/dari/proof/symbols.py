"""Names of shared libraries and dynamic symbols: whose they are, and how to show them."""

import re
from typing import Final

from dari.values.protection import is_gpu_library
from dari.values.wheel import is_torch_symbol

_TORCH_LIBRARY: Final = re.compile(r"lib(?:(?:torch|c10|caffe2)(?:_\w+)?|c10d|shm)\.so(?:\.[\w.]+)?")
# What the host's driver brings into every container: never in an image, always there when it runs.
_DRIVER_LIBRARY: Final = re.compile(r"lib(?:cuda|cudadebugger|nvidia-[\w-]+|nvcuvid|nvoptix)\.so(?:\.[\w.]+)?")
# C prefix → the library that exports it; longer prefixes first (cublasLt before cublas).
_OWNERS: Final = tuple(
    (re.compile(prefix), library)
    for prefix, library in (
        (rb"_*cuda[A-Z]", "libcudart"),
        (rb"cublasLt", "libcublasLt"),
        (rb"cublas", "libcublas"),
        (rb"cudnn", "libcudnn"),
        (rb"cufft", "libcufft"),
        (rb"curand", "libcurand"),
        (rb"cusolver", "libcusolver"),
        (rb"cusparseLt", "libcusparseLt"),
        (rb"cusparse", "libcusparse"),
        (rb"p?nccl[A-Z]", "libnccl"),
        (rb"nvrtc[A-Z]", "libnvrtc"),
        (rb"nvJitLink", "libnvJitLink"),
        (rb"nvjpeg", "libnvjpeg"),
    )
)
_NESTED: Final = re.compile(r"_Z(?:T[A-Z]|GV|GR)?N[VKr]*[RO]?")
_LENGTH: Final = re.compile(r"[1-9]\d*")
_LONGEST_SHOWN: Final = 120

TORCH: Final = "libtorch"


def is_judged_library(name: str) -> bool:
    """Say whether a NEEDED entry is one that base or wheels must offer: a GPU library that isn't the driver's."""
    return is_gpu_library(name) and _DRIVER_LIBRARY.fullmatch(name) is None


def family(library: str) -> str:
    """Return what a library's file name or soname is a version of: 'libcudart', or 'libtorch' for all of torch's."""
    return TORCH if _TORCH_LIBRARY.fullmatch(library) else library.partition(".so")[0]


def symbol_family(name: bytes) -> str:
    """Return the family of libraries that exports a symbol of the GPU stack; '' for any other symbol."""
    if is_torch_symbol(name):
        return TORCH
    return next((library for prefix, library in _OWNERS if prefix.match(name)), "")


def readable(symbol: bytes) -> str:
    """Show a symbol: `c10::Dispatcher::realSingleton` for a mangled nested name, else as it is."""
    text = symbol.decode("utf-8", "backslashreplace")
    match = _NESTED.match(text)
    parts: list[str] = []
    place = match.end() if match else len(text)
    while length := _LENGTH.match(text, place):
        place = length.end() + int(length[0][:6])
        parts.append(text[length.end() : place])
    return ("::".join(parts) or text)[:_LONGEST_SHOWN]
