"""A base of a few kilobytes that looks like Debian with Python 3.12: nothing in it runs, all can be built on it."""

import subprocess
from pathlib import Path

from dari.image import write_layout
from dari.system import Store
from dari.values.entry import Entry, Kind
from dari.values.progress import Silent
from dari.values.reference import Layout
from tests.support.oci import file, image

LIBC = b"..GNU C Library (X GLIBC 2.39-1) stable release version 2.39.\n"


def small_base(folder: Path, *, mark: str = "") -> Layout:
    """Write the base as the layout `folder`/base:1; another `mark` gives another digest."""
    layers = (
        (
            file("etc/os-release", b'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'),
            file("usr/lib/x86_64-linux-gnu/libc.so.6", LIBC, 0o755),
            file("var/lib/dpkg/status", b"Package: libc6\nStatus: install ok installed\nVersion: 2.39-1\n\n"),
        ),
        (
            file("usr/bin/python3.12", b"\x7fELF" + mark.encode(), 0o755),
            Entry("usr/bin/python3", Kind.SYMLINK, 0o777, target="python3.12"),
            Entry("usr/lib/python3/dist-packages", Kind.DIRECTORY, 0o755),
        ),
    )
    layout = Layout(folder / "base", "1")
    write_layout(layout, [image(Store(folder / "store"), *layers)], complete=True, progress=Silent())
    return layout


def push_small_base(folder: Path, reference: str, *, mark: str = "") -> str:
    """Push the base to a registry with skopeo; returns `reference`."""
    copy = ("skopeo", "copy", "-q", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false")
    subprocess.run(
        (*copy, str(small_base(folder, mark=mark)), f"docker://{reference}"),
        check=True,
        capture_output=True,
        timeout=60,
    )
    return reference
