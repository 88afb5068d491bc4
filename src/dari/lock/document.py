"""dari.lock as a file: TOML that a reviewer can read, written the same every time, read strictly."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from dari.lock.table import Table
from dari.values.lock import Given, HeldBack, Lock, LockedDeb, LockedWheel, PlatformLock
from dari.values.malformed import Malformed
from dari.values.platform import Platform
from dari.values.python import InstallScheme, PythonTarget

_VERSION: Final = 1
_HEADER: Final = """\
# Exactly what `dari build` puts on the base. Made by `dari lock`; commit it, don't edit it.

"""
_SCHEME: Final = tuple(field.name for field in fields(InstallScheme))
_ADDRESSES: Final = ("https://", "http://", "file:", "sdist+https://", "sdist+http://", "sdist+file:")
_AGAIN: Final = "run `dari lock` again"


def write_lock(lock: Lock) -> bytes:
    """Return the lock as dari.lock's bytes: equal locks, equal bytes."""
    import tomli_w  # noqa: PLC0415 - reading, the common case, doesn't need it

    document = {
        "version": _VERSION,
        "inputs": str(lock.inputs),
        "base": lock.base,
        "platform": [_platform_table(platform) for platform in lock.platforms],
    }
    return (_HEADER + tomli_w.dumps(document)).encode()


def read_lock(raw: bytes, where: str) -> Lock:
    """Read what `write_lock` wrote; `where` is the file's name, for messages.

    Raises `Malformed`: DARI-LOCK-MALFORMED with the place, DARI-LOCK-VERSION for a file of a later dari.
    """
    try:
        document = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise Malformed("DARI-LOCK-MALFORMED", f"{where} is not TOML: {error}", hint=_AGAIN) from error
    table = Table(document, where)
    version = table.number("version")
    if version != _VERSION:
        raise Malformed(
            "DARI-LOCK-VERSION",
            f"{where} has version {version}, and this dari reads version {_VERSION}",
            hint=f"use the dari that wrote it, or {_AGAIN} with this one",
        )
    lock = Lock(
        table.digest("inputs"),
        table.text("base"),
        tuple(_read_platform(each) for each in table.tables("platform")),
    )
    table.finish()
    return lock


def _platform_table(lock: PlatformLock) -> dict[str, Any]:
    return {
        "platform": str(lock.platform),
        **({"manifest": str(lock.manifest)} if lock.manifest else {}),
        **({"python": _python_table(lock.python, lock.platform)} if lock.python else {}),
        **_listed("wheel", [_file_table(wheel, {"filename": wheel.filename}) for wheel in lock.wheels]),
        **_listed("deb", [_file_table(deb, {"architecture": deb.architecture}) for deb in lock.debs]),
        **_listed(
            "given", [{"name": it.name, "version": it.version, "requirement": it.requirement} for it in lock.given]
        ),
        **_listed(
            "held-back",
            [
                {"name": it.name, "version": it.version, "without-base": it.without_base, "because": it.because}
                for it in lock.held_back
            ],
        ),
    }


def _listed(name: str, tables: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {name: tables} if tables else {}


def _file_table(file: LockedWheel | LockedDeb, own: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": file.name,
        "version": file.version,
        **own,
        "url": file.url,
        "digest": str(file.digest),
        "size": file.size,
        "required-by": list(file.required_by),
    }


def _python_table(python: PythonTarget, platform: Platform) -> dict[str, Any]:
    return {
        "version": python.dotted,
        "interpreter": python.interpreter,
        "glibc": ".".join(map(str, python.glibc)),
        "search-path": list(python.search_path),
        **({"platform": str(python.platform)} if python.platform != platform else {}),
        "scheme": {name: getattr(python.scheme, name) for name in _SCHEME},
    }


def _read_platform(table: Table) -> PlatformLock:
    platform = table.platform("platform")
    python = table.optional_table("python")
    lock = PlatformLock(
        platform,
        table.digest("manifest") if table.has("manifest") else None,
        _read_python(python, platform) if python else None,
        tuple(_read_wheel(each) for each in table.tables("wheel")),
        tuple(_read_deb(each) for each in table.tables("deb")),
        tuple(_read_given(each) for each in table.tables("given")),
        tuple(_read_held_back(each) for each in table.tables("held-back")),
    )
    table.finish()
    return lock


def _read_python(table: Table, platform: Platform) -> PythonTarget:
    scheme = table.table("scheme")
    python = PythonTarget(
        table.pair("version"),
        table.program("interpreter"),
        InstallScheme(**{name: scheme.path(name) for name in _SCHEME}),
        table.texts("search-path"),
        table.platform("platform") if table.has("platform") else platform,
        table.pair("glibc"),
    )
    scheme.finish()
    table.finish()
    return python


def _read_wheel(table: Table) -> LockedWheel:
    filename = table.text("filename")
    if "/" in filename or "\0" in filename or not filename.endswith(".whl"):
        raise table.malformed("filename", "the name of a wheel file")
    wheel = LockedWheel(
        table.text("name"),
        table.text("version"),
        filename,
        _address(table),
        table.digest("digest"),
        table.number("size"),
        table.texts("required-by"),
    )
    table.finish()
    return wheel


def _read_deb(table: Table) -> LockedDeb:
    deb = LockedDeb(
        table.text("name"),
        table.text("version"),
        table.text("architecture"),
        _address(table),
        table.digest("digest"),
        table.number("size"),
        table.texts("required-by"),
    )
    table.finish()
    return deb


def _read_given(table: Table) -> Given:
    given = Given(table.text("name"), table.text("version"), table.text("requirement"))
    table.finish()
    return given


def _read_held_back(table: Table) -> HeldBack:
    held = HeldBack(table.text("name"), table.text("version"), table.text("without-base"), table.text("because"))
    table.finish()
    return held


def _address(table: Table) -> str:
    url = table.text("url")
    if not url.startswith(_ADDRESSES):
        raise table.malformed("url", "an https:, http:, file: or sdist+ address")
    return url
