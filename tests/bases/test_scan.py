"""What a scan finds in images of every shape, and what it does with damaged and hostile ones."""

import contextlib
import tarfile
import tracemalloc
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from dari.bases import scan, scan_archive_stream, scratch_inventory
from dari.errors import DariError, IntegrityError, OutsideError
from dari.values.config import ImageConfig
from dari.values.digest import Digest
from dari.values.fact import Known, Missing
from dari.values.image import Image
from dari.values.inventory import AptSource, Inventory
from dari.values.malformed import Malformed
from dari.values.manifest import Descriptor
from dari.values.media import Codec
from dari.values.platform import Platform
from dari.values.progress import Silent
from dari.values.python import PythonTarget
from dari.values.reference import Location
from tests.bases.making import Item, MadeLayer, folder, hardlink, image, image_of, layer, link, tar

GLIBC = Item(
    "usr/lib/x86_64-linux-gnu/libc.so.6", text="..GNU C Library (X GLIBC 2.39-1) stable release version 2.39.\n"
)
SITES = "usr/local/lib/python3.12/dist-packages"
DEBIAN = [
    link("bin", "usr/bin"), link("lib", "usr/lib"), GLIBC,
    Item("usr/bin/python3.12"), link("usr/bin/python3", "python3.12"), folder("usr/lib/python3/dist-packages"),
    Item("usr/lib/os-release", text='ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu"\n'),
    link("etc/os-release", "../usr/lib/os-release"),
    Item("var/lib/dpkg/status", text="Package: bash\nStatus: install ok installed\nVersion: 5.2\n"),
]  # fmt: skip


def distribution(
    name: str, version: str, *, site: str = SITES, requires: Sequence[str] = (), files: Sequence[str] = ()
) -> list[Item]:
    """Return the files of an installed wheel."""
    information = f"{site}/{name}-{version}.dist-info"
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    own = [f"{name}/__init__.py", *files]
    record = "".join(f"{path},,\n" for path in (*own, f"{information.removeprefix(site + '/')}/METADATA"))
    return [
        *(Item(f"{site}/{path}") for path in own if not path.startswith("..")),
        Item(f"{information}/METADATA", text=f"Name: {name}\nVersion: {version}\n{lines}\nSome: prose\n"),
        Item(f"{information}/RECORD", text=record),
    ]


def scanned(*layers: Sequence[Item], environment: Mapping[str, str] | None = None) -> Inventory:
    """Scan an image of these layers."""
    return scan(image_of(*layers, environment=environment), Silent())


def python_of(*layers: Sequence[Item], environment: Mapping[str, str] | None = None) -> PythonTarget:
    """Return the interpreter that a scan finds."""
    fact = scanned(*layers, environment=environment).python
    assert isinstance(fact, Known), fact
    return fact.value


# ── what is in there ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_every_compression_is_read_however_the_bytes_arrive(codec: Codec, chunk: int) -> None:
    """gzip, zstd and plain layers, told by their own first bytes, in chunks of any size."""
    made = layer(tar(DEBIAN), codec, chunk=chunk)
    assert scan(image(made), Silent()).os_release.codename == "noble"


def test_debian_installs_under_usr_local() -> None:
    """Debian's interpreter installs into usr/local and looks into both dist-packages."""
    python = python_of(DEBIAN)
    assert (python.version, python.interpreter, python.glibc) == ((3, 12), "/usr/bin/python3.12", (2, 39))
    assert python.scheme.purelib == python.scheme.platlib == SITES
    assert python.scheme.scripts == "usr/local/bin"
    assert python.search_path == (SITES, "usr/lib/python3/dist-packages")


def test_a_python_of_its_own_installs_beside_itself() -> None:
    """The official Python image, conda and the like: lib/pythonX.Y/site-packages below the same prefix."""
    python = python_of(
        DEBIAN,
        [Item("usr/local/bin/python3.13"), link("usr/local/bin/python3", "python3.13")],
    )
    assert (python.interpreter, python.scheme.purelib) == (
        "/usr/local/bin/python3.13",
        "usr/local/lib/python3.13/site-packages",
    )


def test_the_path_decides_which_python_runs() -> None:
    """The first folder on the config's PATH that has a python counts."""
    conda = [Item("opt/conda/bin/python3.11"), link("opt/conda/bin/python", "python3.11")]
    python = python_of(DEBIAN, conda, environment={"PATH": "/opt/conda/bin:/usr/bin"})
    assert (python.interpreter, python.scheme.data) == ("/opt/conda/bin/python3.11", "opt/conda")
    assert python_of(DEBIAN, conda, environment={"PATH": "/usr/bin:/opt/conda/bin"}).version == (3, 12)


@pytest.mark.parametrize(("system", "expected"), [("true", 3), ("false", 1)])
def test_a_virtual_environment_is_installed_into(system: str, expected: int) -> None:
    """pyvenv.cfg beside the command makes its folder the prefix, and says whether the system's packages count."""
    venv = [
        link("opt/venv/bin/python3", "/usr/bin/python3"),
        Item("opt/venv/pyvenv.cfg", text=f"home = /usr/bin\ninclude-system-site-packages = {system}\n"),
        folder(SITES),
    ]
    python = python_of(DEBIAN, venv, environment={"PATH": "/opt/venv/bin:/usr/bin"})
    assert python.interpreter == "/opt/venv/bin/python3"
    assert python.scheme.purelib == "opt/venv/lib/python3.12/site-packages"
    assert len(python.search_path) == expected


def test_fedora_installs_under_usr_local_with_two_libs() -> None:
    """Red Hat's family keeps binary packages in lib64; without dpkg the facts say so."""
    inventory = scanned([
        link("lib64", "usr/lib64"), Item("usr/lib64/libc.so.6", text="release version 2.34.\n"),
        Item("usr/bin/python3.9"), link("usr/bin/python3", "python3.9"), folder("usr/lib64/python3.9"),
        folder("usr/lib64/python3.9/site-packages"), Item("etc/os-release", text="ID=rhel\nVERSION_ID=9.5\n"),
    ])  # fmt: skip
    assert isinstance(inventory.python, Known)
    assert inventory.python.value.scheme.platlib == "usr/local/lib64/python3.9/site-packages"
    assert inventory.python.value.glibc == (2, 34)
    assert inventory.packages == ()
    assert "dpkg" in inventory.missing["packages"].reason


def test_an_image_of_nearly_nothing_is_missing_facts_not_a_failure() -> None:
    """One static program, no shell, no Python, no package manager: each fact says what was looked for."""
    inventory = scanned([Item("app")])
    assert set(inventory.missing) == {"os_release", "packages", "glibc", "python"}
    assert all(fact.reason and fact.looked_at for fact in inventory.missing.values())
    assert isinstance(inventory.python, Missing)
    assert not [*inventory.distributions, *inventory.libraries, *inventory.protected_paths]


def test_musl_is_named() -> None:
    """Alpine's Python is there, but no manylinux wheel fits it: the reason says musl."""
    inventory = scanned(
        [Item("lib/ld-musl-x86_64.so.1"), Item("usr/bin/python3.12"), link("usr/bin/python3", "python3.12")]
    )
    assert isinstance(inventory.python, Missing)
    assert "musl" in inventory.python.reason


def test_distroless_packages_are_read_one_file_each() -> None:
    """var/lib/dpkg/status.d lists what is installed, without a status file to carry on."""
    inventory = scanned([
        Item("var/lib/dpkg/status.d/base", text="Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"),
        Item("var/lib/dpkg/status.d/base.md5sums", text="d41d8cd9  etc/x\n"),
        Item("var/lib/dpkg/status.d/tzdata", text="Package: tzdata\nVersion: 2024a\nArchitecture: all\n"),
    ])  # fmt: skip
    assert [one.name for one in inventory.packages] == ["base-files", "tzdata"]
    assert inventory.dpkg_status == b""


def test_every_way_of_installing_is_seen() -> None:
    """Wheels, eggs, setuptools' and distutils' metadata, development links: in any Python's folders."""
    inventory = scanned(
        DEBIAN,
        [
            *distribution("wheel_one", "1.0", requires=["numpy>=1; python_version > '3'"]),
            Item("usr/lib/python3/dist-packages/old.egg-info/PKG-INFO", text="Name: old\nVersion: 2\n"),
            Item(
                "usr/lib/python3/dist-packages/old.egg-info/requires.txt",
                text='six\n[:python_version < "3"]\nenum34\n[fast]\nnumba\n[fast:sys_platform == "linux"]\nuvloop\n',
            ),
            Item("usr/lib/python3/dist-packages/older-3.1.egg-info", text="Name: older\nVersion: 3.1\n"),
            Item(f"{SITES}/eggy-4.0-py3.12.egg/EGG-INFO/PKG-INFO", text="Name: eggy\nVersion: 4.0\n"),
            Item(f"{SITES}/dev.egg-link", text="/opt/dev\n."),
            Item("opt/dev/dev.egg-info/PKG-INFO", text="Name: dev\nVersion: 5\n"),
            *distribution("elsewhere", "6", site="opt/conda/lib/python3.11/site-packages"),
            Item(f"{SITES}/bare-7.0.dist-info/RECORD", text="bare.py,,\n"),
            Item(f"{SITES}/wheel_one/_vendor/hidden-1.dist-info/METADATA", text="Name: hidden\nVersion: 1\n"),
        ],
    )
    found = {one.name: one for one in inventory.distributions}
    assert {name: one.version for name, one in found.items()} == {
        "wheel_one": "1.0", "old": "2", "older": "3.1", "eggy": "4.0", "dev": "5", "elsewhere": "6", "bare": "7.0",
    }  # fmt: skip
    assert found["wheel_one"].requires == ("numpy>=1; python_version > '3'",)
    assert found["old"].requires == (
        "six",
        'enum34; python_version < "3"',
        'numba; extra == "fast"',
        'uvloop; (sys_platform == "linux") and extra == "fast"',
    )
    assert found["wheel_one"].paths == (f"{SITES}/wheel_one", f"{SITES}/wheel_one-1.0.dist-info")
    assert inventory.distributions[-1].name == "elsewhere"


def test_metadata_ends_where_its_headers_end() -> None:
    """A line of blanks continues a field (long licences have them); a description can't add requirements."""
    text = "Name: one\nLicense: MIT\n        \n        text\nVersion: 1\nRequires-Dist: six\n\nRequires-Dist: not\n"
    lower = [Item("opt/store/1", text=text), hardlink(f"{SITES}/one-1.dist-info/METADATA", "opt/store/1")]
    assert scanned(DEBIAN, lower).distributions[0].requires == ("six",)


def test_of_two_with_one_name_the_first_is_the_one_that_runs() -> None:
    """A pip-installed package shadows Debian's; both are listed, in the order of the search path."""
    inventory = scanned(
        DEBIAN, [*distribution("yaml", "6.0", site="usr/lib/python3/dist-packages"), *distribution("yaml", "7.0")]
    )
    assert [one.version for one in inventory.distributions] == ["7.0", "6.0"]


def test_a_protected_distribution_owns_every_file() -> None:
    """torch's record is kept whole, files outside its folder included; without a record its folders are listed."""
    recorded = scanned(DEBIAN, distribution("torch", "2.6.0", files=["torch/lib/libtorch.so", "../../../bin/torchrun"]))
    assert "usr/local/bin/torchrun" in recorded.distributions[0].paths
    assert set(recorded.distributions[0].paths) <= set(recorded.protected_paths)
    bare = [
        Item(f"{SITES}/apex-0.1.egg-info/PKG-INFO", text="Name: apex\nVersion: 0.1\n"),
        Item(f"{SITES}/apex/a/b.py"),
    ]
    assert f"{SITES}/apex/a/b.py" in scanned(DEBIAN, bare).protected_paths


def test_pins_come_from_every_constraint_file() -> None:
    """PIP_CONSTRAINT, pip.conf and NVIDIA's file; comments, options and repetitions left out."""
    inventory = scanned(
        [
            Item("etc/pip/constraint.txt", text="numpy==1.26.4  # pinned\n\n--index-url x\ntorch==2\n"),
            Item("etc/pip.conf", text="[global]\nconstraint = /etc/more.txt\n"),
            Item("etc/more.txt", text="six \\\n  ==1.16\n"),
            Item("opt/own.txt", text="numpy==1.26.4\nscipy<2\n"),
        ],
        environment={"PIP_CONSTRAINT": "/opt/own.txt /etc/not-there.txt"},
    )
    assert inventory.constraints == ("numpy==1.26.4", "scipy<2", "torch==2", "six ==1.16")


def test_broken_package_sources_leave_the_others() -> None:
    """A file of /etc/apt that apt couldn't read costs only itself."""
    inventory = scanned([
        Item("etc/apt/sources.list", text="deb https://archive.example/debian bookworm main\n"),
        Item("etc/apt/sources.list.d/broken.list", text="deb [ nonsense\n"),
    ])  # fmt: skip
    assert [one.suite for one in inventory.apt_sources] == ["bookworm"]


# ── layers upon layers ──────────────────────────────────────────────────────────────────────────────────


def test_upper_layers_have_the_last_word() -> None:
    """A distribution replaced, one removed by name, one removed with its whole folder."""
    inventory = scanned(
        [
            *DEBIAN,
            *distribution("one", "1"),
            *distribution("two", "1"),
            *distribution("three", "1", site="opt/site-packages"),
        ],
        [Item(f"{SITES}/.wh.one-1.dist-info"), *distribution("one", "2")],
        [Item(f"{SITES}/.wh.two-1.dist-info"), Item("opt/.wh..wh..opq")],
    )
    assert [(one.name, one.version) for one in inventory.distributions] == [("one", "2")]


def test_content_behind_a_link_is_found_by_reading_again() -> None:
    """A metadata file that is a hardlink or symlink to a file of any name: only its layer is read a second time."""
    lower = layer(tar([*DEBIAN, Item("opt/store/1", text="Name: linked\nVersion: 9\n")]))
    upper = layer(
        tar([hardlink(f"{SITES}/linked-9.dist-info/METADATA", "opt/store/1"), link("etc/pip.conf", "/opt/pip")])
    )
    inventory = scan(image(lower, upper), Silent())
    assert [(one.name, one.version) for one in inventory.distributions] == [("linked", "9")]
    assert (len(lower.opened), len(upper.opened)) == (2, 1)


def test_a_file_of_interest_that_becomes_something_else_is_gone() -> None:
    """A status file replaced by a folder, an os-release by a dangling link: missing, not stale."""
    inventory = scanned(
        DEBIAN, [folder("var/lib/dpkg/status"), link("etc/os-release", "nowhere"), Item("usr/lib/.wh.os-release")]
    )
    assert {"os_release", "packages"} <= set(inventory.missing)


def test_links_to_folders_are_listed_with_where_they_lead() -> None:
    """Chains and absolute targets are followed to the end; links to files, rings and nowhere are not listed."""
    inventory = scanned([
        folder("usr/local/cuda-12.6/lib"), link("usr/local/cuda", "/etc/alternatives/cuda"),
        link("etc/alternatives/cuda", "/usr/local/cuda-12.6"), link("ring", "ring"), link("a", "b"), link("b", "a"),
        link("file", "etc/x"), Item("etc/x"), link("void", "no/where"),
    ])  # fmt: skip
    assert inventory.directory_links == {
        "etc/alternatives/cuda": "usr/local/cuda-12.6",
        "usr/local/cuda": "usr/local/cuda-12.6",
    }


# ── bad input ───────────────────────────────────────────────────────────────────────────────────────────

GOOD = tar(DEBIAN)


def _broken(content: bytes, codec: Codec = Codec.GZIP) -> Image:
    made = layer(b"", codec)
    return image(MadeLayer(content, made.descriptor, made.diff_id, []))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (layer(GOOD).content[:-20], "DARI-STREAM-TRUNCATED"),
        (layer(GOOD, Codec.ZSTD).content[:-20], "DARI-STREAM-TRUNCATED"),
        (layer(GOOD).content[:100] + b"\xff" * 50 + layer(GOOD).content[150:], "DARI-STREAM-CORRUPT"),
        (layer(GOOD[:700]).content, "DARI-LAYER-TRUNCATED"),
        (layer(b"this is no tar" * 100).content, "DARI-LAYER-CORRUPT"),
        (b"<html>not found</html>" * 50, "DARI-LAYER-CORRUPT"),
    ],
    ids=["cut gzip", "cut zstd", "damaged gzip", "cut tar", "no tar", "a web page"],
)
def test_a_damaged_layer_is_one_clear_error(content: bytes, expected: str) -> None:
    """Truncated or corrupt, compressed or not: an id, a message, a hint; never a shorter inventory."""
    with pytest.raises(IntegrityError) as raised:
        scan(_broken(content), Silent())
    assert raised.value.id == expected
    assert raised.value.hint


def test_a_bomb_flows_and_is_not_held() -> None:
    """400 MB of zeros behind 400 kB, named like metadata, stays out of memory."""
    packer = zlib.compressobj(1, wbits=31)
    size = 400 << 20
    head = tar([Item(f"{SITES}/bomb-1.dist-info/METADATA")])[:512]
    field = b"%011o\0" % size
    head = head[:124] + field + head[136:148] + b" " * 8 + head[156:]
    head = head[:148] + b"%06o\0 " % sum(head) + head[156:]
    packed = [
        packer.compress(head),
        *(packer.compress(bytes(1 << 20)) for _ in range(400)),
        packer.compress(bytes(1024)),
    ]
    content = b"".join([*packed, packer.flush()])
    tracemalloc.start()
    inventory = scan(_broken(content), Silent(), workers=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(one.name, one.version) for one in inventory.distributions] == [("bomb", "1")]  # from the folder's name
    assert peak < 32 << 20


@pytest.mark.parametrize(
    "items",
    [
        [hardlink("a", "b"), hardlink("b", "a")],
        [link("x", "x/y"), Item("x/y/z")],
        [link(f"l{number}", f"l{number + 1}") for number in range(60)],
        [Item("/".join(["deep"] * 1000))],
        [Item("a"), Item("a/b/c")],
        [Item(".wh."), Item(".wh..."), Item(".wh..wh.plnk/x"), Item("../.wh.etc")],
        [Item("x" * 5000)],
    ],
    ids=["hardlink ring", "link into itself", "link chain", "deep", "file as folder", "odd whiteouts", "long name"],
)
def test_what_no_engine_could_unpack_is_left_out(items: list[Item]) -> None:
    """Rings, names too long, files used as folders: left out, and the rest of the image is still seen."""
    assert scanned(DEBIAN, items).os_release.codename == "noble"


def test_an_image_of_too_many_names_is_refused() -> None:
    """Names that would fill the memory are an error before they do."""
    block = tar([link(f"{number:03}/" + "n" * 4000, "t" * 4000) for number in range(100)], format=tarfile.GNU_FORMAT)
    block = block.rstrip(b"\0")
    block += bytes(-len(block) % 512)
    packer = zlib.compressobj(1, wbits=31)
    content = b"".join([*(packer.compress(block) for _ in range(200)), packer.compress(bytes(1024)), packer.flush()])
    with pytest.raises(IntegrityError) as raised:
        scan(_broken(content), Silent())
    assert raised.value.id == "DARI-LAYER-CROWDED"


def test_the_first_failing_layer_ends_the_scan() -> None:
    """One bad layer among good ones: its error, whichever thread met it."""
    made = [layer(GOOD), layer(b"no tar at all" * 99), layer(GOOD)]
    with pytest.raises(IntegrityError) as raised:
        scan(image(*made), Silent(), workers=3)
    assert raised.value.id == "DARI-LAYER-CORRUPT"


def test_bytes_that_arent_the_layers_end_the_scan() -> None:
    """A layer is read to its last byte, so that a wrong digest is noticed before anything is believed."""

    @dataclass(frozen=True, slots=True)
    class Rotten:
        descriptor: Descriptor
        diff_id: Digest
        origin: Location | None = None

        @contextlib.contextmanager
        def open(self) -> Iterator[Iterator[bytes]]:
            def chunks() -> Iterator[bytes]:
                yield layer(GOOD).content
                raise IntegrityError("DARI-STORE-DIGEST", "reading a layer: its bytes have changed")

            yield chunks()

    good = layer(GOOD)
    made = image(good)
    with pytest.raises(IntegrityError) as raised:
        scan(Image(made.manifest, made.config, (Rotten(good.descriptor, good.diff_id),)), Silent())
    assert raised.value.id == "DARI-STORE-DIGEST"


def test_a_package_database_that_is_none_is_an_error() -> None:
    """Locking on top of a status file that dpkg couldn't read would go wrong later and worse."""
    with pytest.raises(Malformed):
        scanned([Item("var/lib/dpkg/status", text=" continues nothing\n")])


def test_an_architecture_without_gpus_is_refused() -> None:
    """A base for a machine that dari doesn't build for is named, not half understood."""
    made = image(layer(GOOD))
    config = ImageConfig.parse(made.config.raw.replace(b"amd64", b"s390x"))
    with pytest.raises(Malformed) as raised:
        scan(Image(made.manifest, config, made.layers), Silent())
    assert raised.value.id == "DARI-PLATFORM-UNKNOWN"


# ── what an engine saves ────────────────────────────────────────────────────────────────────────────────


def _saved(made: Sequence[MadeLayer], contents: Sequence[bytes], *, first: bool = False) -> bytes:
    layers = [Item(f"{one.diff_id.hex}.tar", text=content) for one, content in zip(made, contents, strict=True)]
    manifest = [
        Item("manifest.json", text='[{"Config":"c.json"}]'), Item("c.json", text="{}" * 600),
        Item("repositories", text="{}"), Item("v/VERSION", text="1.0"), link("v/layer.tar", "../other.tar"),
    ]  # fmt: skip
    return tar([*manifest, *layers] if first else [*layers[::-1], *manifest])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("codec", Codec)
def test_a_saved_image_is_scanned_as_it_streams(codec: Codec, first: bool) -> None:  # noqa: FBT001 - a case
    """Layers in any order, compressed or not, the manifest first or last: the same inventory as from the registry."""
    contents = [tar([*DEBIAN, *distribution("one", "1")]), tar([Item(f"{SITES}/.wh.one-1.dist-info")])]
    made = [layer(content) for content in contents]
    saved = _saved(made, [layer(content, codec).content for content in contents], first=first)
    assert scan_archive_stream(iter([saved]), image(*made), Silent()) == scan(image(*made), Silent())


def test_another_image_by_the_same_name_is_noticed() -> None:
    """Where the engine's layers aren't the image's, that is the error, not an inventory of something else."""
    wanted, other = layer(GOOD), layer(tar([Item("other")]))
    with pytest.raises(OutsideError) as raised:
        scan_archive_stream(iter([_saved([other], [tar([Item("other")])])]), image(wanted), Silent())
    assert raised.value.id == "DARI-ARCHIVE-OTHER-IMAGE"


@pytest.mark.parametrize("content", [b"", b"Error: no such image", _saved([layer(GOOD)], [GOOD])[:-9000]])
def test_a_save_that_broke_off_is_an_error(content: bytes) -> None:
    """An engine that printed nothing, a message or half an archive."""
    with pytest.raises(DariError) as raised:
        scan_archive_stream(iter([content] if content else []), image(layer(GOOD), layer(tar([Item("x")]))), Silent())
    assert raised.value.id in {"DARI-ARCHIVE-OTHER-IMAGE", "DARI-LAYER-TRUNCATED", "DARI-LAYER-CORRUPT"}


# ── scratch ─────────────────────────────────────────────────────────────────────────────────────────────


def test_scratch_has_nothing_but_its_sources() -> None:
    """The base of nothing: an OS release from where its packages will come from, and no Python yet."""
    source = AptSource("https://archive.example/debian", "bookworm-security", ("main",), b"key")
    inventory = scratch_inventory(Platform("linux", "arm64"), (source,))
    assert (inventory.os_release.id, inventory.os_release.version) == ("debian", "12")
    assert inventory.apt_sources == (source,)
    assert inventory.manifest == Digest.of(b"")
    assert isinstance(inventory.python, Missing)
