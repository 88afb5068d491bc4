"""Where an image is: a registry, an OCI layout on disk, or a docker-archive file.

Registry references follow the distribution project's grammar (distribution/reference) with Docker's
defaults: no domain means docker.io, one bare name there means library/NAME, no tag means latest.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from dari.values.digest import Digest
from dari.values.malformed import Malformed

_DOMAIN: Final = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_LONGEST_REPOSITORY: Final = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry. With a digest, the digest decides and the tag is only said."""

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[domain/]repository[:tag][@digest]`. Raises `Malformed` (DARI-REFERENCE-MALFORMED)."""
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        domain, slash, remainder = rest.partition("/")
        if slash and ("." in domain or ":" in domain or domain == "localhost" or domain != domain.lower()):
            registry, path = domain, remainder
        else:
            registry, path = "docker.io", rest
        path, colon, tag = path.partition(":")
        if registry == "docker.io" and "/" not in path and "." in path:  # no official image has a dot: it's a host
            registry, path = path, ""
        if registry in {"docker.io", "index.docker.io"}:
            registry, path = "docker.io", path if "/" in path else f"library/{path}"
        problem = _problem(registry, path, tag if colon else "latest")
        if problem:
            raise Malformed(
                "DARI-REFERENCE-MALFORMED", f"{text!r} is not an image reference: {problem}", hint=_hint(text)
            )
        return cls(registry, path, tag or ("" if digest else "latest"), digest)

    @property
    def selector(self) -> str:
        """What a manifest request names: the digest where there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def at(self, digest: Digest) -> "Reference":
        """Return the same repository, pinned to `digest`."""
        return replace(self, digest=digest)

    def tagged(self, tag: str) -> "Reference":
        """Return the same repository, at `tag`."""
        return replace(self, tag=tag, digest=None)

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True, slots=True)
class Layout:
    """`oci:PATH[:TAG]`: an OCI image layout directory (image-layout.md)."""

    path: Path
    tag: str = ""

    def __str__(self) -> str:
        return f"oci:{self.path}" + (f":{self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True)
class Archive:
    """`docker-archive:PATH[:REPOSITORY:TAG]`: what `docker save` writes and `docker load` reads."""

    path: Path
    name: str = ""

    def __str__(self) -> str:
        return f"docker-archive:{self.path}" + (f":{self.name}" if self.name else "")


Location = Reference | Layout | Archive


def parse_location(text: str) -> Location:
    """Read any place an image can be. Raises `Malformed` (DARI-REFERENCE-MALFORMED)."""
    kind, colon, rest = text.partition(":")
    if colon and kind in {"oci", "docker-archive"}:
        path, _, name = rest.partition(":")
        if not path:
            raise Malformed(
                "DARI-REFERENCE-MALFORMED",
                f"{text!r} names no path",
                hint=f"write {kind}:PATH or {kind}:PATH:TAG",
            )
        if kind == "docker-archive":
            return Archive(Path(path), name)
        if name and not _TAG.fullmatch(name):
            raise Malformed(
                "DARI-REFERENCE-MALFORMED",
                f"{name!r} is not a tag",
                hint="letters, digits, '_', '.', '-'; 128 at most",
            )
        return Layout(Path(path), name)
    return Reference.parse(text.removeprefix("docker://"))


def _problem(registry: str, path: str, tag: str) -> str:
    if not _DOMAIN.fullmatch(registry):
        return f"{registry!r} is not a host name"
    if not path or path == "library/":
        return "it names a registry but no repository"
    if path != path.lower():
        return f"the repository {path!r} has capital letters"
    if not _REPOSITORY.fullmatch(path) or len(path) > _LONGEST_REPOSITORY:
        return f"{path!r} is not a repository name"
    return "" if _TAG.fullmatch(tag) else f"{tag!r} is not a tag"


def _hint(text: str) -> str:
    if text != text.lower():
        return f"try {text.lower()!r}"
    host, colon, tag = text.partition(":")
    if ".dkr.ecr." in host and "/" not in text:
        return f"an ECR address needs a repository: {host}/my-repository{colon}{tag}"
    return "write [REGISTRY/]REPOSITORY[:TAG][@sha256:DIGEST], oci:PATH[:TAG] or docker-archive:PATH"
