"""Reading a project: dari.toml, or [tool.dari] in pyproject.toml. Everything that is wrong is said in one go."""

import datetime as dt
import re
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from dari.errors import UsageError
from dari.survey.document import Document, read_document, said
from dari.survey.keys import APT_SOURCE_KEYS, KEYS, Kind, nearest
from dari.survey.paths import is_file, names_in
from dari.survey.patterns import problem_of
from dari.values.inventory import AptSource
from dari.values.malformed import Malformed
from dari.values.media import Codec
from dari.values.platform import Platform
from dari.values.project import SCRATCH, WORKDIR, LockRules, Project
from dari.values.reference import Reference, parse_location

# Debian Policy 5.6.1: names; 5.6.12: versions.
_DEBIAN_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9.+~:-]+)?")
_DISTRIBUTION: Final = re.compile(r"[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?", re.IGNORECASE)  # PyPA's name format
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # POSIX.1-2017, 8.1, and lower case
_USER: Final = re.compile(r"(?:[a-z_][a-z0-9_-]*|\d+)(?::(?:[a-z_][a-z0-9_-]*|\d+))?", re.IGNORECASE)  # OCI config.md
_CODECS: Final = {"gzip": Codec.GZIP, "zstd": Codec.ZSTD}


def read_project(folder: Path) -> Project:
    """Read what `folder` says about itself, in dari.toml or in [tool.dari] of pyproject.toml, not in both.

    Raises `UsageError`: DARI-PROJECT-MISSING, DARI-PROJECT-TWICE, or DARI-PROJECT-INVALID, whose message has one
    line for each thing wrong: `dari.toml:7:1: unknown key 'enviroment'; did you mean 'env'?`.
    """
    own, shared = folder / "dari.toml", folder / "pyproject.toml"
    pyproject = read_document(shared) if is_file(shared) else None
    embedded = pyproject is not None and "dari" in pyproject.below("tool").table
    if is_file(own):
        if pyproject and embedded:
            spot = pyproject.spots["tool", "dari"].key
            raise UsageError(
                "DARI-PROJECT-TWICE",
                f"{shared}:{spot.line}:{spot.column}: [tool.dari] stands here, and there is a dari.toml beside it",
                hint="keep one: dari.toml, or the table",
            )
        document = read_document(own)
    elif pyproject and embedded:
        document = pyproject.below("tool", "dari")
        if not isinstance(pyproject.below("tool").table["dari"], dict):
            pyproject.complain("'tool.dari': a table is wanted", "tool", "dari")
    else:
        raise UsageError(
            "DARI-PROJECT-MISSING",
            f"looking for a project in {str(folder)!r}: there is no dari.toml, and no [tool.dari] in a pyproject.toml",
            hint='`base = "REFERENCE"` in a dari.toml is enough to begin; docs/reference/dari-toml.md lists every key',
        )
    project = _project(folder, document, pyproject)
    document.report()
    return project


def _project(folder: Path, document: Document, pyproject: Document | None) -> Project:
    document.check_keys(KEYS)
    requirements, dependencies = _requirements(folder, document, pyproject)
    return Project(
        folder=folder,
        source=document.path,
        base=_base(document),
        requirements=requirements,
        dependencies=dependencies,
        apt=_matching(document, "apt", _DEBIAN_PACKAGE, "the name of a Debian package, or NAME=VERSION"),
        apt_sources=tuple(_apt_source(folder, table) for table in document.tables("apt-sources")),
        files=_patterns(document, "files"),
        exclude=_patterns(document, "exclude"),
        allow_secrets=_patterns(document, "allow-secrets"),
        workdir=_workdir(document),
        environment=_environment(document),
        labels=_labels(document),
        command=_command(document, "cmd"),
        entrypoint=_command(document, "entrypoint"),
        user=_user(document),
        registry=_registry(document),
        tag=_tag(document),
        platforms=_platforms(document),
        codec=_codec(document),
        lock=LockRules(
            allow=_names(document, "allow"),
            skip=_names(document, "skip"),
            accept_prerelease=_names(document, "accept-prerelease"),
            build=_names(document, "build"),
            exclude_newer=_exclude_newer(document),
        ),
    )


def _base(document: Document) -> str:
    base = document.text("base")
    if base == "auto":
        document.complain("'base': dari doesn't choose a base by itself yet; name one", "base")
    elif base != SCRATCH and "base" in document.table and isinstance(document.table["base"], str):
        try:
            parse_location(base)
        except Malformed as error:
            document.complain(f"'base': {error}; {error.hint}, or \"scratch\"", "base")
    return base


def _requirements(folder: Path, document: Document, pyproject: Document | None) -> tuple[tuple[str, ...], ...]:
    """Return the requirements files, and the requirement lines of [project]."""
    written = "requirements" in document.table
    wanted = document.boolean("dependencies")
    embedded = pyproject is not None and document.path == pyproject.path
    if wanted is None:
        wanted = embedded and pyproject is not None and "project" in pyproject.table and not written
    files = [name for number, name in document.texts("requirements") if _is_there(folder, document, number, name)]
    if not written and not wanted and is_file(folder / "requirements.txt"):
        files = ["requirements.txt"]
    return tuple(files), _dependencies(document, pyproject) if wanted else ()


def _is_there(folder: Path, document: Document, number: int, name: str) -> bool:
    if name and is_file(folder / name):
        return True
    close = nearest(Path(name).name, names_in((folder / name).parent))
    meant = f"; did you mean {str(Path(name).with_name(close))!r}?" if close and Path(name).name else ""
    document.complain(f"'requirements': there is no file {name!r}{meant}", "requirements", number)
    return False


def _dependencies(document: Document, pyproject: Document | None) -> tuple[str, ...]:
    if pyproject is None or "project" not in pyproject.table:
        document.complain("'dependencies': there is no [project] in a pyproject.toml beside this", "dependencies")
        return ()
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - 30 ms, only needed here

    # the problems of both files are reported together
    project = Document(pyproject.path, pyproject.table, pyproject.spots, document.problems).below("project")
    dynamic = project.table.get("dynamic")
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        project.complain(
            "the dependencies are dynamic: dari doesn't run build back ends; use a requirements file", "dynamic"
        )
    lines = []
    for number, line in project.texts("dependencies"):
        try:
            Requirement(line)
            lines.append(line)
        except InvalidRequirement as error:
            what = str(error).partition("\n")[0]
            project.complain(f"{line!r} is not a requirement: {what}", "dependencies", number)
    return tuple(lines)


def _matching(document: Document, name: str, pattern: re.Pattern[str], wanted: str) -> tuple[str, ...]:
    for number, text in document.texts(name):
        if not pattern.fullmatch(text):
            document.complain(f"{name!r}: {text!r} is not {wanted}", name, number)
    return tuple(dict.fromkeys(text for _, text in document.texts(name)))


def _names(document: Document, name: str) -> tuple[str, ...]:
    names = _matching(document, name, _DISTRIBUTION, "the name of a Python distribution")
    return tuple(dict.fromkeys(canonicalize_name(text) for text in names))


def _patterns(document: Document, name: str) -> tuple[str, ...]:
    patterns = document.texts(name)
    for number, pattern in patterns:
        if problem := problem_of(pattern):
            document.complain(f"{name!r}: {pattern!r} {problem}", name, number)
    return tuple(dict.fromkeys(pattern for _, pattern in patterns))


def _apt_source(folder: Path, table: Document) -> AptSource:
    table.check_keys(APT_SOURCE_KEYS)
    uri, suite, signed_by = table.text("uri"), table.text("suite"), table.text("signed-by")
    if uri and not re.match(r"(?:https?|file):/", uri):
        table.complain(f"'uri': {uri!r} doesn't begin with http://, https:// or file:/", "uri")
    components = tuple(component for _, component in table.texts("components"))
    if "components" not in table.table and not suite.endswith("/"):
        components = ("main",)
    keyring = b""
    if signed_by:
        from dari.values.apt import binary_keyring  # noqa: PLC0415 - only where a source is written

        try:
            keyring = binary_keyring((folder / signed_by).read_bytes())
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            table.complain(f"'signed-by': reading {signed_by!r}: {what}", "signed-by")
    return AptSource(uri.rstrip("/"), suite, components, keyring)


def _workdir(document: Document) -> str:
    text = document.text("workdir")
    if not text and "workdir" not in document.table:
        return WORKDIR
    parts = text.split("/")
    if not text.startswith("/") or ".." in parts or "\0" in text:
        document.complain(f"'workdir': {text!r} is not an absolute path without '..'", "workdir")
    return "/" + "/".join(part for part in parts if part not in {"", "."})


def _environment(document: Document) -> dict[str, str]:
    environment = dict(document.mapping("env"))
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            document.complain(
                f"'env': {name!r} is not a name for a variable: letters, digits and '_', no digit first",
                "env",
                name,
                at_key=True,
            )
        if "\0" in value:
            document.complain(f"'env.{name}': there is a NUL in the value", "env", name)
    return environment


def _labels(document: Document) -> dict[str, str]:
    labels = dict(document.mapping("labels"))
    if "" in labels:
        document.complain("'labels': a label needs a name", "labels", "", at_key=True)
    return labels


def _command(document: Document, name: str) -> tuple[str, ...] | None:
    """Return the words of a command; one text is split as a shell splits it (no shell runs it)."""
    value = document.table.get(name)
    if value is None:
        return None
    words = []
    if isinstance(value, str):
        import shlex  # noqa: PLC0415 - only for a command in one text

        try:
            words = shlex.split(value)
        except ValueError as error:
            document.complain(f"{name!r}: the text can't be split into words: {str(error).lower()}", name)
    elif isinstance(value, list):
        words = [word for _, word in document.texts(name, Kind.COMMAND)]
    else:
        document.complain(f"{name!r}: {Kind.COMMAND} is wanted, not {said(value)}", name)
    if any("\0" in word for word in words):
        document.complain(f"{name!r}: there is a NUL in a word", name)
    return tuple(words)


def _user(document: Document) -> str | None:
    user = document.text("user")
    if "user" in document.table and isinstance(document.table["user"], str) and not _USER.fullmatch(user):
        document.complain(f"'user': {user!r} is not NAME, UID, NAME:GROUP or UID:GID", "user")
    return user or None


def _registry(document: Document) -> str:
    registry = document.text("registry")
    if not registry:
        return ""
    try:
        reference = Reference.parse(registry)
    except Malformed as error:
        document.complain(f"'registry': {error}; {error.hint}", "registry")
        return registry
    if reference.digest or registry.rpartition("/")[2].count(":"):
        document.complain(f"'registry': {registry!r} has a tag or digest; write the tag under 'tag'", "registry")
    return registry


def _tag(document: Document) -> str:
    tag = document.text("tag")
    try:
        if "tag" in document.table and isinstance(document.table["tag"], str):
            Reference.parse(f"localhost/any:{tag or ' '}")
    except Malformed:
        document.complain(f"'tag': {tag!r} is not a tag: letters, digits, '_', '.', '-'; 128 at most", "tag")
    return tag


def _platforms(document: Document) -> tuple[Platform, ...]:
    platforms = []
    for number, text in document.texts("platforms"):
        try:
            platforms.append(Platform.parse(text))
        except Malformed as error:
            document.complain(f"'platforms': {error}; {error.hint}", "platforms", number)
    return tuple(dict.fromkeys(platforms))


def _codec(document: Document) -> Codec:
    text = document.text("compression")
    if text not in _CODECS and "compression" in document.table and isinstance(document.table["compression"], str):
        meant = nearest(text.lower(), _CODECS)
        document.complain(
            f"'compression': {text!r} is neither 'gzip' nor 'zstd'" + (f"; did you mean {meant!r}?" if meant else ""),
            "compression",
        )
    return _CODECS.get(text, Codec.GZIP)


def _exclude_newer(document: Document) -> str:
    """Return an RFC 3339 date, or a time with its offset."""
    value = document.table.get("exclude-newer")
    match value:
        case None:
            return ""
        case dt.datetime():
            parsed: dt.date | None = value
        case dt.date():
            parsed = value
        case str():
            parsed = _date(value)
        case _:
            document.complain(f"'exclude-newer': {Kind.DATE} is wanted, not {said(value)}", "exclude-newer")
            return ""
    if parsed is None or (isinstance(parsed, dt.datetime) and parsed.tzinfo is None):
        document.complain(
            f"'exclude-newer': {str(value)!r} is neither a date (2026-11-01) nor a time with its offset "
            "(2026-11-01T12:00:00Z)",
            "exclude-newer",
        )
        return ""
    return parsed.isoformat().replace("+00:00", "Z")


def _date(text: str) -> dt.date | None:
    for parse in (dt.date.fromisoformat, dt.datetime.fromisoformat):
        try:
            return parse(text)
        except ValueError:
            continue
    return None
