"""Reading /etc/apt: both formats, keyrings, what is left out."""

import base64

import pytest

from dari.values.apt import apt_sources, binary_keyring
from dari.values.malformed import Malformed
from tests.debian.archive import key, keyring

LIST = "etc/apt/sources.list"
DEB822 = "etc/apt/sources.list.d/x.sources"
ARMORED = str(key("archive").extract_certificate()).encode()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {LIST: b"deb http://a/debian bookworm main contrib\n"},
            [("http://a/debian", "bookworm", ("main", "contrib"))],
        ),
        ({LIST: b"deb http://a/ ./\n"}, [("http://a", "./", ())]),
        ({LIST: b"deb [arch=amd64,arm64 signed-by=/k] http://a s main # note\n"}, [("http://a", "s", ("main",))]),
        ({LIST: b"deb [ arch=i386 ] http://a s main\n# deb http://b s main\ndeb-src http://a s main\n"}, []),
        ({LIST: b"deb cdrom:[Debian]/ bookworm main\n"}, []),
        (
            {
                DEB822: b"Types: deb deb-src\nURIs: http://a http://b/\nSuites: s t\nComponents: m\n",
            },
            [
                ("http://a", "s", ("m",)),
                ("http://a", "t", ("m",)),
                ("http://b", "s", ("m",)),
                ("http://b", "t", ("m",)),
            ],
        ),
        (
            {
                DEB822: b"Types: deb\nEnabled: no\nURIs: http://a\nSuites: s\nComponents: m\n",
            },
            [],
        ),
        ({"etc/apt/sources.list.d/x.list.disabled": b"deb http://a s main\n"}, []),
        ({LIST: b"deb http://a s main\ndeb http://a s universe main\n"}, [("http://a", "s", ("main", "universe"))]),
    ],
)
def test_sources(files: dict[str, bytes], expected: list[tuple[str, str, tuple[str, ...]]]) -> None:
    """Each entry becomes one source per address and suite; foreign, disabled and source-code entries go."""
    found = apt_sources(files, architecture="amd64")
    assert [(source.uri, source.suite, source.components) for source in found] == expected


@pytest.mark.parametrize("line", [b"deb http://a", b"deb http://a s", b"deb http://a s/ main", b"bed http://a s main"])
def test_a_garbled_line_is_named(line: bytes) -> None:
    """The message says file and line."""
    with pytest.raises(Malformed, match=r"line 2 of etc/apt/sources\.list"):
        apt_sources({LIST: b"# first\n" + line})


def test_signed_by_names_the_keyring_and_the_trusted_keys_serve_the_rest() -> None:
    """A path, several paths, an inline key, a missing file, and no Signed-By at all."""
    inline = "\n".join(f" {line or '.'}" for line in ARMORED.decode().strip().splitlines())
    files = {
        LIST: b"deb [signed-by=/usr/share/keyrings/a.gpg] http://a s m\ndeb [signed-by=/gone.gpg] http://b s m\n"
        b"deb http://c s m\n",
        DEB822: f"Types: deb\nURIs: http://d\nSuites: s\nComponents: m\nSigned-By:\n{inline}\n".encode(),
        "usr/share/keyrings/a.gpg": keyring(),
        "etc/apt/trusted.gpg.d/b.asc": ARMORED,
        "etc/apt/trusted.gpg.d/note.txt": b"no key",
    }
    found = {source.uri: source.keyring for source in apt_sources(files)}
    assert found == {"http://a": keyring(), "http://b": b"", "http://c": keyring(), "http://d": keyring()}


def test_armor_is_taken_off_block_after_block() -> None:
    """Two armored certificates become two binary ones; binary stays as it is; damage is an error."""
    assert binary_keyring(ARMORED + b"\n" + ARMORED) == keyring() * 2
    assert binary_keyring(keyring()) == keyring()
    damaged = (
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n"
        + base64.b64encode(b"x")
        + b"!\n-----END PGP PUBLIC KEY BLOCK-----\n"
    )
    with pytest.raises(Malformed, match="base64"):
        binary_keyring(damaged)
