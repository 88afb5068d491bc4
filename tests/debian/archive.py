"""Debian archives and packages made by hand: signed by a key of their own, as small as the case needs."""

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pysequoia import SignatureMode, Tsk, sign

from dari.values.digest import Digest
from dari.values.inventory import AptSource
from dari.values.lock import LockedDeb


@cache
def key(name: str) -> Tsk:
    """Return a signing key; the same name, the same key, within one run."""
    return Tsk.generate(user_id=f"{name} <{name}@example.org>")


def keyring(name: str = "archive") -> bytes:
    """Return the public part of a key."""
    return bytes(key(name).extract_certificate())


def stanza(name: str, version: str = "1.0", **fields: str) -> str:
    """Return a paragraph of a Packages file; `fields` by name, '_' for '-'."""
    digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    given = {key.replace("_", "-").title(): value for key, value in fields.items()}
    everything = {
        "Package": name,
        "Version": version,
        "Architecture": "amd64",
        "Filename": f"pool/{name}_{version}_amd64.deb",
        "Size": "1000",
        "SHA256": digest,
        **given,
    }
    return "".join(f"{key}: {value}\n" for key, value in everything.items())


@dataclass(frozen=True, slots=True)
class Archive:
    """What a local archive serves. `signer` signs it, `announced` overrides members of its Release file."""

    packages: tuple[str, ...]
    suite: str = "stable"
    signer: str = "archive"
    announced: Mapping[str, str] = field(default_factory=dict)
    detached: bool = False

    def write(self, folder: Path) -> AptSource:
        """Write the archive below `folder` and return a source that trusts the key named 'archive'."""
        content = "\n".join(self.packages).encode()
        files = {
            "main/binary-amd64/Packages": content,
            "main/binary-amd64/Packages.gz": gzip.compress(content, mtime=0),
        }
        lines = [f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}" for path, data in files.items()]
        fields = {"Suite": self.suite, "Codename": self.suite, "Architectures": "amd64", **self.announced}
        head = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
        release = f"{head}SHA256:\n{chr(10).join(lines)}\n".encode()
        root = folder / "dists" / self.suite
        for path, data in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        signer = key(self.signer).signer()
        if self.detached:
            (root / "Release").write_bytes(release)
            (root / "Release.gpg").write_bytes(sign(signer, release, mode=SignatureMode.DETACHED))
        else:
            (root / "InRelease").write_bytes(sign(signer, release, mode=SignatureMode.CLEAR))
        return AptSource(folder.as_uri(), self.suite, ("main",), keyring())


def member(name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return a member of a data archive."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, len(content)
    made.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return made


def packed(members: Mapping[str, tarfile.TarInfo | bytes]) -> bytes:
    """Return a tar of members; bytes stand for a plain file of that name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, each in members.items():
            if isinstance(each, bytes):
                tar.addfile(member(name, each), io.BytesIO(each))
            else:
                tar.addfile(each)
    return buffer.getvalue()


def archived(members: Mapping[str, bytes]) -> bytes:
    """Return an ar archive, as a .deb is one."""
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        parts.append(content + b"\n" * (len(content) % 2))
    return b"".join(parts)


def deb(
    folder: Path,
    data: Mapping[str, tarfile.TarInfo | bytes],
    *,
    control: Mapping[str, bytes] | None = None,
    fields: str = "",
    name: str = "case",
) -> tuple[LockedDeb, Path]:
    """Write a .deb of version 1.0 and return how a lock would name it."""
    head = f"Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: N <n@example.org>\n{fields}"
    files = {"./control": f"{head}Description: a case\n".encode(), **{f"./{k}": v for k, v in (control or {}).items()}}
    content = archived(
        {
            "debian-binary": b"2.0\n",
            "control.tar.gz": gzip.compress(packed(files), mtime=0),
            "data.tar.xz": lzma.compress(packed(data), preset=0),
        }
    )
    return written(folder, content, name=name)


def written(folder: Path, content: bytes, *, name: str = "case") -> tuple[LockedDeb, Path]:
    """Write any bytes as a .deb."""
    path = folder / f"{name}.deb"
    path.write_bytes(content)
    return LockedDeb(name, "1.0", "amd64", path.as_uri(), Digest.of(content), len(content), (name,)), path
