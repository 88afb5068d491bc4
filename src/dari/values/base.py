"""What an image says of itself: manifest and config, a few kB, nothing of its layers."""

from dataclasses import dataclass

from dari.values.fact import Fact


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """Facts of a base image, each with where it was read. Versions are as written there; sizes are in bytes."""

    family: Fact[str]  # 'NVIDIA PyTorch (NGC)', 'nvidia/cuda', 'pytorch/pytorch', 'python', …
    release: Fact[str]  # the product's own number: '24.12'
    os: Fact[str]  # 'ubuntu 24.04'
    platform: Fact[str]
    cuda: Fact[str]
    cuda_driver: Fact[str]  # the driver it was built for: newer ones run it as it is
    nccl: Fact[str]
    cudnn: Fact[str]
    cublas: Fact[str]
    tensorrt: Fact[str]
    transformer_engine: Fact[str]
    python: Fact[str]
    torch: Fact[str]
    gpu_architectures: Fact[tuple[str, ...]]  # compute capabilities: '8.0', …, '9.0+PTX'
    gpu_requirements: Fact[tuple[str, ...]]  # NVIDIA_REQUIRE_…=expression
    pip_constraint: Fact[str]
    entrypoint: Fact[tuple[str, ...]]
    created: Fact[str]
    layers: Fact[int]
    compressed_size: Fact[int]
