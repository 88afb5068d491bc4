"""Where wheels come from, as a lock may say it: without credentials, and the same in every checkout."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from dari.values.lock import LockedWheel

_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+@")
_PERHAPS_CREDENTIALS: Final = re.compile(r"(?<=://)[^@\s]+@")  # a password with a slash that wasn't quoted


def without_credentials(text: str) -> str:
    """Return a text with the user and password of every address in it left out."""
    return _CREDENTIALS.sub("", text)


def without_secrets(text: str) -> str:
    """Return a message without what may be a user and password in an address, well-formed or not."""
    return _PERHAPS_CREDENTIALS.sub("", text)


def relative_address(url: str, folder: Path) -> str:
    """Return a file: address below `folder` as `file:NAME` relative to it; any other address as it is."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return url
    path = Path(unquote(parts.path))
    root = folder.resolve()
    return f"file:{quote(path.relative_to(root).as_posix())}" if path.is_relative_to(root) else path.as_uri()


def wheel_address(wheel: LockedWheel, folder: Path) -> str:
    """Return the address a locked wheel is fetched from: a relative file: address is one below `folder`."""
    if wheel.url.startswith("file:") and not wheel.url.startswith("file:/"):
        return (folder.resolve() / unquote(wheel.url.removeprefix("file:"))).as_uri()
    return wheel.url
