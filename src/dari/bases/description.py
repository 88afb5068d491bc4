"""What manifest and config alone say of an image: variables, labels, and the lines of its history.

Sources: the Env and labels of NGC framework images 20.06 to 26.07, of nvidia/cuda 11.8 to 13.2 and of the official
Python and PyTorch images. Read 2026-11-23.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from dari.values.base import BaseFacts
from dari.values.config import ImageConfig
from dari.values.fact import Fact, Known, Missing
from dari.values.image import Image

_PYTHON_FOLDER: Final = re.compile(r"/python(\d\.\d{1,2})(?:/|$)")
# Debian's own images are made by `debian.sh --arch 'amd64' out/ 'bookworm' '@1732492800'`.
_DEBIAN_LINE: Final = re.compile(r"debian\.sh --arch '\w+' \S+ '(?P<codename>[a-z]+)'")
# Build arguments: BuildKit writes each as `ARG NAME=value`, and both builders `|2 NAME=value … /bin/sh -c …`.
_ARGUMENTS: Final = re.compile(r"(?:RUN )?(?:\|\d+ |ARG )(?P<list>.*?)(?: /bin/(?:ba)?sh .*)?", re.DOTALL)
_ARGUMENT: Final = re.compile(r"\b([A-Z][A-Z0-9_]*)=(\S+)")
_PRODUCT: Final = re.compile(r"NVIDIA_([A-Z0-9_]+)_VERSION")

T = TypeVar("T")


def describe(image: Image) -> BaseFacts:
    """Say what an image is from its manifest and config; what they don't say is Missing, with where it was looked."""
    config = image.config
    source = _Source(config.environment, config.labels, _build_arguments(config))
    return BaseFacts(
        family=_family(source),
        release=_release(source),
        os=_operating_system(config),
        platform=Known(str(config.platform), "config"),
        cuda=source.value("CUDA_VERSION"),  # not the label com.nvidia.cuda.version: it says 9.0 in every NGC image
        cuda_driver=source.value("CUDA_DRIVER_VERSION"),
        nccl=_changed(source.value("NCCL_VERSION", label="com.nvidia.nccl.version"), _upstream),
        cudnn=_changed(source.value("CUDNN_VERSION", "NV_CUDNN_VERSION", label="com.nvidia.cudnn.version"), _upstream),
        cublas=_changed(source.value("CUBLAS_VERSION", "NV_LIBCUBLAS_VERSION"), _upstream),
        tensorrt=source.value("TRT_VERSION", label="com.nvidia.tensorrt.version"),
        transformer_engine=source.value("TRANSFORMER_ENGINE_VERSION"),
        python=_python(source),
        torch=source.value("PYTORCH_VERSION", "PYTORCH_BUILD_VERSION", label="com.nvidia.pytorch.version"),
        gpu_architectures=_changed(source.value("TORCH_CUDA_ARCH_LIST", "CUDA_ARCH_LIST"), _words),
        gpu_requirements=_requirements(config),
        pip_constraint=source.value("PIP_CONSTRAINT"),
        entrypoint=_given(config.entrypoint, "config Entrypoint"),
        created=_given(config.created, "config created"),
        layers=Known(len(image.manifest.layers), "manifest"),
        compressed_size=Known(image.size, "manifest"),
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """The places where an image says a name's value, best first."""

    environment: Mapping[str, str]
    labels: Mapping[str, str]
    arguments: Mapping[str, str]

    def value(self, *names: str, label: str = "") -> Fact[str]:
        places = [(f"Env {name}", self.environment.get(name)) for name in names]
        if label:
            places.append((f"Label {label}", self.labels.get(label)))
        places += [(f"history: build argument {name}", self.arguments.get(name)) for name in names]
        for place, value in places:
            if value:
                return Known(value, place)
        return Missing("the image doesn't say", tuple(place for place, _ in places))


def _build_arguments(config: ImageConfig) -> Mapping[str, str]:
    return dict(
        argument
        for line in config.history
        if (match := _ARGUMENTS.fullmatch(line.created_by))
        for argument in _ARGUMENT.findall(match["list"])
    )


def _family(source: _Source) -> Fact[str]:
    product = source.environment.get("NVIDIA_PRODUCT_NAME", "")
    if product and product != "CUDA":
        return Known(f"NVIDIA {product} (NGC)", "Env NVIDIA_PRODUCT_NAME")
    if "NV_CUDA_CUDART_VERSION" in source.environment and "PYTORCH_VERSION" not in source.environment:
        return Known("nvidia/cuda", "Env NV_CUDA_CUDART_VERSION")
    if "PYTORCH_VERSION" in source.environment:
        return Known("pytorch/pytorch", "Env PYTORCH_VERSION")
    if "PYTHON_SHA256" in source.environment and "PYTHON_VERSION" in source.environment:
        return Known("python", "Env PYTHON_SHA256")
    return Missing(
        "it looks like none of the families dari knows",
        ("Env NVIDIA_PRODUCT_NAME", "Env NV_CUDA_CUDART_VERSION", "Env PYTORCH_VERSION", "Env PYTHON_SHA256"),
    )


def _release(source: _Source) -> Fact[str]:
    product = re.sub(r"\W", "", source.environment.get("NVIDIA_PRODUCT_NAME", "")).upper()
    # An image built upon another keeps the other's variable: the one of the product's own name counts.
    names = [f"NVIDIA_{product}_VERSION"] if product else []
    names += sorted(name for name in source.environment if _PRODUCT.fullmatch(name))
    if not names:
        return Missing("the image names no product release", ("Env NVIDIA_…_VERSION",))
    return source.value(*names)


def _operating_system(config: ImageConfig) -> Fact[str]:
    version = config.labels.get("org.opencontainers.image.version", "")
    name = config.labels.get("org.opencontainers.image.ref.name", "")
    if name in {"ubuntu", "debian"} and version:
        return Known(f"{name} {version}", "Label org.opencontainers.image.version")
    for number, line in enumerate(config.history, 1):
        if match := _DEBIAN_LINE.search(line.created_by):
            return Known(f"debian {match['codename']}", f"history line {number}")
    if config.labels.get("vendor", "").startswith("Red Hat") and (release := config.labels.get("version")):
        return Known(f"{config.labels.get('name', 'redhat')} {release}", "Label version")
    return Missing(
        "neither labels nor history name it",
        ("Label org.opencontainers.image.ref.name", "Label org.opencontainers.image.version", "history"),
    )


def _python(source: _Source) -> Fact[str]:
    said = source.value("PYTHON_VERSION")
    if isinstance(said, Known):
        return said
    looked_at = ("LD_LIBRARY_PATH", "PATH", "PYTHONPATH")
    for name in looked_at:
        if match := _PYTHON_FOLDER.search(source.environment.get(name, "")):
            return Known(match[1], f"Env {name}")
    return Missing(said.reason, (*said.looked_at, *(f"Env {name}" for name in looked_at)))


def _requirements(config: ImageConfig) -> Fact[tuple[str, ...]]:
    # The toolkit reads every variable of this prefix but Jetson's (nvidia-container-toolkit, internal/requirements).
    found = tuple(
        f"{name}={value}"
        for name, value in sorted(config.environment.items())
        if name.startswith("NVIDIA_REQUIRE_") and not name.startswith("NVIDIA_REQUIRE_JETPACK") and value
    )
    return Known(found, "Env NVIDIA_REQUIRE_…") if found else Missing("it requires nothing", ("Env NVIDIA_REQUIRE_…",))


def _given(value: T, place: str) -> Fact[T]:
    return Known(value, place) if value else Missing("the image doesn't say", (place,))


def _changed(fact: Fact[str], change: Callable[[str], T]) -> Fact[T]:
    return Known(change(fact.value), fact.evidence) if isinstance(fact, Known) else fact


def _upstream(version: str) -> str:
    """Take NVIDIA's package revision (2.23.4-1) and CUDA suffix (8.9.7.29+cuda12.2) off."""
    return re.split(r"[-+]", version, maxsplit=1)[0]


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"[\s;]+", text.strip()))
