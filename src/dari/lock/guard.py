"""No sdist's code runs on this host unless its name was allowed: a sitecustomize that ends every other build.

uv asks build backends for metadata while it resolves. `--no-build` would make it fall back to an ancient version that
has a wheel (deepspeed 0.3.1) without a word; so builds are left on, and the Python that a build starts meets this
file first. It reads whose source folder it stands in (PKG-INFO) and stops, or lets go.
"""

from pathlib import Path
from typing import Final

from dari.system import write_atomically

REFUSAL: Final = "dari refuses this build"
PERMITTED: Final = "DARI_BUILD_PERMITTED"

_SITECUSTOMIZE: Final = f"""\
import os
import re

try:
    with open("PKG-INFO", encoding="utf-8", errors="replace") as stream:
        head = stream.read(1 << 20).partition("\\n\\n")[0]
    name = re.search(r"(?im)^name:\\s*(\\S+)", head).group(1)
except (AttributeError, OSError):
    name = ""
if name and re.sub(r"[-_.]+", "-", name).lower() in os.environ.get("{PERMITTED}", "").split(","):
    os.environ.pop("PYTHONPATH", None)
else:
    os.write(2, b"{REFUSAL}\\n")
    os._exit(97)
"""

# A build that would compile meets a compiler that fails: nothing made on this host's CPU and glibc gets into an image.
_COMPILERS: Final = ("CC", "CXX", "CPP", "LD", "LDSHARED", "NVCC", "CUDACXX", "HIPCC", "FC", "RUSTC", "CARGO")


def guarded(work: Path, permitted: tuple[str, ...]) -> dict[str, str]:
    """Write the guard under `work`; return the environment in which only `permitted` names may be built."""
    folder = work / "guard"
    write_atomically(folder / "sitecustomize.py", _SITECUSTOMIZE.encode())
    compiler = folder / "no-compiler"
    write_atomically(compiler, b"#!/bin/sh\necho 'dari: nothing is compiled on the host' >&2\nexit 97\n", mode=0o755)
    return {
        "PYTHONPATH": str(folder),
        PERMITTED: ",".join(sorted(permitted)),
        "CUDA_HOME": str(folder / "no-cuda"),
        "SOURCE_DATE_EPOCH": "315532800",
        **dict.fromkeys(_COMPILERS, str(compiler)),
    }
