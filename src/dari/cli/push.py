"""`dari push SRC REF`."""

import click

from dari.cli.environment import settings
from dari.cli.options import LOCATION, REFERENCE, json_option
from dari.cli.progress import progress_for
from dari.cli.render import write
from dari.values.reference import Location, Reference


@click.command("push")
@click.argument("source", type=LOCATION, metavar="SRC")
@click.argument("destination", type=REFERENCE, metavar="REF")
@json_option
@click.pass_context
def command(context: click.Context, *, source: Location, destination: Reference, as_json: bool) -> int:
    """Send the image SRC to a registry as REF: what is there already is not sent again.

    Layers are mounted across repositories where the registry can, streamed otherwise; the manifest goes last, so an
    interrupted push publishes nothing and the next one goes on.

    \b
    Examples:
      dari push oci:out/train registry.example/team/train:v1
      dari push docker-archive:app.tar localhost:5000/app
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.flow.push import push  # noqa: PLC0415 - loaded when run, not for --help
    from dari.flow.session import session  # noqa: PLC0415

    with session(settings(context), progress_for(context)) as opened:
        return write(push(source, destination, opened), as_json=as_json)
