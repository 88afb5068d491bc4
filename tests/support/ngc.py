"""An NGC-shaped base image of real parts: a Debian root, a GPU stack in NGC's places and versions, NGC's Env.

Three layers, lowest first: the root file system (gzip), the GPU stack and real Python distributions (zstd), and one
with a whiteout, an opaque directory and a hardlink (gzip). Python runs in it; what needs a GPU is an importable
shell of the real thing. Everything is written here with tarfile, so that no test of dari's own layers leans on dari.

Sources: the Env and labels of NGC PyTorch images as NVIDIA's release notes and `docker inspect` show them.
"""

import fcntl
import functools
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import ngc_layers, ngc_stack

TAG = "24.12-py3"
CREATED = "2024-12-17T00:00:00Z"
_SOURCES = (
    Path("/etc/apt/sources.list.d/debian.sources"),
    Path("/etc/apt/sources.list.d/ubuntu.sources"),
    Path("/etc/apt/sources.list"),
)
_LEAN = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


def ngc_layout(cache: Path, *, padding_mb: int = 0) -> Path:
    """Return an OCI layout folder with the base as tag 24.12-py3, built under `cache` the first time (about 45 s).

    `padding_mb` puts that many MiB of incompressible layers, 256 MiB each, between the stack and the top layer.
    Treat it as read-only.
    """
    own = b"".join(Path(str(module.__file__)).read_bytes() for module in (ngc_layers, ngc_stack))
    key = hashlib.sha256(own + Path(__file__).read_bytes() + _root_key().encode()).hexdigest()[:16]
    target = cache / (f"ngc-{key}" + (f"-{padding_mb}" if padding_mb else ""))
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".ngc.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _build(cache, Path(folder) / "layout", padding_mb)
                (Path(folder) / "layout").rename(target)
    return target


def push_to(layout: Path, registry_host: str, repository: str, tag: str = TAG) -> str:
    """Copy the base into a plain-HTTP registry with skopeo, digests kept; returns its reference."""
    reference = f"{registry_host}/{repository}:{tag}"
    _call(
        "skopeo", "copy", "-q", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false",
        f"oci:{layout}:{TAG}", f"docker://{reference}",
    )  # fmt: skip
    return reference


def unpacked(cache: Path) -> Path:
    """Return the base's root file system as `umoci unpack` makes it, under `cache`. Treat it as read-only."""
    layout = ngc_layout(cache)
    bundle = layout.with_name(f"{layout.name}-bundle")
    with (cache / ".ngc.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not bundle.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _call("umoci", "unpack", "--image", f"{gzip_copy(layout, Path(folder))}:{TAG}", f"{folder}/bundle")
                (Path(folder) / "bundle").rename(bundle)
    return bundle / "rootfs"


def gzip_copy(layout: Path, folder: Path) -> Path:
    """Return a copy of the base in `folder` with all layers in gzip, for programs that read no zstd (umoci 0.4)."""
    copy = folder / "gzip"
    _call(
        "skopeo", "copy", "-q", "--insecure-policy", f"oci:{layout}:{TAG}", f"dir:{folder}/plain", "--dest-decompress"
    )
    _call("skopeo", "copy", "-q", "--insecure-policy", f"dir:{folder}/plain", f"oci:{copy}:{TAG}")
    return copy


@dataclass(frozen=True, slots=True)
class _Made:
    descriptor: dict[str, Any]
    diff_id: str
    created_by: str


class _Blobs:
    """The layout's blobs folder: content in, descriptor out."""

    def __init__(self, layout: Path) -> None:
        self._folder = layout / "blobs" / "sha256"
        self._folder.mkdir(parents=True)

    def put(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self._folder / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def layer(self, codec: str, created_by: str, fill: Callable[[tarfile.TarFile], None]) -> _Made:
        partial = self._folder / "partial"
        with partial.open("wb") as stream:
            diff_id, digest, size = ngc_layers.write_layer(stream, codec, fill)
        partial.rename(self._folder / digest)
        media_type = "application/vnd.oci.image.layer.v1.tar" + {"none": ""}.get(codec, f"+{codec}")
        return _Made({"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}, diff_id, created_by)


def _build(cache: Path, layout: Path, padding_mb: int) -> None:
    blobs = _Blobs(layout)
    root = _root(cache)
    python = _python_of(root)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        ngc_stack.write_stack(Path(folder), python, cache)
        layers = [
            blobs.layer("gzip", "/bin/sh -c #(nop) ADD file:root in / ", lambda tar: ngc_layers.copy_root(root, tar)),
            blobs.layer("zstd", "RUN install the GPU stack", lambda tar: ngc_layers.add_folder(tar, Path(folder))),
        ]
    for number, size in enumerate(_slices(padding_mb, 256)):
        fill = functools.partial(ngc_layers.add_padding, number=number, size_mb=size)
        layers.append(blobs.layer("gzip-stored", f"RUN padding {number}", fill))
    layers.append(blobs.layer("gzip", "RUN tidy", lambda tar: ngc_layers.add_top(tar, python)))
    for layer in layers:
        layer.descriptor["mediaType"] = layer.descriptor["mediaType"].removesuffix("-stored")
    config = blobs.put(_json(_config(layers, python)), "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer.descriptor for layer in layers],
    }
    descriptor = blobs.put(_json(manifest), "application/vnd.oci.image.manifest.v1+json")
    tagged = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": TAG}}
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [tagged]}))
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def _config(layers: list[_Made], python: str) -> dict[str, Any]:
    packages = f"/usr/local/lib/{python}/dist-packages"
    os_release = _os_release()
    environment = {
        "PATH": "/usr/local/mpi/bin:/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin"
        ":/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/ucx/bin:/opt/amazon/efa/bin",
        "LD_LIBRARY_PATH": f"{packages}/torch/lib:{packages}/torch_tensorrt/lib:/usr/local/cuda/compat/lib"
        ":/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
        **ngc_stack.ENVIRONMENT,
    }
    return {
        "created": CREATED,
        "architecture": ngc_stack.ARCHITECTURE,
        "os": "linux",
        "config": {
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Entrypoint": ["/opt/nvidia/nvidia_entrypoint.sh"],
            "WorkingDir": "/workspace",
            "Labels": {
                **ngc_stack.LABELS,
                "org.opencontainers.image.ref.name": os_release["ID"],
                "org.opencontainers.image.version": os_release["VERSION_ID"],
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": CREATED, "created_by": layer.created_by} for layer in layers],
    }


def _root_key() -> str:
    return hashlib.sha256(
        "\n".join((*_root_command(Path("root.tar")), _os_release()["VERSION_CODENAME"])).encode()
    ).hexdigest()[:12]


def _root_command(target: Path) -> tuple[str, ...]:
    sources = next(path for path in _SOURCES if path.exists())
    return (
        "mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,ca-certificates",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAN),
        _os_release()["VERSION_CODENAME"], str(target), str(sources),
    )  # fmt: skip


def _root(cache: Path) -> Path:
    """Return the tar of a minimal Debian (or Ubuntu: whatever this host is) with Python, made once."""
    target = cache / f"root-{_root_key()}.tar"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            partial = Path(folder) / "root.tar"
            _call(*_root_command(partial))
            shutil.move(partial, target)
    return target


def _python_of(root: Path) -> str:
    with tarfile.open(root) as archive:
        return archive.getmember("./usr/bin/python3").linkname  # 'python3.11'


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}


def _slices(total: int, largest: int) -> list[int]:
    return [largest] * (total // largest) + ([total % largest] if total % largest else [])


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _call(*argv: str) -> None:
    completed = subprocess.run(argv, check=False, stderr=subprocess.PIPE)
    if completed.returncode:
        raise RuntimeError(f"{argv[0]} ended with {completed.returncode}: {completed.stderr.decode()[-2000:]}")
