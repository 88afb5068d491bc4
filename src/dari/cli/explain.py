"""`dari explain [ID]`."""

import click

from dari.cli.options import json_option
from dari.cli.render import write


@click.command("explain")
@click.argument("id", default="")
@json_option
def command(*, id: str, as_json: bool) -> int:
    """Tell what ID means and what to do; without ID, list them all.

    \b
    Example:
      dari explain DARI-LOCK-CLASH
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.flow.explain import explain  # noqa: PLC0415 - loaded when run, not for --help

    return write(explain(id), as_json=as_json)
