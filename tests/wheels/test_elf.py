"""ELF: the same names that nm and readelf print, from any linker's output, and never more than None for the rest."""

import mmap
import re
import struct
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dari.values.elf import DynamicElf, contains, pack_symbols, read_elf

SOURCE = """
extern int cudaMalloc(void **, unsigned long);
extern int perhaps(void) __attribute__((weak));
extern int open_data;
int offered(void) { void *p; open_data = 1; return cudaMalloc(&p, 1) + (perhaps ? perhaps() : 0); }
int weak_offer(void) __attribute__((weak));
int weak_offer(void) { return 1; }
int data_offer = 5;
__attribute__((visibility("hidden"))) int hidden(void) { return 2; }
__attribute__((visibility("protected"))) int guarded(void) { return 2; }
static int own(void) { return 3; }
int uses_own(void) { return own() + hidden(); }
"""


def compile_library(folder: Path, *flags: str, source: str = SOURCE, name: str = "libdemo.so.1") -> bytes:
    """Compile a shared library with the machine's gcc."""
    (folder / "demo.c").write_text(source)
    subprocess.run(("gcc", "-shared", "-fPIC", "-o", name, "demo.c", *flags), cwd=folder, check=True)
    return (folder / name).read_bytes()


@pytest.mark.parametrize(
    "flags",
    [
        ("-Wl,--hash-style=gnu",),
        ("-Wl,--hash-style=sysv",),
        ("-Wl,--hash-style=both",),
        ("-Wl,--hash-style=gnu", "-s"),
        ("-Wl,--hash-style=gnu", "-Wl,-z,noseparate-code"),
    ],
)
@pytest.mark.parametrize("sections", [True, False])
def test_names_are_read_whatever_hash_table_there_is(flags: tuple[str, ...], sections: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """With and without section headers: what is offered, needed and left open; weak and hidden names are not open."""
    raw = bytearray(
        compile_library(
            tmp_path,
            "-Wl,-soname,libdemo.so.1",
            "-Wl,-rpath,$ORIGIN/a:/opt/b",
            "-lm",
            "-Wl,--no-as-needed",
            "-lm",
            *flags,
        )
    )
    if not sections:
        raw[40:48], raw[60:62] = bytes(8), bytes(2)
    elf = read_elf(bytes(raw))
    assert elf is not None
    assert elf.machine == subprocess.run(("uname", "-m"), capture_output=True, check=True, text=True).stdout.strip()
    assert elf.soname == "libdemo.so.1"
    assert set(elf.needed) == {"libm.so.6", "libc.so.6"}
    assert elf.runpath == ("$ORIGIN/a", "/opt/b")
    offered = {b"offered", b"weak_offer", b"data_offer", b"guarded", b"uses_own"}
    assert elf.exported - {b"_init", b"_fini", b"_edata", b"_end", b"__bss_start"} == offered
    assert elf.undefined == {b"cudaMalloc", b"open_data"}


def test_open_names_are_found_where_nothing_is_offered(tmp_path: Path) -> None:
    """A GNU hash table lists no undefined symbol; they are found all the same."""
    source = "extern int torch_call(void); static __attribute__((constructor)) void f(void) { torch_call(); }"
    raw = bytearray(compile_library(tmp_path, "-Wl,--hash-style=gnu", "-nostdlib", source=source))
    raw[40:48], raw[60:62] = bytes(8), bytes(2)
    elf = read_elf(bytes(raw))
    assert elf is not None
    assert b"torch_call" in elf.undefined


def _system_libraries() -> Iterable[Path]:
    libraries = (path for path in Path("/usr/lib").glob("*-linux-gnu/lib*.so.*") if path.is_file())
    return sorted(libraries)[:60:3]


@pytest.mark.parametrize("path", _system_libraries(), ids=lambda path: str(path.name))
def test_the_system_libraries_have_the_names_that_nm_prints(path: Path) -> None:
    """nm is the oracle, symbol by symbol; an mmap is read like bytes."""
    printed = subprocess.run(("nm", "-D", path), capture_output=True, check=True, text=True).stdout
    lines = re.findall(r"^(?:[0-9a-f]{16}| {16}) (\S) (\S+)$", printed, re.MULTILINE)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        elf = read_elf(buffer)
    assert elf is not None
    names = {(kind, name.partition("@")[0].encode()) for kind, name in lines}
    assert elf.undefined == {name for kind, name in names if kind == "U"}
    assert elf.exported == {name for kind, name in names if kind not in "Uwv"} | (
        elf.exported & {name for kind, name in names if kind in "wv"}
    )


def test_what_is_no_shared_library_is_none(tmp_path: Path) -> None:
    """Text, an object file, 32 bits, big-endian, an empty and a cut-off file."""
    raw = compile_library(tmp_path)
    (tmp_path / "object.c").write_text("int x;")
    subprocess.run(("gcc", "-c", "object.c"), cwd=tmp_path, check=True)
    other_class, other_order = bytearray(raw), bytearray(raw)
    other_class[4], other_order[5] = 1, 2
    for other in (
        b"",
        b"#!/bin/sh\n",
        (tmp_path / "object.o").read_bytes(),
        bytes(other_class),
        bytes(other_order),
        raw[:200],
    ):
        assert read_elf(other) is None


def test_a_foreign_machine_is_named_by_its_number(tmp_path: Path) -> None:
    """arm64 is known; others are told apart."""
    raw = bytearray(compile_library(tmp_path))
    for number, name in ((183, "aarch64"), (62, "x86_64"), (243, "243")):
        struct.pack_into("<H", raw, 18, number)
        elf = read_elf(raw)
        assert elf is not None
        assert elf.machine == name


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a small shared library."""
    return compile_library(tmp_path_factory.mktemp("elf"), "-Wl,--hash-style=gnu", "-s")


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_no_damage_makes_anything_but_a_value_or_none(library: bytes, data: st.DataObject) -> None:
    """Any eight bytes of the headers and tables replaced, or the file cut: an answer, at once, and no exception."""
    raw = bytearray(library)
    for _ in range(data.draw(st.integers(1, 5))):
        spot = data.draw(st.integers(0, min(len(raw), 4096) - 8) | st.integers(0, len(raw) - 8))
        raw[spot : spot + 8] = data.draw(
            st.binary(min_size=8, max_size=8) | st.sampled_from((bytes(8), b"\xff" * 8, b"\xff" * 7 + b"\x7f"))
        )
    cut = data.draw(st.integers(0, len(raw)) | st.just(len(raw)))
    assert isinstance(read_elf(bytes(raw[:cut])), DynamicElf | None)


def test_a_symbol_table_of_libtorchs_size_is_read_quickly(tmp_path: Path) -> None:
    """200 000 names in well under 1.5 seconds; packed, they take six bytes each."""
    names = "\n".join(
        f".globl _ZN2at6native7kernel_{i}ERKNS_6TensorE\n_ZN2at6native7kernel_{i}ERKNS_6TensorE:"
        for i in range(200_000)
    )
    (tmp_path / "big.s").write_text(f'.text\n{names}\nret\n.section .note.GNU-stack,"",@progbits\n')
    subprocess.run(("gcc", "-shared", "-nostdlib", "-o", "big.so", "big.s"), cwd=tmp_path, check=True)
    raw = (tmp_path / "big.so").read_bytes()
    start = time.process_time()
    elf = read_elf(raw)
    assert time.process_time() - start < 1.5
    assert elf is not None
    assert len(elf.exported) >= 200_000
    packed = pack_symbols(elf.exported)
    assert len(packed) == 6 * len(elf.exported)
    assert contains(packed, b"_ZN2at6native7kernel_77777ERKNS_6TensorE")
    assert not contains(packed, b"_ZN2at6native7kernel_200000ERKNS_6TensorE")


@given(st.sets(st.binary(max_size=8)), st.binary(max_size=8))
def test_a_packed_name_is_found_and_no_other(names: set[bytes], other: bytes) -> None:
    """The packing is a set: order and repetition don't matter."""
    packed = pack_symbols([*names, *names])
    assert all(contains(packed, name) for name in names)
    assert contains(packed, other) == (other in names)
    assert packed == pack_symbols(sorted(names, reverse=True))
