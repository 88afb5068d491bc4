"""`dari validate LAYOUT`."""

import click

from dari.cli.options import LOCATION, json_option
from dari.cli.render import write
from dari.values.reference import Layout, Location


@click.command("validate")
@click.argument("layout", type=LOCATION, metavar="oci:PATH")
@json_option
def command(*, layout: Location, as_json: bool) -> int:
    """Check an OCI layout whole: every digest, size, diffID, media type and tar entry. All findings in one run.

    \b
    Example:
      dari validate oci:out/train
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.flow.validate import validate_layout  # noqa: PLC0415 - loaded when run, not for --help

    if not isinstance(layout, Layout):
        raise click.UsageError("only layouts can be validated: oci:PATH")
    return write(validate_layout(layout), as_json=as_json)
