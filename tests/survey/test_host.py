"""What the machine says about itself."""

import platform
from pathlib import Path

import pytest

from dari.survey import host_apt_sources, host_platform
from dari.values.inventory import AptSource
from dari.values.malformed import Malformed
from dari.values.platform import Platform

ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.mark.parametrize(
    ("machine", "architecture"), [("x86_64", "amd64"), ("AMD64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")]
)
def test_images_for_this_machine_are_linux_images(
    monkeypatch: pytest.MonkeyPatch, machine: str, architecture: str
) -> None:
    """Also on macOS, whose machine name is arm64."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_platform() == Platform("linux", architecture)


def test_another_architecture_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that no CUDA image is made for is an error with its name."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(Malformed, match="riscv64"):
        host_platform()


def test_package_sources_come_with_their_keys(tmp_path: Path) -> None:
    """sources.list, sources.list.d in both forms, and the keyrings that they name, below any root."""
    files = {
        "etc/apt/sources.list": b"deb http://a.example/debian bookworm main\n",
        "etc/apt/sources.list.d/b.sources": b"Types: deb\nURIs: http://b.example/\nSuites: noble\nComponents: main\n"
        b"Signed-By: /usr/share/keyrings/b.asc\n",
        "etc/apt/sources.list.d/ignored.txt": b"deb nonsense",
        "etc/apt/trusted.gpg.d/a.gpg": b"\x99a",
        "usr/share/keyrings/b.asc": ARMOR,
        "usr/share/keyrings/huge.gpg": b"x" * (5 << 20),
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert host_apt_sources(tmp_path) == (
        AptSource("http://a.example/debian", "bookworm", ("main",), b"\x99a"),
        AptSource("http://b.example", "noble", ("main",), b"\x99"),
    )


def test_a_machine_without_apt_has_no_sources(tmp_path: Path) -> None:
    """An empty root is not an error."""
    assert host_apt_sources(tmp_path) == ()
