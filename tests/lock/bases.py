"""Bases as values: an NGC-shaped inventory, and one of nothing."""

from dari.values.digest import Digest
from dari.values.fact import Known
from dari.values.inventory import Distribution, Inventory, OsRelease
from dari.values.platform import Platform
from dari.values.protection import is_protected_distribution
from dari.values.python import InstallScheme, PythonTarget

SITE = "usr/local/lib/python3.12/dist-packages"
AMD64 = Platform("linux", "amd64")
TARGET = PythonTarget(
    (3, 12),
    "/usr/bin/python3.12",
    InstallScheme(SITE, SITE, "usr/local/bin", "usr/local", "usr/local/include"),
    (SITE, "usr/lib/python3/dist-packages"),
    AMD64,
    (2, 39),
)
TORCH = "2.6.0a0+df5bbc09d1.nv24.12"
# From the pip list of NGC PyTorch 24.12 and what its own distributions ask for.
NGC = {
    "aiohttp": "3.11.9",
    "click": "8.1.7",
    "filelock": "3.16.1",
    "flash-attn": "2.4.2",
    "fsspec": "2024.5.0",
    "Jinja2": "3.1.4",
    "networkx": "3.4.2",
    "numpy": "1.26.4",
    "packaging": "23.2",
    "pandas": "2.2.2",
    "protobuf": "4.24.4",
    "psutil": "6.1.0",
    "pydantic": "2.10.3",
    "python-dateutil": "2.9.0",
    "pytorch-triton": "3.0.0+dedb7bdf3",
    "PyYAML": "6.0.2",
    "regex": "2024.11.6",
    "requests": "2.32.3",
    "setuptools": "70.3.0",
    "six": "1.16.0",
    "sympy": "1.13.1",
    "torch": TORCH,
    "torchvision": "0.20.0a0",
    "tqdm": "4.66.5",
    "transformer-engine": "1.13.0+e5edd6c",
    "typing_extensions": "4.12.2",
}
REQUIRES = {
    "fsspec": ('aiohttp!=4.0.0a0,!=4.0.0a1; extra == "http"', 'gcsfs; extra == "gcs"'),
    "pandas": ("numpy>=1.26.0; python_version >= '3.12'", "python-dateutil>=2.8.2", "pytz>=2020.1"),
    "torch": ("filelock", "sympy==1.13.1", "setuptools; python_version >= '3.12'"),
}


def inventory(
    distributions: dict[str, str],
    *,
    requires: dict[str, tuple[str, ...]] | None = None,
    constraints: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> Inventory:
    """Return a base with these distributions in its first site directory."""
    return Inventory(
        manifest=Digest.of(b"a base"),
        platform=AMD64,
        os_release=OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04.1 LTS"),
        packages=(),
        apt_sources=(),
        python=Known(TARGET, "usr/bin/python3.12"),
        distributions=tuple(
            Distribution(name, version, SITE, (requires or {}).get(name, ()), (), is_protected_distribution(name))
            for name, version in distributions.items()
        ),
        constraints=constraints,
        libraries=(),
        protected_paths=(),
        environment=environment or {},
    )


def ngc(**changed: str) -> Inventory:
    """Return the NGC-shaped base, with some versions changed."""
    return inventory({**NGC, **changed}, requires=REQUIRES)


def scratch() -> Inventory:
    """Return a base of nothing."""
    return inventory({})
