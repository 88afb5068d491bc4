"""Every key of dari.toml, once: what the parser accepts, what it calls the types, what the reference must describe."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What may stand behind a key, in the words of messages and of the reference."""

    TEXT = "text"
    TEXTS = "list of text"
    COMMAND = "list of text, or one text"
    BOOLEAN = "true or false"
    DATE = "date, or text"
    TABLE = "table of text"
    TABLES = "array of tables"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `default` is said as the reference says it; `also` are names that people try first."""

    name: str
    kind: Kind
    default: str
    also: tuple[str, ...] = ()
    required: bool = False


KEYS: Final = (
    Key("base", Kind.TEXT, "none: it must be written", ("from", "image", "base-image"), required=True),
    Key(
        "requirements",
        Kind.TEXTS,
        "`requirements.txt` if there is one; nothing where `dependencies` is in use",
        ("requirement", "pip", "requirements-files"),
    ),
    Key(
        "dependencies",
        Kind.BOOLEAN,
        "true in `[tool.dari]` of a pyproject.toml with a `[project]` and no `requirements`; else false",
        ("project-dependencies",),
    ),
    Key("apt", Kind.TEXTS, "`[]`", ("apt-get", "apt-packages", "packages", "system-packages", "debian")),
    Key(
        "apt-sources",
        Kind.TABLES,
        "the base's own; for `scratch`, this machine's",
        ("apt-source", "apt-repositories", "sources"),
    ),
    Key("files", Kind.TEXTS, "`[]`", ("file", "copy", "add", "include", "paths")),
    Key("exclude", Kind.TEXTS, "`[]`, and what is never of use in an image", ("excludes", "ignore", "dockerignore")),
    Key("workdir", Kind.TEXT, "`/workspace`", ("working-directory", "working-dir", "work-dir", "cwd", "directory")),
    Key("env", Kind.TABLE, "`{}`", ("environment", "environ", "variables", "envs")),
    Key("labels", Kind.TABLE, "`{}`", ("label", "annotations")),
    Key("cmd", Kind.COMMAND, "the base's own", ("command", "run", "args")),
    Key("entrypoint", Kind.COMMAND, "the base's own", ("entry-point",)),
    Key("user", Kind.TEXT, "the base's own", ("uid", "username")),
    Key("registry", Kind.TEXT, "none: `--to` says where", ("repository", "push", "to", "target")),
    Key("tag", Kind.TEXT, "`latest`", ("tags", "version")),
    Key("platforms", Kind.TEXTS, "this machine's", ("platform", "arch", "architectures")),
    Key("compression", Kind.TEXT, "`gzip`", ("compress", "codec")),
    Key("allow", Kind.TEXTS, "`[]`", ("allowed", "allow-upgrade", "upgrade")),
    Key("skip", Kind.TEXTS, "`[]`", ("without", "ignore-requirements", "exclude-packages")),
    Key("accept-prerelease", Kind.TEXTS, "`[]`", ("prerelease", "prereleases", "pre", "accept-prereleases")),
    Key("build", Kind.TEXTS, "`[]`", ("builds", "build-sdist", "sdist")),
    Key("exclude-newer", Kind.DATE, "none", ("newer", "before", "date")),
    Key("allow-secrets", Kind.TEXTS, "`[]`", ("secrets", "allow-secret")),
)

APT_SOURCE_KEYS: Final = (
    Key("uri", Kind.TEXT, "none: it must be written", ("url", "uris", "mirror"), required=True),
    Key("suite", Kind.TEXT, "none: it must be written", ("suites", "release", "codename"), required=True),
    Key("components", Kind.TEXTS, '`["main"]`', ("component",)),
    Key("signed-by", Kind.TEXT, "none: it must be written", ("key", "keyring", "signedby"), required=True),
)


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return the choice that `word` was probably meant to be, or an empty text."""
    import difflib  # noqa: PLC0415 - only for what was misspelt

    return next(iter(difflib.get_close_matches(word, tuple(choices), n=1)), "")


def nearest_key(name: str, keys: tuple[Key, ...]) -> str:
    """Return the key that `name` was probably meant to be, also by the names that others use for it."""
    spellings = {also: key.name for key in keys for also in (*key.also, key.name)}
    plain = name.lower().replace("_", "-")
    return spellings.get(nearest(plain, spellings), "")
