"""A build in a process of its own, to be killed, starved or run beside another: prints the image's digest.

    python -m tests.image.builder STORE LAYOUT TAG [LIMIT]

LIMIT is the largest file in bytes that the process may write (RLIMIT_FSIZE).
"""

import random
import resource
import sys
from pathlib import Path

from dari.errors import DariError
from dari.image import assemble, make_layers, write_layout
from dari.system import Store
from dari.values.config import ConfigChange
from dari.values.entry import LayerPlan
from dari.values.media import Codec
from dari.values.progress import Silent
from dari.values.reference import Layout
from tests.support.oci import AMD64, file, part

LAYERS, MEGABYTES = 4, 4


def plans() -> list[LayerPlan]:
    """Return the plans that every such process has: the same content each time."""
    return [
        LayerPlan(
            f"layer {number}",
            (part(f"part {number}", [file(f"lib{number}.so", random.Random(number).randbytes(MEGABYTES << 20))]),),  # noqa: S311 - no secret
        )
        for number in range(LAYERS)
    ]


def main(store: str, layout: str, tag: str, limit: str = "") -> None:
    """Build and write; ends with status 3 and one line where dari reports an error."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    todo = plans()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        made = make_layers(todo, codec=Codec.GZIP, store=Store(Path(store)), progress=Silent(), workers=2)
        built = assemble(None, made, ConfigChange(), platform=AMD64, history=[plan.title for plan in todo])
        write_layout(Layout(Path(layout), tag), [built], complete=True, progress=Silent())
    except DariError as error:
        sys.stdout.write(f"{error.id}\n{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(f"{built.digest}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
