"""`dari inspect REF`."""

import click

from dari.cli.environment import settings
from dari.cli.options import LOCATION, json_option, platform_option
from dari.cli.progress import progress_for
from dari.cli.render import write
from dari.values.platform import Platform
from dari.values.reference import Location


@click.command("inspect")
@click.argument("image", type=LOCATION, metavar="REF")
@platform_option
@json_option
@click.pass_context
def command(context: click.Context, *, image: Location, platform: Platform | None, as_json: bool) -> int:
    """Say what an image is from its manifest and config alone: a few kB, no layers.

    OS, CUDA and the driver it was built for, NCCL, cuDNN, Python, torch, platforms, sizes.

    \b
    Examples:
      dari inspect nvcr.io/nvidia/pytorch:24.12-py3
      dari inspect oci:out/train --json
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.flow.inspect import inspect  # noqa: PLC0415 - loaded when run, not for --help
    from dari.flow.session import session  # noqa: PLC0415

    with session(settings(context), progress_for(context)) as opened:
        return write(inspect(image, platform, opened), as_json=as_json)
