"""Where apt would get packages from, read from the contents of /etc/apt: sources and the keys that sign them.

Sources: sources.list(5) of apt 2.6 and 2.9, apt-secure(8). Read 2026-11-23.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Final

from dari.values.debian import paragraphs
from dari.values.inventory import AptSource
from dari.values.malformed import Malformed

_ONE_LINE: Final = re.compile(r"\s*(?P<type>deb|deb-src)\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>\S.*)")
_ARMOR: Final = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n(?:[^\r\n]+\r?\n)*?[ \t]*\r?\n(?P<data>.*?)"
    rb"-----END PGP PUBLIC KEY BLOCK-----",
    re.DOTALL,
)
_TRUSTED: Final = re.compile(r"etc/apt/trusted\.gpg(?:\.d/[^/]+\.(?:gpg|asc))?")
_FOREIGN_SCHEMES: Final = ("cdrom:", "copy:", "rsh:", "ssh:", "mirror")


def apt_sources(files: Mapping[str, bytes], *, architecture: str = "") -> tuple[AptSource, ...]:
    """Return the package sources of an /etc/apt, in apt's order: sources.list, then sources.list.d by name.

    `files` holds etc/apt/sources.list, etc/apt/sources.list.d/*.{list,sources} and the keyrings
    (etc/apt/trusted.gpg, etc/apt/trusted.gpg.d/*, usr/share/keyrings/*, etc/apt/keyrings/*) by their path without a
    leading slash. Disabled entries, source code (deb-src) and media dari can't read are left out; so are entries
    restricted to other architectures, where `architecture` (Debian's name) is given. A source's keyring is what its
    Signed-By names, else every trusted key; it is empty where that isn't there, and always binary.
    A flat repository (suite ending in '/') has no components. Raises `Malformed` (DARI-APT-SOURCES).
    """
    found: dict[tuple[str, str], AptSource] = {}
    for path in sorted(files, key=lambda path: (path != "etc/apt/sources.list", path)):
        if path == "etc/apt/sources.list" or re.fullmatch(r"etc/apt/sources\.list\.d/[\w.-]+\.list", path):
            entries = _one_line_entries(path, files[path])
        elif re.fullmatch(r"etc/apt/sources\.list\.d/[\w.-]+\.sources", path):
            entries = _deb822_entries(path, files[path])
        else:
            continue
        for options, uris, suites, components in entries:
            if not _wanted(options, architecture):
                continue
            keyring = _keyring(options.get("signed-by", ""), files)
            for uri, suite in ((uri, suite) for uri in uris for suite in suites):
                if uri.startswith(_FOREIGN_SCHEMES):
                    continue
                source = AptSource(uri.rstrip("/"), _expanded(suite, architecture), components, keyring)
                found[source.uri, source.suite] = _merged(found.get((source.uri, source.suite)), source)
    return tuple(found.values())


def binary_keyring(content: bytes) -> bytes:
    """Return OpenPGP certificates as packets: armor taken off, block after block; binary content as it is."""
    if not content.lstrip().startswith(b"-----BEGIN PGP"):
        return content
    return b"".join(_dearmored(match["data"]) for match in _ARMOR.finditer(content))


_Entry = tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _one_line_entries(path: str, content: bytes) -> Iterator[_Entry]:
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        text = line.partition("#")[0].rstrip()
        if not text.strip():
            continue
        match = _ONE_LINE.fullmatch(text)
        words = match["rest"].split() if match else []
        if not match or len(words) < 2 or (words[1].endswith("/") == (len(words) > 2)):  # noqa: PLR2004 - URI and suite
            raise Malformed("DARI-APT-SOURCES", f"line {number} of {path} is not 'deb URI SUITE COMPONENT…'")
        if match["type"] == "deb":
            options = dict(_option(word) for word in (match["options"] or "").split())
            yield options, (words[0],), (words[1],), tuple(words[2:])


def _option(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return {"arch": "architectures"}.get(name.lower(), name.lower()), value.replace(",", " ")


def _deb822_entries(path: str, content: bytes) -> Iterator[_Entry]:
    for paragraph in paragraphs(content):
        if "deb" not in paragraph.get("types", "").split() or _is_no(paragraph.get("enabled", "yes")):
            continue
        suites, uris = paragraph.get("suites", "").split(), paragraph.get("uris", "").split()
        components = tuple(paragraph.get("components", "").split())
        if not suites or not uris or (not components and not all(suite.endswith("/") for suite in suites)):
            raise Malformed("DARI-APT-SOURCES", f"an entry of {path} lacks URIs, Suites or Components")
        yield paragraph, tuple(uris), tuple(suites), components


def _is_no(text: str) -> bool:
    return text.strip().lower() in {"no", "false", "without", "off", "disable", "0"}


def _wanted(options: Mapping[str, str], architecture: str) -> bool:
    architectures = options.get("architectures", "").split()
    return not architectures or not architecture or architecture in architectures


def _expanded(suite: str, architecture: str) -> str:
    return suite.replace("$(ARCH)", architecture) if architecture else suite


def _keyring(signed_by: str, files: Mapping[str, bytes]) -> bytes:
    if "-----BEGIN PGP" in signed_by:
        lines = (line.strip() for line in signed_by.splitlines())
        return binary_keyring("\n".join("" if line == "." else line for line in lines).strip().encode())
    if names := signed_by.split():
        # A bare fingerprint picks one of the trusted keys; values can't, so such a source stays unverifiable.
        return b"".join(binary_keyring(files[name[1:]]) for name in names if name[1:] in files)
    return b"".join(binary_keyring(files[path]) for path in sorted(files) if _TRUSTED.fullmatch(path))


def _dearmored(data: bytes) -> bytes:
    lines = [line.strip() for line in data.splitlines()]
    # A line of '=' and four characters is the CRC-24 of RFC 4880, 6.1; readers may ignore it (RFC 9580, 6.1).
    encoded = b"".join(line for line in lines if not line.startswith(b"="))
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise Malformed("DARI-APT-SOURCES", f"an armored keyring is not base64: {error}") from error


def _merged(first: AptSource | None, second: AptSource) -> AptSource:
    if first is None:
        return second
    components = tuple(dict.fromkeys(first.components + second.components))
    return AptSource(first.uri, first.suite, components, first.keyring or second.keyring)
