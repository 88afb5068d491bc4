"""From names to files: what is chosen, what is refused, and that nothing unverified is believed."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dari.debian import resolve
from dari.errors import ConflictError, DariError, IntegrityError, OutsideError, UsageError
from dari.values.debian import installed_packages
from dari.values.inventory import AptSource, DebianPackage
from dari.values.lock import LockedDeb
from tests.debian.archive import Archive, stanza
from tests.debian.conftest import AMD64, Base, Workshop

HAS = DebianPackage("libc6", "2.36", "amd64")


def resolved(
    workshop: Workshop,
    folder: Path,
    packages: tuple[str, ...],
    requests: tuple[str, ...],
    installed: tuple[DebianPackage, ...] = (HAS,),
) -> dict[str, LockedDeb]:
    """Resolve against one small archive."""
    sources = (Archive(packages).write(folder),)
    return {deb.name: deb for deb in answer(workshop, sources, requests, installed)}


def answer(
    workshop: Workshop,
    sources: tuple[AptSource, ...],
    requests: tuple[str, ...],
    installed: tuple[DebianPackage, ...] = (HAS,),
) -> tuple[LockedDeb, ...]:
    """Resolve against any sources."""
    return resolve(
        requests,
        sources=sources,
        installed=installed,
        platform=AMD64,
        fetcher=workshop.downloads,
        store=workshop.store,
    )


@pytest.mark.parametrize(
    ("packages", "installed", "expected"),
    [
        ([stanza("app", depends="lib, libc6"), stanza("lib")], [], ["app", "lib"]),
        ([stanza("app", recommends="extra"), stanza("extra")], [], ["app"]),
        ([stanza("app", pre_depends="lib (>= 2)"), stanza("lib", "1.0"), stanza("lib", "2.0")], [], ["app", "lib=2.0"]),
        ([stanza("app", depends="gone | lib"), stanza("lib")], [], ["app", "lib"]),
        ([stanza("app", depends="first | lib"), stanza("first"), stanza("lib")], [("lib", "1")], ["app"]),
        ([stanza("app", depends="virtual"), stanza("real", provides="virtual")], [], ["app", "real"]),
        (
            [
                stanza("app", depends="virtual (>= 2)"),
                stanza("a", provides="virtual"),
                stanza("b", provides="virtual (= 2)"),
            ],
            [],
            ["app", "b"],
        ),
        ([stanza("app", depends="python3:any"), stanza("python3")], [], ["app", "python3"]),
        ([stanza("app", depends="a"), stanza("a", depends="b"), stanza("b", depends="a")], [], ["a", "app", "b"]),
        ([stanza("app", depends="x | y"), stanza("x", conflicts="app"), stanza("y")], [], ["app", "y"]),
        ([stanza("app", "2.0", depends="libc6 (>= 3)"), stanza("app", "1.0")], [], ["app=1.0"]),
        ([stanza("app", depends="other [arm64], lib"), stanza("lib")], [], ["app", "lib"]),
        ([stanza("app", conflicts="app, lib (<< 1)"), stanza("lib")], [("lib", "1")], ["app"]),
    ],
)
def test_the_closure(
    workshop: Workshop,
    tmp_path: Path,
    packages: Sequence[str],
    installed: Sequence[tuple[str, str]],
    expected: Sequence[str],
) -> None:
    """What was asked for and what it needs, the newest that fits, beside what is there."""
    base = (HAS, *(DebianPackage(name, version, "amd64") for name, version in installed))
    found = resolved(workshop, tmp_path, tuple(packages), ("app",), base)
    pairs = [each.partition("=") for each in expected]
    versions = {name: version or found[name].version for name, _, version in pairs}
    assert {name: deb.version for name, deb in found.items()} == versions


def test_a_lock_names_the_file_its_digest_and_who_wanted_it(workshop: Workshop, tmp_path: Path) -> None:
    """Addresses are the archive's own; `required_by` follows the graph."""
    packages = (stanza("app", depends="lib"), stanza("lib"), stanza("tool", depends="lib"))
    found = resolved(workshop, tmp_path, packages, ("tool", "app"))
    assert found["lib"].url == f"{tmp_path.as_uri()}/pool/lib_1.0_amd64.deb"
    assert found["lib"].size == 1000
    assert found["lib"].required_by == ("app", "tool")
    assert found["app"].required_by == ("app",)


def test_scratch_gets_what_is_essential(workshop: Workshop, tmp_path: Path) -> None:
    """With nothing installed, the Essential packages and the sign of a merged /usr come along."""
    packages = (
        stanza("app"),
        stanza("shell", essential="yes", depends="usrmerge | usr-is-merged"),
        stanza("usrmerge"),
        stanza("usr-is-merged"),
        stanza("other"),
    )
    found = resolved(workshop, tmp_path, packages, ("app",), ())
    assert {name: deb.required_by for name, deb in found.items()} == {
        "app": ("app",),
        "shell": ("scratch",),
        "usr-is-merged": ("scratch",),
    }


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        ("app:i386", (UsageError, "DARI-APT-REQUEST"), "app:i386"),
        ("App", (UsageError, "DARI-APT-REQUEST"), "App"),
        ("a; rm -rf /", (UsageError, "DARI-APT-REQUEST"), "rm"),
        ("gpp", (UsageError, "DARI-APT-UNKNOWN"), "gpp"),
        ("app=9", (UsageError, "DARI-APT-UNKNOWN"), "version"),
        ("virtual", (UsageError, "DARI-APT-UNKNOWN"), "virtual"),
        ("libc6=9", (ConflictError, "DARI-APT-UPGRADE"), "libc6 2.36"),
        ("newer", (ConflictError, "DARI-APT-UPGRADE"), r"needs libc6 \(>= 3\), but the base has libc6 2\.36"),
        ("hostile", (ConflictError, "DARI-APT-CONFLICT"), r"the base's libc6 2\.36"),
        ("lost", (ConflictError, "DARI-APT-UNSATISFIABLE"), "no source has"),
    ],
)
def test_what_cant_be_had_says_why(
    workshop: Workshop, tmp_path: Path, wanted: str, error: tuple[type[DariError], str], says: str
) -> None:
    """Each refusal names both sides and has its own id."""
    packages = (
        stanza("app"),
        stanza("one", provides="virtual"),
        stanza("two", provides="virtual"),
        stanza("newer", depends="libc6 (>= 3)"),
        stanza("libc6", "3.0"),
        stanza("hostile", breaks="libc6 (<< 3)"),
        stanza("lost", depends="nothing-has-this"),
    )
    with pytest.raises(error[0], match=says) as caught:
        resolved(workshop, tmp_path, packages, (wanted,))
    assert caught.value.id == error[1]
    assert caught.value.hint


@pytest.mark.parametrize(
    ("wanted", "offered", "hint"),
    [
        ("libgl1-mesa-glx", "libgl1", "use 'libgl1'"),
        ("libglib2.0-0", "libglib2.0-0t64", "t64"),
        ("htopp", "htop", "htop"),
    ],
)
def test_an_unknown_name_gets_a_near_one(
    workshop: Workshop, tmp_path: Path, wanted: str, offered: str, hint: str
) -> None:
    """Renamed packages are known by a table, misspelt ones by likeness."""
    with pytest.raises(UsageError) as caught:
        resolved(workshop, tmp_path, (stanza(offered),), (wanted,))
    assert hint in caught.value.hint


def test_backports_wait_until_they_are_named(workshop: Workshop, tmp_path: Path) -> None:
    """A source that says NotAutomatic is used only for what others lack, or for a version that is asked for."""
    main = Archive((stanza("app", "1.0"),)).write(tmp_path)
    later = Archive((stanza("app", "2.0"), stanza("only", "2.0")), "later", announced={"NotAutomatic": "yes"}).write(
        tmp_path
    )
    found = {deb.name: deb.version for deb in answer(workshop, (later, main), ("app", "only"))}
    assert found == {"app": "1.0", "only": "2.0"}
    assert answer(workshop, (later, main), ("app=2.0",))[0].version == "2.0"


@pytest.mark.parametrize("detached", [False, True])
def test_a_signed_release_is_believed(workshop: Workshop, tmp_path: Path, *, detached: bool) -> None:
    """InRelease, or Release with Release.gpg."""
    source = Archive((stanza("app"),), detached=detached).write(tmp_path)
    assert [deb.name for deb in answer(workshop, (source,), ("app",))] == ["app"]


def test_a_forged_release_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    """Another's signature, a changed text, no keyring, a keyring that is none: each is one clear error."""
    honest = Archive((stanza("app"),)).write(tmp_path / "honest")
    forged = Archive((stanza("app"),), signer="stranger").write(tmp_path / "forged")
    altered = Archive((stanza("app"),)).write(tmp_path / "altered")
    release = tmp_path / "altered/dists/stable/InRelease"
    release.write_bytes(release.read_bytes().replace(b"amd64", b"amd46"))
    for source in (forged, altered, replace(honest, keyring=b""), replace(honest, keyring=b"not a key")):
        with pytest.raises(IntegrityError, match="verifying") as caught:
            answer(workshop, (source,), ("app",))
        assert caught.value.id == "DARI-APT-SIGNATURE"
        assert "\n" not in str(caught.value)


def test_text_beside_the_signature_counts_for_nothing(workshop: Workshop, tmp_path: Path) -> None:
    """What stands before the signed part of InRelease isn't read."""
    source = Archive((stanza("app"),), announced={"Valid-Until": "Thu, 01 Jan 2099 00:00:00 UTC"}).write(tmp_path)
    release = tmp_path / "dists/stable/InRelease"
    release.write_bytes(b"Suite: other\nSHA256:\n\n" + release.read_bytes())
    assert [deb.name for deb in answer(workshop, (source,), ("app",))] == ["app"]


def test_a_tampered_package_list_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    """The list must be what the signed Release file says, byte for byte."""
    source = Archive((stanza("app"),)).write(tmp_path)
    for path in (tmp_path / "dists/stable/main/binary-amd64").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError):
        answer(workshop, (source,), ("app",))


@pytest.mark.parametrize(
    ("announced", "id"),
    [
        ({"Valid-Until": "Sat, 01 Jan 2022 00:00:00 UTC"}, "DARI-APT-EXPIRED"),
        ({"Valid-Until": "tomorrow"}, "DARI-APT-INDEX"),
        ({"Suite": "sid", "Codename": "sid"}, "DARI-APT-SUITE"),
    ],
)
def test_a_release_must_be_the_right_one(
    workshop: Workshop, tmp_path: Path, announced: dict[str, str], id: str
) -> None:
    """Expired, garbled, or of another suite."""
    source = Archive((stanza("app"),), announced=announced).write(tmp_path)
    with pytest.raises((OutsideError, IntegrityError)) as caught:
        answer(workshop, (source,), ("app",))
    assert caught.value.id == id


def test_a_source_that_is_gone(workshop: Workshop, tmp_path: Path) -> None:
    """A third party's archive may be away; one that shares a key with another that answers may not."""
    main = Archive((stanza("app"),)).write(tmp_path)
    gone = AptSource((tmp_path / "gone").as_uri(), "stable", ("main",), b"another key")
    assert [deb.name for deb in answer(workshop, (gone, main), ("app",))] == ["app"]
    with pytest.raises(OutsideError):
        answer(workshop, (replace(gone, keyring=main.keyring), main), ("app",))


def test_without_an_archive_the_last_release_serves(workshop: Workshop, tmp_path: Path) -> None:
    """What was verified once is kept, so that an archive that is away does no harm."""
    source = Archive((stanza("app"),)).write(tmp_path)
    first = answer(workshop, (source,), ("app",))
    (tmp_path / "dists").rename(tmp_path / "away")
    assert answer(workshop, (source,), ("app",)) == first


def test_a_garbled_entry_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    """An entry without a digest or with a version that is none can't be used."""
    for text in (stanza("app").replace("SHA256", "MD5sum"), stanza("app", "1_0")):
        source = Archive((text,)).write(tmp_path)
        with pytest.raises(OutsideError, match="reading the packages"):
            answer(workshop, (source,), ("app",))


@pytest.mark.system
@pytest.mark.parametrize("requests", [("git",), ("vim",), ("git", "vim", "libgl1", "build-essential")])
def test_apt_chooses_the_same(
    kept_workshop: Workshop, host_sources: tuple[AptSource, ...], minbase: Base, requests: tuple[str, ...]
) -> None:
    """On a real minbase, the closure is what `apt-get install --no-install-recommends` would install."""
    found = answer(kept_workshop, host_sources, requests, installed_packages(minbase.status))
    simulated = subprocess.run(
        [
            *("apt-get", "install", "--simulate", "--no-install-recommends"),
            f"--option=Dir::State::status={minbase.folder}/var/lib/dpkg/status",
            "--option=Debug::NoLocking=1",
            *requests,
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.split() for line in simulated.stdout.splitlines() if line.startswith("Inst ")]
    assert {deb.name: deb.version for deb in found} == {line[1]: line[2].strip("(") for line in lines}
