"""The front door: finds the command, runs it, turns every ending into an exit code."""

import importlib
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

import click

from dari.cli.endings import SIGNALLED, Terminated, ending

_GRACE_SECONDS: Final = 4.0
# Command → (module, one line of help). The module is loaded only when its command is run or asked for help.
COMMANDS: Final = {
    "bases": ("bases", "What is inside a base image: scan it once, keep the inventory."),
    "build": ("build", "Make the project's image: no container engine, base not downloaded."),
    "cache": ("cache", "Show or empty dari's cache."),
    "completion": ("completion", "Print the completion script of a shell."),
    "explain": ("explain", "Tell what an id such as DARI-LOCK-CLASH means and what to do."),
    "inspect": ("inspect", "Read an image's manifest and config: a few kB, no layers."),
    "lock": ("lock", "Resolve what the base lacks into dari.lock."),
    "push": ("push", "Send an image to a registry: only what is missing there."),
    "validate": ("validate", "Check an OCI layout: every digest, size, diffID and tar entry."),
}


class _Commands(click.Group):
    """A group whose commands are imported only when needed: `dari --help` loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"dari.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - only where a command is misspelt

            near = get_close_matches(args[0], COMMANDS, 1)
            raise click.UsageError(f"no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(COMMANDS.items())])


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    if asked:
        from dari.version import version  # noqa: PLC0415 - importlib.metadata costs more than the rest of --help

        click.echo(f"dari {version()}")
        context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Print it.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
@click.option("--offline", is_flag=True, help="Use no network: what isn't in the cache is an error.")
@click.option("--insecure-registry", multiple=True, metavar="HOST[:PORT]", help="Plain HTTP is allowed there.")
@click.pass_context
def dari(context: click.Context, *, quiet: bool, offline: bool, insecure_registry: tuple[str, ...]) -> None:
    """dari (다리, "bridge"): from a project folder to a GPU container image, verified.

    \b
    Examples:
      dari build examples/train --to oci:out/train    an image from nothing, no engine, no root
      dari lock                                       what the base lacks, written to dari.lock
      dari build --to registry.example/team/app:v1    straight to a registry

    Exit codes: 0 done, 1 findings, 2 wrong use, 3 something outside failed (try again), 70 a bug,
    130 interrupted.
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    context.obj = {"quiet": quiet, "offline": offline, "insecure": insecure_registry}


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    """End the run as an error would, clean-ups included; leave without them where a dead connection holds them up."""
    import threading  # noqa: PLC0415 - only where a run is interrupted

    patience = threading.Timer(_GRACE_SECONDS, lambda: os._exit(ending(Terminated(number))))
    patience.daemon = True
    patience.start()
    raise Terminated(number)


def run() -> NoReturn:
    """Run the command line and exit."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup, SIGHUP is to be ignored
            signal.signal(number, _terminate)
    try:
        code = dari.main(prog_name="dari", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001 - the one place where every ending becomes an exit code
        code = ending(error)
        if code > SIGNALLED:
            os._exit(code)  # not waiting for threads that nobody needs any more
        sys.exit(code)
    sys.exit(code if isinstance(code, int) else 0)
