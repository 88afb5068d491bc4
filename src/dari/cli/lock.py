"""`dari lock [DIR]`."""

from pathlib import Path

import click

from dari.cli.environment import settings
from dari.cli.options import PLATFORMS, json_option
from dari.cli.progress import progress_for
from dari.cli.render import write
from dari.values.platform import Platform


@click.command("lock")
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[DIR]")
@click.option("--upgrade", is_flag=True, help="Resolve everything anew, the base's tag included.")
@click.option("--platform", "platforms", type=PLATFORMS, default=(), help="Lock for these, not dari.toml's platforms.")
@json_option
@click.pass_context
def command(
    context: click.Context, *, folder: Path, upgrade: bool, platforms: tuple[Platform, ...], as_json: bool
) -> int:
    """Resolve what the base lacks and write DIR/dari.lock.

    What the base satisfies is left out; its torch, CUDA and NCCL are never touched. Without changes this takes
    no network.

    \b
    Examples:
      dari lock
      dari lock examples/llama3 --upgrade
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.flow.lock import lock  # noqa: PLC0415 - loaded when run, not for --help
    from dari.flow.session import session  # noqa: PLC0415

    with session(settings(context), progress_for(context)) as opened:
        return write(lock(folder, platforms, opened, upgrade=upgrade), as_json=as_json)
