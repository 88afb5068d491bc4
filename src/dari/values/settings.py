"""Settings that hold for a whole run; the command line makes them once from its flags and the environment."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """`cache` is dari's own folder; `docker_configs` are credential files in the order they are asked."""

    cache: Path
    docker_configs: tuple[Path, ...] = ()
    insecure_registries: tuple[str, ...] = ()  # hosts (with port) spoken to without TLS; loopback always may be
    offline: bool = False
    uploads: int = 8  # layers in flight
    workers: int = 2  # processor threads for making layers
    epoch: int = 0  # seconds since 1970 that images are said to be created at
