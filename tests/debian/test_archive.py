"""The .deb file: what is read, what is refused, and that content is bounded."""

import gzip
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import zstandard

from dari.debian import deb_part
from dari.errors import IntegrityError
from dari.values.entry import Entry, Kind
from tests.debian.archive import archived, deb, member, packed, written
from tests.debian.conftest import AMD64

LINKS = {"bin": "usr/bin", "lib": "usr/lib"}
CONTROL = b"Package: case\nVersion: 1.0\nArchitecture: amd64\nDescription: a case\n"


def entries_of(
    folder: Path, data: Mapping[str, tarfile.TarInfo | bytes], links: Mapping[str, str] = LINKS
) -> tuple[Entry, ...]:
    """Read a package of these members."""
    locked, path = deb(folder, data)
    return deb_part(path, locked, platform=AMD64, links=links).entries()


def test_files_are_placed_where_the_bases_links_lead(tmp_path: Path) -> None:
    """Below a linked directory everything moves; the link itself stays what it is."""
    found = entries_of(
        tmp_path,
        {
            "./": member("./", kind=tarfile.DIRTYPE),
            "./lib/": member("./lib/", kind=tarfile.DIRTYPE),
            "./lib/x.so.1": b"elf",
            "./lib/x.so": member("./lib/x.so", kind=tarfile.SYMTYPE, target="x.so.1"),
            "./bin/y": member("./bin/y", kind=tarfile.LNKTYPE, target="./lib/x.so.1"),
        },
    )
    assert [(entry.path, entry.kind, entry.target) for entry in found] == [
        ("usr/lib", Kind.DIRECTORY, ""),
        ("usr/lib/x.so.1", Kind.FILE, ""),
        ("usr/lib/x.so", Kind.SYMLINK, "x.so.1"),
        ("usr/bin/y", Kind.HARDLINK, "usr/lib/x.so.1"),
    ]
    opened = found[1].open
    assert opened is not None
    with opened() as first, opened() as second:
        assert (first.read(1), second.read(), first.read()) == (b"e", b"elf", b"lf")


def test_a_shipped_link_stays_a_link(tmp_path: Path) -> None:
    """base-files of trixie ships lib → usr/lib itself."""
    found = entries_of(tmp_path, {"./lib": member("./lib", kind=tarfile.SYMTYPE, target="usr/lib")})
    assert [(entry.path, entry.kind) for entry in found] == [("lib", Kind.SYMLINK)]


def test_links_in_a_circle_are_one_clear_error(tmp_path: Path) -> None:
    """A base whose directory links go round can't be built on."""
    with pytest.raises(IntegrityError, match="circle"):
        entries_of(tmp_path, {"./a/x": b""}, {"a": "b", "b": "a"})


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_every_compression(tmp_path: Path, suffix: str, compress: type[bytes]) -> None:
    """Debian's xz, Ubuntu's zstd, and what others use."""
    control, data = gzip.compress(packed({"./control": CONTROL})), compress(packed({"./x": b"content"}))
    content = archived({"debian-binary": b"2.0\n", "control.tar.gz": control, f"data.tar{suffix}": data})
    locked, path = written(tmp_path, content)
    assert [entry.path for entry in deb_part(path, locked, platform=AMD64, links={}).entries()] == ["x"]


@pytest.mark.parametrize(
    ("name", "hostile"),
    [
        ("../x", member("../x")),
        ("./a/../../x", member("./a/../../x")),
        ("/etc/passwd", member("/etc/passwd")),
        ("./dev/null", member("./dev/null", kind=tarfile.CHRTYPE)),
        ("./pipe", member("./pipe", kind=tarfile.FIFOTYPE)),
        ("./a/out", member("./a/out", kind=tarfile.SYMTYPE, target="../../../etc")),
        ("./hard", member("./hard", kind=tarfile.LNKTYPE, target="../etc/shadow")),
        ("./hard", member("./hard", kind=tarfile.LNKTYPE, target="./not/there")),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, name: str, hostile: tarfile.TarInfo) -> None:
    """What could leave its place in the image is refused by name."""
    with pytest.raises(IntegrityError) as caught:
        entries_of(tmp_path, {name: hostile})
    assert caught.value.id == "DARI-DEB-MEMBER"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """A file below a link of the same package would land elsewhere."""
    with pytest.raises(IntegrityError, match="not a directory"):
        entries_of(tmp_path, {"./a": member("./a", kind=tarfile.SYMTYPE, target="/etc"), "./a/passwd": b"x"})


def test_more_than_declared_is_not_unpacked(tmp_path: Path) -> None:
    """A package of a few kB that would unpack to 10 GB stops at a generous multiple of its Installed-Size."""
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    head = member("./zeros")
    head.size = 10 << 30
    bomb = [compressor.compress(head.tobuf())]
    block = bytes(4 << 20)
    bomb += [compressor.compress(block) for _ in range(40)]
    bomb.append(compressor.flush())
    control = gzip.compress(packed({"./control": CONTROL + b"Installed-Size: 10\n"}))
    content = archived({"debian-binary": b"2.0\n", "control.tar.gz": control, "data.tar.zst": b"".join(bomb)})
    locked, path = written(tmp_path, content)
    with pytest.raises(IntegrityError, match="more than 64 MiB") as caught:
        deb_part(path, locked, platform=AMD64, links={}).entries()
    assert caught.value.id == "DARI-DEB-TOO-LARGE"


def test_any_cut_is_one_clear_error(tmp_path: Path) -> None:
    """However short the file is, it is named as damaged; nothing else escapes."""
    path = deb(tmp_path, {"./x": b"content" * 100})[1]
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 7):
        cut, place = written(tmp_path, whole[:size], name="case")
        with pytest.raises(IntegrityError) as caught:
            deb_part(place, cut, platform=AMD64, links={}).entries()
        assert caught.value.id == "DARI-DEB-MALFORMED"


@pytest.mark.parametrize("suffix", [".xz", ".gz"])
def test_a_cut_within_the_data_is_found(tmp_path: Path, suffix: str) -> None:
    """A data archive that ends too soon inside a whole ar is damaged too."""
    plain = packed({"./x": bytes(range(256)) * 40})
    data = lzma.compress(plain) if suffix == ".xz" else gzip.compress(plain)
    control = gzip.compress(packed({"./control": CONTROL}))
    for size in (0, 10, len(data) // 2, len(data) - 4):
        members = {"debian-binary": b"2.0\n", "control.tar.gz": control, f"data.tar{suffix}": data[:size]}
        locked, path = written(tmp_path, archived(members))
        with pytest.raises(IntegrityError) as caught:
            deb_part(path, locked, platform=AMD64, links={}).entries()
        assert caught.value.id == "DARI-DEB-MALFORMED"


def test_a_wrong_hash_is_refused(tmp_path: Path) -> None:
    """The bytes in the cache are checked whenever they are read."""
    locked, path = deb(tmp_path, {"./x": b"content"})
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(IntegrityError) as caught:
        deb_part(path, locked, platform=AMD64, links={}).entries()
    assert caught.value.id == "DARI-DEB-DIGEST"


def test_a_package_is_the_one_that_was_locked(tmp_path: Path) -> None:
    """A file whose control says another name is refused."""
    content = archived(
        {
            "debian-binary": b"2.0\n",
            "control.tar": packed({"./control": CONTROL.replace(b"case", b"other")}),
            "data.tar": packed({}),
        }
    )
    locked, path = written(tmp_path, content)
    with pytest.raises(IntegrityError, match="says that it is 'other'"):
        deb_part(path, locked, platform=AMD64, links={}).entries()


def test_equal_keys_mean_equal_entries(tmp_path: Path) -> None:
    """The key follows the package's content and the links, and nothing is read to make it."""
    locked, path = deb(tmp_path, {"./x": b"content"})
    part = deb_part(path, locked, platform=AMD64, links=LINKS)
    path.unlink()
    assert part.key == deb_part(path, locked, platform=AMD64, links=dict(reversed(LINKS.items()))).key
    assert part.key != deb_part(path, locked, platform=AMD64, links={}).key
