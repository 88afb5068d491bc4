"""What manifest and config alone say of an image, for each family of bases, with where it was read."""

import dataclasses
from collections.abc import Mapping

import pytest

from dari.bases import describe
from dari.values.base import BaseFacts
from dari.values.fact import Known, Missing
from dari.values.image import Image
from tests.bases.making import image, layer, tar
from tests.support import ngc_stack

NGC = {
    **ngc_stack.ENVIRONMENT,
    "LD_LIBRARY_PATH": "/usr/local/lib/python3.12/dist-packages/torch/lib:/usr/local/cuda/compat/lib",
}
NGC_LABELS = {
    **ngc_stack.LABELS,
    "org.opencontainers.image.ref.name": "ubuntu",
    "org.opencontainers.image.version": "24.04",
}
CUDA = {
    "NVARCH": "x86_64",
    "NVIDIA_REQUIRE_CUDA": "cuda>=12.6 brand=tesla,driver>=535,driver<536",
    "NV_CUDA_CUDART_VERSION": "12.6.77-1",
    "CUDA_VERSION": "12.6.3",
    "NCCL_VERSION": "2.23.4-1",
    "NV_CUDNN_VERSION": "9.5.1.17-1",
    "NVIDIA_PRODUCT_NAME": "CUDA",
}
PYTORCH_HISTORY = (
    "/bin/sh -c #(nop)  LABEL org.opencontainers.image.version=22.04",
    "ARG CUDA_VERSION=12.4",
    "RUN |4 PYTHON_VERSION=3.11 CUDA_VERSION=12.4.1 TARGETPLATFORM=linux/amd64 X= /bin/sh -c echo RUN=1 # buildkit",
)
PYTHON = {"PATH": "/usr/local/bin:/usr/bin", "PYTHON_VERSION": "3.12.8", "PYTHON_SHA256": "c9"}


def _facts(facts: BaseFacts) -> dict[str, object]:
    return {
        field.name: fact.value
        for field in dataclasses.fields(facts)
        if isinstance(fact := getattr(facts, field.name), Known)
    }


CASES: dict[str, tuple[Image, Mapping[str, object]]] = {
    "NGC PyTorch 24.12": (
        image(layer(tar([])), environment=NGC, labels=NGC_LABELS),
        {
            "family": "NVIDIA PyTorch (NGC)", "release": "24.12", "os": "ubuntu 24.04", "cuda": "12.6.3.004",
            "cuda_driver": "560.35.05", "nccl": "2.23.4", "cudnn": "9.6.0.74", "cublas": "12.6.4.1",
            "transformer_engine": "1.13", "python": "3.12", "torch": "2.6.0a0+df5bbc0",
            "gpu_architectures": ("6.0", "6.1", "7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "9.0+PTX"),
            "gpu_requirements": ("NVIDIA_REQUIRE_CUDA=cuda>=9.0",), "pip_constraint": "/etc/pip/constraint.txt",
        },
    ),
    "an image upon NGC PyTorch names its own product": (
        image(layer(tar([])), environment={"NVIDIA_PRODUCT_NAME": "vLLM", "NVIDIA_PYTORCH_VERSION": "25.10",
                                           "NVIDIA_VLLM_VERSION": "25.10.1", "CUDNN_VERSION": "8.9.7.29+cuda12.2"}),
        {"family": "NVIDIA vLLM (NGC)", "release": "25.10.1", "cudnn": "8.9.7.29"},
    ),
    "nvidia/cuda": (
        image(layer(tar([])), environment=CUDA, labels={"maintainer": "NVIDIA CORPORATION <cudatools@nvidia.com>"}),
        {"family": "nvidia/cuda", "cuda": "12.6.3", "nccl": "2.23.4", "cudnn": "9.5.1.17",
         "gpu_requirements": ("NVIDIA_REQUIRE_CUDA=cuda>=12.6 brand=tesla,driver>=535,driver<536",)},
    ),
    "pytorch/pytorch": (
        image(
            layer(tar([])), environment={"PYTORCH_VERSION": "2.5.1", "PATH": "/opt/conda/bin:/usr/bin"},
            labels={"org.opencontainers.image.ref.name": "ubuntu", "org.opencontainers.image.version": "22.04"},
            history=PYTORCH_HISTORY,
        ),
        {"family": "pytorch/pytorch", "os": "ubuntu 22.04", "torch": "2.5.1", "cuda": "12.4.1", "python": "3.11"},
    ),
    "the official Python image": (
        image(layer(tar([])), environment=PYTHON,
              history=["# debian.sh --arch 'amd64' out/ 'bookworm' '@1733097600'"]),
        {"family": "python", "os": "debian bookworm", "python": "3.12.8"},
    ),
    "Red Hat's": (
        image(layer(tar([])), labels={"vendor": "Red Hat, Inc.", "name": "ubi9", "version": "9.5"}),
        {"os": "ubi9 9.5"},
    ),
    "nothing at all": (image(layer(tar([])), created=""), {}),
}  # fmt: skip
ALWAYS = {"platform", "created", "layers", "compressed_size"}


@pytest.mark.parametrize("name", CASES)
def test_each_family_is_read(name: str) -> None:
    """Everything that the config says, nothing that it doesn't."""
    made, expected = CASES[name]
    found = _facts(describe(made))
    assert {key: value for key, value in found.items() if key not in ALWAYS} == expected
    assert (found["platform"], found["layers"], found["compressed_size"]) == ("linux/amd64", 1, made.size)


def test_the_constant_cuda_label_is_not_believed() -> None:
    """`com.nvidia.cuda.version` says 9.0 in every NGC image; the variable is what counts."""
    made = image(layer(tar([])), labels={"com.nvidia.cuda.version": "9.0"})
    assert isinstance(describe(made).cuda, Missing)


def test_every_fact_says_where_it_was_read() -> None:
    """Known facts carry their evidence, missing ones where was looked."""
    facts = describe(CASES["NGC PyTorch 24.12"][0])
    assert facts.cuda == Known("12.6.3.004", "Env CUDA_VERSION")
    assert facts.python == Known("3.12", "Env LD_LIBRARY_PATH")
    assert describe(CASES["pytorch/pytorch"][0]).cuda == Known("12.4.1", "history: build argument CUDA_VERSION")
    nothing = describe(CASES["nothing at all"][0])
    for field in dataclasses.fields(nothing):
        fact = getattr(nothing, field.name)
        assert fact.evidence if isinstance(fact, Known) else fact.reason and fact.looked_at, field.name
