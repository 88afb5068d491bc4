"""Real packages on real roots: dpkg, apt, git, vim and Python inside are the judges."""

import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dari.debian import deb_part, judge, python_target, resolve, root_links, root_part, status_part
from dari.values.debian import installed_packages
from dari.values.entry import Kind, Part
from dari.values.fact import Missing
from dari.values.inventory import AptSource
from dari.values.lock import LockedDeb
from tests.debian.conftest import AMD64, Base, Inside, Workshop
from tests.support.debian_root import debian_root

pytestmark = pytest.mark.system
TAR_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
}
SCRATCH = Base(Path(), b"", {}, root_links(AMD64))
WANTED = ("ca-certificates", "git", "libgl1", "python3", "vim")


@dataclass(frozen=True, slots=True)
class Plan:
    """Packages, and what of them goes into the image."""

    debs: tuple[LockedDeb, ...]
    paths: tuple[Path, ...]
    parts: tuple[Part, ...]


def planned(workshop: Workshop, sources: tuple[AptSource, ...], requests: tuple[str, ...], base: Base) -> Plan:
    """Resolve, fetch and describe packages for a base."""
    debs = resolve(
        requests,
        sources=sources,
        installed=installed_packages(base.status),
        platform=AMD64,
        fetcher=workshop.downloads,
        store=workshop.store,
    )
    paths = tuple(workshop.downloads.fetch(deb.url, deb.digest) for deb in debs)
    parts = [deb_part(path, deb, platform=AMD64, links=base.links) for deb, path in zip(debs, paths, strict=True)]
    records = status_part(
        debs, paths, base_status=base.status, base_files=base.files, links=base.links, store=workshop.store
    )
    first = () if base.status else (root_part(AMD64),)
    return Plan(debs, paths, (*first, *parts, records))


def put_on(root: Path, parts: Iterable[Part]) -> None:
    """Lay parts over a root with tar, as an engine would lay a layer over those below."""
    argv = ("tar", "-x", "-p", "--same-owner", "--numeric-owner", "--keep-directory-symlink", "-C", str(root))
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        with tarfile.open(fileobj=process.stdin, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for entry in (entry for part in parts for entry in part.entries() if entry.kind is not Kind.WHITEOUT):
                member = tarfile.TarInfo(entry.path)
                member.type, member.linkname, member.size = TAR_TYPES[entry.kind], entry.target, entry.size
                member.mode, member.uid, member.gid, member.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
                if entry.open:
                    with entry.open() as stream:
                        tar.addfile(member, stream)
                else:
                    tar.addfile(member)
        process.stdin.close()
        assert process.wait() == 0


@pytest.fixture(scope="module")
def with_packages(
    tmp_path_factory: pytest.TempPathFactory,
    kept_workshop: Workshop,
    host_sources: tuple[AptSource, ...],
    minbase: Base,
) -> Path:
    """A minbase with git, vim and libgl1 put on, and the host's package lists."""
    root = tmp_path_factory.mktemp("base") / "root"
    subprocess.run(["cp", "-a", minbase.folder, root], check=True)
    put_on(root, planned(kept_workshop, host_sources, ("git", "vim", "libgl1"), minbase).parts)
    shutil.rmtree(root / "var/lib/apt/lists")
    shutil.copytree("/var/lib/apt/lists", root / "var/lib/apt/lists", ignore=shutil.ignore_patterns("lock", "partial"))
    (root / "var/lib/apt/lists/partial").mkdir()
    return root


@pytest.fixture(scope="module")
def from_scratch(
    tmp_path_factory: pytest.TempPathFactory, kept_workshop: Workshop, host_sources: tuple[AptSource, ...]
) -> Path:
    """An image of nothing but what a minbase with the wanted packages has."""
    reference = tmp_path_factory.mktemp("reference")
    subprocess.run(["tar", "-xf", debian_root(WANTED), "-C", reference, "./var/lib/dpkg/status"], check=True)
    status = (reference / "var/lib/dpkg/status").read_bytes()
    names = tuple(package.name for package in installed_packages(status))
    root = tmp_path_factory.mktemp("scratch")
    put_on(root, planned(kept_workshop, host_sources, names, SCRATCH).parts)
    return root


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("dpkg --list git vim libgl1 | grep -c '^ii'", "3"),
        ("dpkg --audit", ""),
        ("dpkg --verify", ""),
        ("git --version", "git version 2.39"),
        ("vim --version", "VIM - Vi IMproved 9.0"),
        ("git init -q /tmp/r && cd /tmp/r && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x", ""),
        ("update-alternatives --query editor | grep ^Value", "Value: /usr/bin/vim.basic"),
        ("readlink -f /usr/bin/vi", "/usr/bin/vim.basic"),
        ("dpkg --configure --pending && ldconfig && ldconfig --print-cache | grep -c libGL.so.1", "1"),
        ("apt-get check -q", "Reading state information"),
        ("apt-get install --simulate --no-install-recommends curl | grep -c '^Inst'", ""),
        ("apt-mark showauto | grep -x libcurl3-gnutls", "libcurl3-gnutls"),
        ("apt-mark showmanual | grep -x git", "git"),
        ("apt-get remove --simulate git | grep ^Remv", "Remv git"),
    ],
)
def test_a_base_with_packages_is_in_order(with_packages: Path, inside: Inside, command: str, says: str) -> None:
    """The programs run, and dpkg and apt find nothing to complain about."""
    result = inside(with_packages, command)
    assert (result.returncode, result.stderr) == (0, "")
    assert says in result.stdout
    if not says and "apt" not in command:
        assert result.stdout == ""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ('python3 -c "import ssl, sqlite3, ctypes, lzma, bz2, readline, zlib; print(ctypes.CDLL(None) and 1)"', "1"),
        ('python3 -c "import ssl; print(ssl.create_default_context().cert_store_stats())"', "'x509_ca': 1"),
        ("openssl verify -CApath /etc/ssl/certs /etc/ssl/certs/GlobalSign_Root_R46.pem", ": OK"),
        ("dpkg --audit; dpkg --verify; dpkg --configure --pending", ""),
        ("sh -c 'echo $0'; id -un; ls -d /tmp -l | cut -c1-10", "drwxrwxrwt"),
        ("git --version && vim --version | head -1 && awk 'BEGIN { print 1 }'", "git version"),
    ],
)
def test_an_image_from_scratch_runs(from_scratch: Path, inside: Inside, command: str, says: str) -> None:
    """Python, TLS, dpkg and the shell work in a root that no package manager ever touched."""
    result = inside(from_scratch, command)
    assert (result.returncode, result.stderr) == (0, "")
    assert says in result.stdout
    assert says or not result.stdout


def test_nothing_is_missing_that_dpkg_would_have_made(from_scratch: Path, tmp_path: Path) -> None:
    """Path by path, an image from scratch is what mmdebstrap makes of the same packages."""
    subprocess.run(["tar", "-xf", debian_root(WANTED), "-C", tmp_path, "--exclude=./dev/*"], check=True)
    ours, theirs = tree(from_scratch), tree(tmp_path)
    assert sorted(theirs.keys() - ours.keys()) == []
    assert {name for name in ours.keys() - theirs.keys() if "usr-is-merged" not in name} == set()
    assert {name for name in theirs if ours[name] != theirs[name]} == set()


# Caches, logs and locks; what mmdebstrap itself writes; what a service manager would start; where the order of
# installation shows, or the day.
PASSED_OVER = (
    *("var/cache/", "var/log/", "dev/", "proc", "etc/systemd/system/", "var/lib/systemd/", "var/lib/apt/"),
    *("etc/rc0.d/", "etc/rc6.d/", "etc/rcS.d/", "etc/apt/apt.conf.d/99mmdebstrap", "etc/apt/sources.list"),
    *("etc/.pwd.lock", "etc/fstab", "etc/hostname", "etc/resolv.conf", "etc/ld.so.cache", "etc/passwd-", "etc/group-"),
    *("var/lib/dpkg/lock", "var/lib/dpkg/arch", "var/lib/dpkg/diversions", "var/lib/dpkg/status", "etc/shells"),
    *("var/lib/dpkg/triggers/Lock", "etc/shadow"),
)


def tree(root: Path) -> Mapping[str, tuple[object, ...]]:
    """Return what stands where: kind and mode, owner, and a link's target or a file's content."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            name = path.relative_to(root).as_posix()
            if name.startswith(PASSED_OVER) or "__pycache__" in name:
                continue
            seen = path.lstat()
            content: object = None
            if stat.S_ISLNK(seen.st_mode):
                content = path.readlink()
            elif stat.S_ISREG(seen.st_mode):
                content = seen.st_size if name.startswith("usr/") else path.read_bytes()
            found[name] = (oct(seen.st_mode), seen.st_uid, seen.st_gid, content)
    return found


def test_the_same_packages_give_the_same_bytes(
    kept_workshop: Workshop, host_sources: tuple[AptSource, ...], minbase: Base
) -> None:
    """Entries are equal from one run to the next, and so is the key."""
    first, second = (planned(kept_workshop, host_sources, ("git",), minbase) for _ in range(2))
    assert [part.key for part in first.parts] == [part.key for part in second.parts]

    def contents(part: Part) -> list[tuple[str, bytes]]:
        return [(entry.path, entry.open().read() if entry.open else b"") for entry in part.entries()]

    assert contents(first.parts[-1]) == contents(second.parts[-1])


@pytest.mark.parametrize(
    "request_",
    ["ffmpeg", "build-essential", "openssh-client", "curl", "libsndfile1", "htop", "tmux", "rdma-core", "libibverbs1"],
)
def test_what_people_ask_for_is_not_refused(
    kept_workshop: Workshop, host_sources: tuple[AptSource, ...], minbase: Base, request_: str
) -> None:
    """The scripts of these packages' closures can all be followed on a base."""
    plan = planned(kept_workshop, host_sources, (request_,), minbase)
    found = judge(
        plan.debs,
        plan.paths,
        base_status=minbase.status,
        base_files=minbase.files,
        links=minbase.links,
        store=kept_workshop.store,
    )
    assert found == ()


def test_what_makes_users_is_refused_by_name(
    kept_workshop: Workshop, host_sources: tuple[AptSource, ...], minbase: Base
) -> None:
    """redis-server runs a service under a user of its own."""
    plan = planned(kept_workshop, host_sources, ("redis-server",), minbase)
    found = judge(
        plan.debs,
        plan.paths,
        base_status=minbase.status,
        base_files=minbase.files,
        links=minbase.links,
        store=kept_workshop.store,
    )
    assert {finding.id for finding in found} == {"DARI-APT-SCRIPT"}
    assert any("adduser --system" in finding.message and finding.cause == "redis-server" for finding in found)


def test_the_python_of_an_image_from_scratch(
    kept_workshop: Workshop, host_sources: tuple[AptSource, ...], from_scratch: Path, inside: Inside
) -> None:
    """What is derived from the packages is what the interpreter says of itself."""
    target = python_target(planned(kept_workshop, host_sources, ("python3",), SCRATCH).debs, AMD64)
    assert not isinstance(target, Missing)
    said = inside(
        from_scratch,
        f"{target.interpreter} -c 'import os, site, sys, sysconfig; print(*sys.version_info[:2]);"
        ' print(sysconfig.get_path("purelib"), sysconfig.get_path("scripts"), *site.getsitepackages());'
        ' print(os.confstr("CS_GNU_LIBC_VERSION"))\'',
    ).stdout.splitlines()
    assert said[0] == f"{target.version[0]} {target.version[1]}"
    places = (target.scheme.purelib, target.scheme.scripts, *target.search_path)
    assert said[1].split() == [f"/{place}" for place in places]
    assert said[2] == f"glibc {target.glibc[0]}.{target.glibc[1]}"
