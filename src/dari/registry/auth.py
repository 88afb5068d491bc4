"""Logging in, as a protocol without I/O: generators that yield requests and receive answers.

Sources: RFC 7617 (Basic), the distribution project's token specification (spec/auth/token.md and oauth.md). A token
stands for one (realm, service, scopes); it is renewed a little before it expires, and whenever a registry no longer
takes it.
"""

import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from dari.errors import OutsideError
from dari.registry.challenge import Challenge, parse_challenges
from dari.registry.credentials import Login
from dari.registry.refusals import refusal
from dari.registry.wire import Answer, Request, origin

_UNAUTHORIZED: Final = 401
_OK: Final = 200
_DEFAULT_SECONDS: Final = 60.0  # token.md: what holds where `expires_in` is missing
_SKEW: Final = 10.0  # seconds before its end that a token counts as expired

Flow = Generator[Request, Answer, Answer]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    expires: float


class Gate:
    """What one registry wants, for one repository's user, and the tokens it was given so far.

    `login` is asked once, and only when the registry asks. Safe from several threads: one of them fetches a token, the
    others wait for it.
    """

    def __init__(
        self, name: str, login: Callable[[], Login | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._ask = login
        self._clock = clock
        self._lock = threading.RLock()
        self._login: Login | None = None
        self._asked = False
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, str, str], _Token] = {}

    def pass_through(self, request: Request) -> Flow:
        """Send `request`, logging in where the registry asks for it; returns the last answer, 401 or not.

        Raises `OutsideError`: DARI-REGISTRY-LOGIN, DARI-REGISTRY-REALM, DARI-REGISTRY-TOKEN.
        """
        with self._lock:
            used = (yield from self._authorization(self._challenge, request)) if self._challenge else ""
        answer = yield _with(request, used)
        if answer.status != _UNAUTHORIZED:
            return answer
        challenge = _preferred(parse_challenges(answer.headers("WWW-Authenticate")))
        if challenge is None:
            return answer
        answer.excerpt()
        with self._lock:
            self._challenge = challenge
            renewed = yield from self._authorization(challenge, request, refused=used)
        if not renewed or renewed == used:
            return answer
        return (yield _with(request, renewed))

    def _authorization(
        self, challenge: Challenge, request: Request, refused: str = ""
    ) -> Generator[Request, Answer, str]:
        """Return the Authorization header's value, or an empty text where nothing can be offered."""
        if challenge.scheme == "basic":
            login = self._known_login()
            return login.basic if login and login.password else ""
        scopes = _scopes(challenge, request)
        key = (challenge.parameters.get("realm", ""), challenge.parameters.get("service", ""), scopes)
        token = self._tokens.get(key)
        if token is None or token.expires <= self._clock() or f"Bearer {token.text}" == refused:
            token = yield from self._fetch(key, request)
            self._tokens[key] = token
        return f"Bearer {token.text}"

    def _fetch(self, key: tuple[str, str, str], request: Request) -> Generator[Request, Answer, _Token]:
        realm = key[0]
        login = self._known_login()
        if login and login.bearer:
            return _Token(login.bearer, float("inf"))
        _check_realm(realm, request)
        asking = _asking(key, login, f"logging in at {urlsplit(realm).hostname} for {self._name}")
        answer = yield asking
        return self._read(answer, asking, login)

    def _read(self, answer: Answer, asking: Request, login: Login | None) -> _Token:
        body = answer.excerpt()
        if answer.status != _OK:
            raise refusal(answer, asking.purpose, self._name, login.user if login else "")
        document = _object(body)
        text = document.get("token") or document.get("access_token")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            raise OutsideError(
                "DARI-REGISTRY-TOKEN",
                f"{asking.purpose}: the login service answered without a token",
                hint="this is a fault of the login service; try again later",
            )
        seconds = document.get("expires_in")
        lifetime = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else _DEFAULT_SECONDS
        return _Token(text, self._clock() + max(lifetime - _SKEW, lifetime / 2))

    def _known_login(self) -> Login | None:
        if not self._asked:
            self._login = self._ask()
            self._asked = True
        return self._login

    @property
    def user(self) -> str:
        """The user's name, as far as one was asked for and found."""
        return self._login.user if self._login else ""


def _asking(key: tuple[str, str, str], login: Login | None, purpose: str) -> Request:
    """Return the request for a token: by refresh token where the login is one, by name or by nobody else."""
    realm, service, scopes = key
    if login and login.identity:
        fields = {"grant_type": "refresh_token", "client_id": "dari", "refresh_token": login.identity}
        form = urlencode({**fields, "service": service, "scope": scopes}).encode()
        return Request("POST", realm, purpose, {"Content-Type": "application/x-www-form-urlencoded"}, form)
    asked = [*([("service", service)] if service else []), *(("scope", scope) for scope in scopes.split())]
    joint = "&" if urlsplit(realm).query else "?"
    headers = {"Authorization": login.basic} if login else {}
    return Request("GET", realm + (joint + urlencode(asked) if asked else ""), purpose, headers)


def _with(request: Request, authorization: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": authorization}) if authorization else request


def _preferred(challenges: tuple[Challenge, ...]) -> Challenge | None:
    """Return the challenge that can be answered, a token's before a password's: a password is then sent less often."""
    known = {challenge.scheme: challenge for challenge in reversed(challenges)}
    return known.get("bearer") or known.get("basic")


def _scopes(challenge: Challenge, request: Request) -> str:
    """Return the request's own scopes, and what the registry names besides (public.ecr.aws wants 'aws')."""
    named = {scope.rpartition(":")[0] for scope in request.scopes}
    asked = challenge.parameters.get("scope", "").split()
    return " ".join([*request.scopes, *(scope for scope in asked if scope.rpartition(":")[0] not in named)])


def _check_realm(realm: str, request: Request) -> None:
    """Refuse a login service without TLS for a registry with it: the password would travel in the clear."""
    scheme, host, _ = origin(realm)
    if not host or scheme not in {"http", "https"} or (scheme == "http" and origin(request.url)[0] == "https"):
        raise OutsideError(
            "DARI-REGISTRY-REALM",
            f"{request.purpose}: the registry sends logins to {realm[:200]!r}, which is not safe",
            hint="a registry with TLS must name a login service with TLS; tell its operator",
        )


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
