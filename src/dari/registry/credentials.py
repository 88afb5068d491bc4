"""Who the user is, at a registry: Docker's and Podman's credential files, and the helpers they name.

Sources: docker/cli `config.json` (auths, credsStore, credHelpers; identitytoken), docker-credential-helpers' protocol
(`docker-credential-NAME get`, the server's address on standard input), containers-auth.json(5) for keys with a path.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dari.errors import OutsideError, UsageError
from dari.system import run

_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HELPER_SECONDS: Final = 30.0
_DOCKER_HUB: Final = "https://index.docker.io/v1/"
# What a helper says where it knows nothing (docker-credential-helpers, credentials/error.go).
_NOT_FOUND: Final = "credentials not found"
_TOKEN_USER: Final = "<token>"  # noqa: S105 - the user name that marks an identity token, not a secret


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password, or one of the two tokens that stand for them. Secrets don't show in its repr.

    `identity` is a refresh token for the token service; `bearer` goes to the registry as it is.
    """

    user: str
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header's value, RFC 7617."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find_login(files: tuple[Path, ...], registry: str, repository: str) -> Login | None:
    """Return the first login that the files have for a repository, the most exact entry of a file first.

    A file that isn't there is passed over. Raises `UsageError` (DARI-LOGIN-FILE) and `OutsideError`
    (DARI-LOGIN-HELPER, DARI-PROGRAM-TIMEOUT).
    """
    for path in files:
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError("DARI-LOGIN-FILE", f"reading logins from {str(path)!r}: {error.strerror}") from error
        if login := _in_file(_document(raw, path), path, registry, repository):
            return login
    return None


def _document(raw: bytes, path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as error:
        raise UsageError(
            "DARI-LOGIN-FILE", f"reading logins from {str(path)!r}: it is not JSON", hint="repair it, or log in again"
        ) from error
    return document if isinstance(document, dict) else {}


def _in_file(document: Mapping[str, Any], path: Path, registry: str, repository: str) -> Login | None:
    helpers = {_normalised(str(key)): name for key, name in _mapping(document.get("credHelpers")).items()}
    helper = helpers.get(registry) or document.get("credsStore")
    if isinstance(helper, str) and helper:
        address = _DOCKER_HUB if registry == "docker.io" else registry
        if login := _ask(helper, address, path):
            return login
    entries = {_normalised(str(key)): entry for key, entry in _mapping(document.get("auths")).items()}
    for key in _keys(registry, repository):
        if login := _entry(_mapping(entries.get(key)), path, key):
            return login
    return None


def _keys(registry: str, repository: str) -> Iterator[str]:
    """Yield what an entry for the repository may be called: `host/team/app`, `host/team`, `host`."""
    parts = repository.split("/")
    for count in range(len(parts), -1, -1):
        yield "/".join([registry, *parts[:count]])


def _normalised(key: str) -> str:
    """Return an entry's key without scheme and API version: `https://host/v1/` is `host`."""
    bare = re.sub(r"/v[12]/?$", "", key.removeprefix("https://").removeprefix("http://")).rstrip("/")
    return "docker.io" if bare in {"index.docker.io", "registry-1.docker.io"} else bare


def _entry(entry: Mapping[str, Any], path: Path, key: str) -> Login | None:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if packed := entry.get("auth"):
        try:
            user, colon, password = base64.b64decode(str(packed), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise UsageError(
                "DARI-LOGIN-FILE",
                f"reading logins from {str(path)!r}: the entry for {key!r} is not base64 of 'user:password'",
                hint=f"log in again: docker login {key}",
            )
    identity, bearer = str(entry.get("identitytoken") or ""), str(entry.get("registrytoken") or "")
    if not (password or identity or bearer):
        return None
    return Login(user, password.rstrip("\0"), identity, bearer)


def _ask(helper: str, address: str, path: Path) -> Login | None:
    if not _HELPER.fullmatch(helper):
        raise UsageError("DARI-LOGIN-FILE", f"reading logins from {str(path)!r}: {helper!r} is not a helper's name")
    program = f"docker-credential-{helper}"
    try:
        completed = run((program, "get"), input=address, timeout=_HELPER_SECONDS)
    except OutsideError as error:
        raise _unusable(program, address, path, f"{error}") from error
    if completed.status != 0:
        if _NOT_FOUND in completed.stdout + completed.stderr:
            return None
        raise _unusable(program, address, path, f"it ended with {completed.status}")
    try:
        answer = _mapping(json.loads(completed.stdout))
    except ValueError:
        answer = {}
    user, secret = str(answer.get("Username") or ""), str(answer.get("Secret") or "")
    if not secret:
        raise OutsideError(
            "DARI-LOGIN-HELPER",
            f"asking {program!r} for the login of {address}: its answer has no secret",
            hint=f"log in again: docker login {address}",
        )
    return Login(user, identity=secret) if user == _TOKEN_USER else Login(user, secret)


def _unusable(program: str, address: str, path: Path, reason: str) -> OutsideError:
    return OutsideError(
        "DARI-LOGIN-HELPER",
        f"asking {program!r} for the login of {address}: {reason}",
        hint=f"try it by hand: echo {address} | {program} get; or take it out of {str(path)!r}",
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
