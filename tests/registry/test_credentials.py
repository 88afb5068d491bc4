"""Logins from Docker's and Podman's files, and from their helpers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dari.errors import OutsideError, UsageError
from dari.registry.credentials import Login, find_login


def packed(user: str, password: str) -> dict[str, str]:
    """Return an entry as `docker login` writes it."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, **members: Any) -> Path:
    """Write a credential file."""
    path.write_text(json.dumps(members))
    return path


def helper(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a credential helper on the PATH."""
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


CASES: dict[str, tuple[dict[str, Any], str, str, Login | None]] = {
    "a host": ({"auths": {"r.example:5000": packed("u", "p:w")}}, "r.example:5000", "a/b", Login("u", "p:w")),
    "an old address": ({"auths": {"https://r.example/v1/": packed("u", "p")}}, "r.example", "a", Login("u", "p")),
    "docker hub": (
        {"auths": {"https://index.docker.io/v1/": packed("u", "p")}}, "docker.io", "library/x", Login("u", "p")
    ),
    "podman's path, the longest first": (
        {"auths": {"r.example": packed("u", "p"), "r.example/team": packed("v", "q")}}, "r.example", "team/x",
        Login("v", "q"),
    ),
    "podman's path of another team": (
        {"auths": {"r.example/team": packed("v", "q")}}, "r.example", "teams/x", None
    ),
    "apart": ({"auths": {"r": {"username": "u", "password": "p"}}}, "r", "x", Login("u", "p")),
    "a refresh token": (
        {"auths": {"r": {**packed("<token>", ""), "identitytoken": "t"}}}, "r", "x", Login("<token>", "", "t")
    ),
    "another port": ({"auths": {"r:5000": packed("u", "p")}}, "r:5001", "x", None),
    "an empty entry, as helpers leave it": ({"auths": {"r": {}}}, "r", "x", None),
    "not what it should be": ({"auths": ["r"], "credHelpers": 7, "credsStore": None}, "r", "x", None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_entry_that_fits_is_found(case: str, tmp_path: Path) -> None:
    """Keys are hosts, old addresses, or paths; the most exact one wins."""
    members, registry, repository, expected = CASES[case]
    assert find_login((write(tmp_path / "c.json", **members),), registry, repository) == expected


def test_the_first_file_that_knows_decides(tmp_path: Path) -> None:
    """Files are asked in order; one that isn't there is passed over."""
    first = write(tmp_path / "1.json", auths={"other": packed("o", "o")})
    second = write(tmp_path / "2.json", auths={"r": packed("u", "p")})
    third = write(tmp_path / "3.json", auths={"r": packed("late", "late")})
    assert find_login((tmp_path / "none.json", first, second, third), "r", "x") == Login("u", "p")


@pytest.mark.parametrize(
    "content", ["{", '{"auths": {"r": {"auth": "s3cret!"}}}', '{"auths": {"r": {"auth": "czNjcmV0"}}}']
)
def test_a_torn_file_is_named_and_its_secrets_are_not(content: str, tmp_path: Path) -> None:
    """The error names the file; what is in it stays there."""
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"config\.json") as caught:
        find_login((path,), "r", "x")
    assert caught.value.id == "DARI-LOGIN-FILE"
    assert "s3cret" not in str(caught.value)
    assert "czNjcmV0" not in str(caught.value)


def test_a_helper_is_asked_with_the_address_on_its_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper of one host goes before the store of all, and gets the host as it is."""
    script = 'read host; printf \'{"Username":"u-%s-%s","Secret":"p"}\' "$1" "$host"'
    helper(tmp_path, "mine", script, monkeypatch)
    path = write(tmp_path / "c.json", credsStore="all", credHelpers={"r.example": "mine"})
    assert find_login((path,), "r.example", "x") == Login("u-get-r.example", "p")


def test_a_store_may_hold_a_refresh_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user `<token>` marks one (docker-credential-helpers); Docker Hub is asked for by its old address."""
    helper(
        tmp_path,
        "all",
        'read h; [ "$h" = https://index.docker.io/v1/ ] && echo \'{"Username":"<token>","Secret":"t"}\'',
        monkeypatch,
    )
    path = write(tmp_path / "c.json", credsStore="all")
    assert find_login((path,), "docker.io", "library/x") == Login("<token>", identity="t")


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`credentials not found in native keychain` is an answer, not a fault."""
    helper(tmp_path, "all", "echo credentials not found in native keychain; exit 1", monkeypatch)
    path = write(tmp_path / "c.json", credsStore="all", auths={"r": packed("u", "p")})
    assert find_login((path,), "r", "x") == Login("u", "p")


@pytest.mark.parametrize(
    ("script", "says"),
    [("echo s3cret; exit 3", "ended with 3"), ("echo not json", "no secret"), ('echo "{}"', "no secret")],
)
def test_a_helper_that_fails_is_named(script: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the program and repeats nothing of what it said."""
    helper(tmp_path, "all", script, monkeypatch)
    path = write(tmp_path / "c.json", credsStore="all")
    with pytest.raises(OutsideError, match=says) as caught:
        find_login((path,), "r", "x")
    assert caught.value.id == "DARI-LOGIN-HELPER"
    assert "s3cret" not in str(caught.value) + caught.value.hint


def test_a_helper_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A config copied from another machine names helpers that this one lacks."""
    path = write(tmp_path / "c.json", credsStore="of-another-machine")
    with pytest.raises(OutsideError, match="there is no such program"):
        find_login((path,), "r", "x")


@pytest.mark.parametrize("name", ["../../bin/evil", "x; touch /tmp/evil", "-x", "a b"])
def test_a_helper_name_is_a_name(name: str, tmp_path: Path) -> None:
    """Nothing else than a bare name is ever run."""
    path = write(tmp_path / "c.json", credsStore=name)
    with pytest.raises(UsageError, match="not a helper's name"):
        find_login((path,), "r", "x")


def test_a_login_does_not_show_its_secrets() -> None:
    """Secrets stay out of reprs, and so out of tracebacks and logs."""
    shown = repr(Login("u", "s3cret", "s3cret", "s3cret"))
    assert shown == "Login(user='u')"
