"""`dari cache`."""

import click

from dari.cli.environment import settings
from dari.cli.options import json_option
from dari.cli.render import write


@click.command("cache")
@click.option("--clear", is_flag=True, help="Empty it. Images already written keep their own bytes.")
@json_option
@click.pass_context
def command(context: click.Context, *, clear: bool, as_json: bool) -> int:
    """Show where dari's cache is and what is in it, or empty it.

    \b
    Examples:
      dari cache
      dari cache --clear
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.flow.cache import clear_cache, describe_cache  # noqa: PLC0415 - loaded when run, not for --help

    chosen = settings(context)
    return write(clear_cache(chosen) if clear else describe_cache(chosen), as_json=as_json)
