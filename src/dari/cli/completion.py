"""`dari completion SHELL`."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(*, shell: str) -> int:
    """Print the completion script of SHELL.

    \b
    Example:
      dari completion bash > ~/.local/share/bash-completion/completions/dari
    """  # noqa: D301 - \b is click's mark for "keep these lines"
    from dari.cli.main import dari  # noqa: PLC0415 - main loads this module, not the other way round

    completion = get_completion_class(shell)
    if completion is None:  # the choice above lists only shells that click knows
        raise click.UsageError(f"no completion for {shell}")
    click.echo(completion(dari, {}, "dari", "_DARI_COMPLETE").source())
    return 0
