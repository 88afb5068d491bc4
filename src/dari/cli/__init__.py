"""Arguments, environment and terminal. One file a command: parse, one call to flow, one report."""


def run() -> None:
    """Run the command line and exit."""
