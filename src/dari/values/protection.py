"""The GPU stack that a base ships and that nothing of ours may install, replace, shadow or delete.

One table, used wherever the question comes up: by name when locking, by path when proving.
Sources: the pip list and Env of NGC PyTorch (docs.nvidia.com/deeplearning/frameworks/pytorch-release-notes) and
astral-sh/uv#6880. Read 2026-11-23.
"""

import re
from typing import Final

from packaging.utils import canonicalize_name

_DISTRIBUTIONS: Final = re.compile(
    r"torch|torchvision|torchaudio|torchtext|torchdata|torchao|torch-tensorrt|pytorch-triton|triton"
    r"|nvidia-.+|cuda-.+|cupy.*|apex|flash-attn|transformer-engine.*|tensorrt.*|xgboost-gpu|dali.*|nccl.*"
    r"|tensorflow|tensorflow-.*gpu|jax|jaxlib|jax-cuda.*"
)
# Shared by many: torchaudio and friends are protected where the base has them, and free where it hasn't.
_ONLY_WHERE_PRESENT: Final = re.compile(
    r"torchaudio|torchtext|torchdata|torchao|flash-attn|apex|transformer-engine.*|cupy.*|tensorflow.*|jax.*|tensorrt.*"
    r"|triton|torchvision|torch|nvidia-ml-py|nvidia-dali.*"
)
_LIBRARIES: Final = re.compile(
    r"lib(?:cuda|cudart|cudadebugger|cudnn|cublas|cufft|cufile|cupti|curand|cusolver|cusparse|cusparseLt|cutensor|nccl"
    r"|nvrtc|nvJitLink|nvjpeg|nvidia|nvinfer|nvperf|nvToolsExt|nvshmem|nvfatbin|npp|c10|torch|shm|caffe2)[\w+-]*"
    r"\.(?:so(?:\.[\w.-]+)?|a)"
)
_PATHS: Final = re.compile(
    r"usr/local/cuda(?:-[\d.]+)?(?:/.*)?|usr/local/nvidia(?:/.*)?|opt/nvidia(?:/.*)?|opt/hpcx(?:/.*)?"
    r"|etc/pip/(?:original_)?constraint\.txt|etc/ld\.so\.conf\.d/[^/]*(?:cuda|nvidia)[^/]*"
)


def is_protected_distribution(name: str) -> bool:
    """Say whether a base's Python distribution of this name belongs to its GPU stack."""
    return _DISTRIBUTIONS.fullmatch(canonicalize_name(name)) is not None


def may_be_added(name: str) -> bool:
    """Say whether a protected name may be installed where the base lacks it (torchaudio: yes; nvidia-cublas: no)."""
    return _ONLY_WHERE_PRESENT.fullmatch(canonicalize_name(name)) is not None


def is_gpu_library(file_name: str) -> bool:
    """Say whether a file name is that of a CUDA, NCCL or torch library."""
    return _LIBRARIES.fullmatch(file_name) is not None


def is_protected_path(path: str) -> bool:
    """Say whether a path of the base (relative to the root) belongs to its GPU stack by its place or its name."""
    return _PATHS.fullmatch(path) is not None or is_gpu_library(path.rpartition("/")[2])
