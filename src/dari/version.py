"""The version, read from the installed distribution's metadata only when asked."""

from importlib.metadata import version as _version


def version() -> str:
    """Return dari's version."""
    return _version("dari")
