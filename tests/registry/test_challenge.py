"""The WWW-Authenticate parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dari.registry.challenge import Challenge, parse_challenges

CASES = {
    'Basic realm="Registry Realm"': [Challenge("basic", {"realm": "Registry Realm"})],
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"': [
        Challenge(
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:a/b:pull,push",
            },
        )
    ],
    'Bearer realm="r", error=insufficient_scope, Basic realm="b"': [
        Challenge("bearer", {"realm": "r", "error": "insufficient_scope"}),
        Challenge("basic", {"realm": "b"}),
    ],
    r'BASIC Realm="a \"quoted\", comma"': [Challenge("basic", {"realm": 'a "quoted", comma'})],
    "Negotiate": [Challenge("negotiate")],
    'Negotiate YWJj==, Basic realm="x"': [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
    'Negotiate, Basic realm="x"': [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
    'Bearer realm="twice",realm="ignored"': [Challenge("bearer", {"realm": "twice"})],
    'Bearer realm="not closed': [Challenge("bearer")],
    "": [],
    ", ,": [],
}


@pytest.mark.parametrize("line", CASES)
def test_a_challenge_is_read_as_rfc_9110_writes_it(line: str) -> None:
    """Quoted commas, several schemes on a line, token68 and bare schemes are told apart."""
    assert list(parse_challenges((line,))) == CASES[line]


def test_several_lines_are_read_in_order() -> None:
    """A registry may send one line a scheme."""
    assert [known.scheme for known in parse_challenges(("Bearer realm=a", "Basic realm=b"))] == ["bearer", "basic"]


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever a server sends, parsing ends without an error."""
    parse_challenges((text,))


WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1).filter(lambda word: word[0].isalpha())


@given(WORDS, st.dictionaries(WORDS, st.text(st.characters(min_codepoint=32, max_codepoint=126))))
def test_what_was_written_is_read(scheme: str, parameters: dict[str, str]) -> None:
    """A challenge written with quoted values reads back whole."""
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in parameters.items()}
    line = f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in quoted.items())
    assert parse_challenges((line,)) == (Challenge(scheme, parameters),)
