"""The login protocol, without a network: requests are read off, answers handed in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from dari.errors import OutsideError
from dari.registry.auth import Gate
from dari.registry.credentials import Login
from dari.registry.patience import PassingError
from dari.registry.wire import Request


@dataclass
class Reply:
    """An answer that was made up."""

    status: int
    lines: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return one header."""
        return self.lines.get(name, "")

    def headers(self, name: str) -> tuple[str, ...]:
        """Return one header's lines."""
        return (self.lines[name],) if name in self.lines else ()

    def excerpt(self) -> bytes:
        """Return the body."""
        return self.body


BASIC = Reply(401, {"WWW-Authenticate": 'Basic realm="x"'})
BEARER = Reply(401, {"WWW-Authenticate": 'Bearer realm="https://auth.example/token",service="s"'})
OK = Reply(200)
LOGIN = Login("u", "p")
READ = Request("GET", "https://r.example/v2/a/manifests/x", "reading", scopes=("repository:a:pull",))


def token(text: str, **members: Any) -> Reply:
    """Return a login service's answer."""
    return Reply(200, {}, json.dumps({"token": text, **members}).encode())


def talk(gate: Gate, *replies: Reply, request: Request = READ) -> tuple[list[Request], Reply]:
    """Run the protocol against answers; returns the requests it made and the answer it returned."""
    flow = gate.pass_through(request)
    sent = [next(flow)]
    for reply in replies:
        try:
            sent.append(flow.send(reply))
        except StopIteration as stop:
            assert reply is replies[-1], "the protocol ended before the answers did"
            return sent, stop.value
    raise AssertionError("the protocol wants more answers")


def authorizations(sent: list[Request]) -> list[str]:
    """Return the Authorization headers."""
    return [request.headers.get("Authorization", "") for request in sent]


def test_who_is_not_asked_does_not_say_a_name() -> None:
    """A registry that is open costs one request, and the login isn't even looked for."""

    def never() -> Login | None:
        raise AssertionError

    sent, answer = talk(Gate("r", never), OK)
    assert (sent, answer) == ([READ], OK)


def test_basic_is_answered_once_and_then_known() -> None:
    """The first request is refused; every later one carries the password from the start."""
    gate = Gate("r", lambda: LOGIN)
    assert authorizations(talk(gate, BASIC, OK)[0]) == ["", "Basic dTpw"]
    assert authorizations(talk(gate, OK)[0]) == ["Basic dTpw"]


def test_a_wrong_password_is_sent_once() -> None:
    """The same login isn't offered again to a registry that refused it."""
    gate = Gate("r", lambda: LOGIN)
    assert talk(gate, BASIC, BASIC)[1].status == 401
    assert talk(gate, BASIC)[1].status == 401


def test_without_a_login_a_refusal_is_the_answer() -> None:
    """Nothing is offered where nothing is known."""
    assert talk(Gate("r", lambda: None), BASIC)[1] is BASIC


def test_a_token_is_asked_for_anonymously_where_there_is_no_login() -> None:
    """Docker Hub and nvcr.io give tokens to everybody."""
    sent, answer = talk(Gate("r", lambda: None), BEARER, token("t"), OK)
    assert answer is OK
    assert sent[1].url == "https://auth.example/token?service=s&scope=repository%3Aa%3Apull"
    assert authorizations(sent) == ["", "", "Bearer t"]


def test_a_token_is_asked_for_with_the_password_and_kept() -> None:
    """The registry never sees the password; the token serves until it expires."""
    gate = Gate("r", lambda: LOGIN)
    assert authorizations(talk(gate, BEARER, token("t"), OK)[0]) == ["", "Basic dTpw", "Bearer t"]
    assert authorizations(talk(gate, OK)[0]) == ["Bearer t"]


def test_each_scope_has_its_own_token() -> None:
    """A push asks for what it needs, the source of a mount included."""
    gate = Gate("r", lambda: LOGIN)
    talk(gate, BEARER, token("t"), OK)
    push = Request("POST", READ.url, "pushing", scopes=("repository:a:pull,push", "repository:b:pull"))
    sent, _ = talk(gate, token("w"), OK, request=push)
    assert sent[0].url.endswith("?service=s&scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull")
    assert authorizations(sent) == ["Basic dTpw", "Bearer w"]


def test_a_scope_that_only_the_registry_knows_is_asked_for_too() -> None:
    """public.ecr.aws wants the scope 'aws'."""
    challenge = Reply(401, {"WWW-Authenticate": 'Bearer realm="https://a/t",scope="aws repository:a:pull"'})
    sent, _ = talk(Gate("r", lambda: None), challenge, token("t"), OK)
    assert sent[1].url == "https://a/t?scope=repository%3Aa%3Apull&scope=aws"


def test_a_token_is_renewed_before_it_expires() -> None:
    """Ten seconds before its end, measured by the clock that was given."""
    now = [0.0]
    gate = Gate("r", lambda: None, lambda: now[0])
    talk(gate, BEARER, token("old", expires_in=300), OK)
    now[0] = 289
    assert authorizations(talk(gate, OK)[0]) == ["Bearer old"]
    now[0] = 291
    assert authorizations(talk(gate, token("new"), OK)[0]) == ["", "Bearer new"]


def test_a_token_that_is_refused_in_mid_run_is_renewed() -> None:
    """A registry may forget tokens before they expire."""
    gate = Gate("r", lambda: None)
    talk(gate, BEARER, token("old"), OK)
    assert authorizations(talk(gate, BEARER, token("new"), OK)[0]) == ["Bearer old", "", "Bearer new"]


def test_a_token_that_never_satisfies_is_not_asked_for_for_ever() -> None:
    """A token without the right is renewed once; then the refusal is the answer."""
    gate = Gate("r", lambda: None)
    assert talk(gate, BEARER, token("weak"), BEARER)[1].status == 401


def test_a_refresh_token_goes_to_the_login_service_in_a_form() -> None:
    """oauth.md: POST with grant_type=refresh_token; never in an address."""
    sent, _ = talk(Gate("r", lambda: Login("<token>", identity="i")), BEARER, token("t"), OK)
    assert (sent[1].method, sent[1].url) == ("POST", "https://auth.example/token")
    body = b"grant_type=refresh_token&client_id=dari&refresh_token=i&service=s&scope=repository%3Aa%3Apull"
    assert sent[1].body == body


def test_a_registry_token_is_used_as_it_is() -> None:
    """`registrytoken` in a credential file needs no login service."""
    sent, _ = talk(Gate("r", lambda: Login("", bearer="b")), BEARER, OK)
    assert authorizations(sent) == ["", "Bearer b"]


def test_a_bearer_is_preferred_to_basic() -> None:
    """Where both are offered, the password goes to the login service only."""
    both = Reply(401, {"WWW-Authenticate": 'Basic realm="x", Bearer realm="https://auth.example/token"'})
    assert authorizations(talk(Gate("r", lambda: LOGIN), both, token("t"), OK)[0])[2] == "Bearer t"


@pytest.mark.parametrize("realm", ["http://auth.example/token", "", "ftp://x/y", "/token", "javascript:1"])
def test_a_password_does_not_travel_in_the_clear(realm: str) -> None:
    """A registry with TLS may not send logins to a place without."""
    challenge = Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'})
    with pytest.raises(OutsideError) as caught:
        talk(Gate("r", lambda: LOGIN), challenge, OK)
    assert caught.value.id == "DARI-REGISTRY-REALM"


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"token": 7}', b'{"token": ""}', b'{"token": "a\\nb"}'])
def test_a_login_service_must_answer_with_a_token(body: bytes) -> None:
    """Anything else is said to be its fault; a line break can't smuggle in a header."""
    with pytest.raises(OutsideError) as caught:
        talk(Gate("r", lambda: LOGIN), BEARER, Reply(200, {}, body), OK)
    assert caught.value.id == "DARI-REGISTRY-TOKEN"


def test_a_login_service_that_refuses_names_the_user_not_the_password() -> None:
    """The message says who was refused, and how to log in again."""
    with pytest.raises(OutsideError, match="refuses the login of 'u'") as caught:
        talk(Gate("r.example", lambda: LOGIN), BEARER, Reply(401), OK)
    assert caught.value.id == "DARI-REGISTRY-LOGIN"
    assert "docker login r.example" in caught.value.hint


def test_a_login_service_that_is_busy_may_be_asked_again() -> None:
    """503 from the login service is a fault that may pass, with the pause it wishes for."""
    with pytest.raises(PassingError) as caught:
        talk(Gate("r", lambda: LOGIN), BEARER, Reply(503, {"Retry-After": "7"}), OK)
    assert caught.value.wish == 7
