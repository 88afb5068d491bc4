"""`dari build [DIR]`."""

from pathlib import Path

import click

from dari.cli.environment import settings
from dari.cli.options import LOCATION, PLATFORMS, json_option
from dari.cli.progress import progress_for
from dari.cli.render import write
from dari.values.platform import Platform
from dari.values.reference import Location


@click.command("build")
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[DIR]")
@click.option(
    "--to",
    "destination",
    type=LOCATION,
    metavar="DEST",
    help="REGISTRY/REPOSITORY:TAG, oci:PATH[:TAG] or docker-archive:PATH.",
)
@click.option("--platform", "platforms", type=PLATFORMS, default=(), help="Build for these; several make an index.")
@click.option("--locked", is_flag=True, help="Fail if dari.lock would have to be written.")
@click.option("--complete", is_flag=True, help="Into oci: write the base's layers too (downloads them once).")
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    folder: Path,
    destination: Location | None,
    platforms: tuple[Platform, ...],
    locked: bool,
    complete: bool,
    as_json: bool,
) -> int:
    """Make DIR's image without a container engine; the base's layers are referenced, not downloaded.

    \b
    Examples:
      dari build examples/train --to oci:out/train
      dari build --to registry.example/team/app:v1
      dari build --to oci:out/app --platform linux/amd64,linux/arm64
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.flow.build import BuildRequest, build  # noqa: PLC0415 - loaded when run, not for --help
    from dari.flow.session import session  # noqa: PLC0415

    request = BuildRequest(folder, destination, platforms, frozen=locked, complete=complete)
    with session(settings(context), progress_for(context)) as opened:
        return write(build(request, opened), as_json=as_json)
