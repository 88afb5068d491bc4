"""`dari bases scan REF`."""

from pathlib import Path

import click

from dari.cli.environment import settings
from dari.cli.options import LOCATION, json_option, platform_option
from dari.cli.progress import progress_for
from dari.cli.render import write


@click.group("bases")
def command() -> None:
    """What is inside a base image."""


@command.command("scan")
@click.argument("image", type=LOCATION, metavar="REF")
@platform_option
@click.option("--attach", is_flag=True, help="Attach the inventory to the image in its registry: a team scans once.")
@click.option("--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the inventory to FILE too.")
@click.option("--engine", type=click.Choice(["docker", "podman"]), help="Read the image from this local engine.")
@click.option("--again", is_flag=True, help="Scan even if the inventory is known.")
@json_option
@click.pass_context
def scan(context: click.Context, /, **chosen: object) -> int:
    """Stream REF's layers once and keep what they hold: packages, Python distributions, GPU libraries.

    Nothing but the inventory is stored. `dari lock` does this by itself where nobody has done it before.

    \b
    Examples:
      dari bases scan nvcr.io/nvidia/pytorch:24.12-py3
      dari bases scan registry.example/base:1 --attach
      dari bases scan nvcr.io/nvidia/pytorch:24.12-py3 --engine docker
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.flow.scan import ScanRequest, scan_base  # noqa: PLC0415 - loaded when run, not for --help
    from dari.flow.session import session  # noqa: PLC0415

    as_json = bool(chosen.pop("as_json"))
    request = ScanRequest(**chosen)  # type: ignore[arg-type]  # click has parsed each option to its field's type
    with session(settings(context), progress_for(context)) as opened:
        return write(scan_base(request, opened), as_json=as_json)
