"""The program: `dari`, or `python -m dari`."""


def main() -> None:
    """Run the command line."""
    from dari.cli import run  # noqa: PLC0415 - imported late: what isn't asked for isn't loaded

    run()


if __name__ == "__main__":
    main()
