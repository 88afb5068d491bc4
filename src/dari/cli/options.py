"""Options that several commands share, and the click types that parse values at the door."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dari.values.malformed import Malformed
from dari.values.platform import Platform
from dari.values.reference import Reference, parse_location

F = TypeVar("F", bound=Callable[..., Any])


class _Parsed(click.ParamType[Any]):
    """A click type made of a value's own `parse`."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except Malformed as error:
            self.fail(f"{error}; {error.hint}  [{error.id}]", param, ctx)


REFERENCE = _Parsed("reference", Reference.parse)
LOCATION = _Parsed("location", parse_location)
PLATFORM = _Parsed("platform", Platform.parse)


class _Platforms(click.ParamType[Any]):
    name = "platform[,platform]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Platform, ...]:
        if not isinstance(value, str):
            return tuple(value)
        return tuple(PLATFORM.convert(text, param, ctx) for text in value.split(","))  # type: ignore[misc]  # parsed above


PLATFORMS = _Platforms()


def json_option(function: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")(function)


def platform_option(function: F) -> F:
    """Add --platform for one platform."""
    return click.option(
        "--platform", type=PLATFORM, metavar="OS/ARCH", help="Which platform's image [this machine's]."
    )(function)
