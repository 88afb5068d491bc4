"""Which of a project's files go into an image, as what, and what can't."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dari.errors import ConflictError, OutsideError, UsageError
from dari.survey import project_parts, read_project
from dari.survey.patterns import path_matches
from dari.system import Store
from dari.values.entry import Entry, Kind
from tests.survey.conftest import Write, as_nobody

MIB = 1 << 20


def _toml(**keys: object) -> str:
    """Write a dari.toml."""
    lines = {"base": "scratch", "workdir": "/w", **{name.replace("_", "-"): value for name, value in keys.items()}}
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())


def _entries(folder: Path, store: Store) -> list[Entry]:
    return [entry for part in project_parts(read_project(folder), store) for entry in part.entries()]


def _paths(folder: Path, store: Store) -> list[str]:
    """Return what goes in, folders with a '/' at their end, without the working directory's own name."""
    found = (entry.path + "/" * (entry.kind is Kind.DIRECTORY) for entry in _entries(folder, store))
    return [path.removeprefix("w/") for path in found if path != "w/"]


TREE: dict[str, str | bytes] = {
    "train.py": "print()",
    "README.md": "",
    "configs/a.yaml": "",
    "configs/b.yaml": "",
    "configs/deep/c.yaml": "",
    "configs/deep/notes.txt": "",
    ".hidden": "",
    "src/x/__init__.py": "",
    "src/x/__pycache__/x.cpython-311.pyc": "",
    "src/x/old.pyc": "",
    ".git/HEAD": "",
    ".venv/bin/python": "",
    "my env/pyvenv.cfg": "",
    "my env/bin/python": "",
    "out/oci-layout": "",
    "out/blobs/sha256/x": "",
    "node_modules/x.js": "",
    "dari.lock": "",
    "sub/dari.lock": "",
}


@pytest.mark.parametrize(
    ("files", "exclude", "expected"),
    [
        ([], [], []),
        (["train.py"], [], ["train.py"]),
        (["./train.py"], [], ["train.py"]),
        (
            ["configs/"],
            [],
            [
                "configs/",
                "configs/a.yaml",
                "configs/b.yaml",
                "configs/deep/",
                "configs/deep/c.yaml",
                "configs/deep/notes.txt",
            ],
        ),
        (["configs/*.yaml"], [], ["configs/", "configs/a.yaml", "configs/b.yaml"]),
        (["configs/[!a].yaml"], [], ["configs/", "configs/b.yaml"]),
        (["configs/*/"], [], ["configs/", "configs/deep/", "configs/deep/c.yaml", "configs/deep/notes.txt"]),
        (["**/*.yaml"], [], ["configs/", "configs/a.yaml", "configs/b.yaml", "configs/deep/", "configs/deep/c.yaml"]),
        (["src/**"], [], ["src/", "src/x/", "src/x/__init__.py"]),
        (["*"], [], [".hidden", "README.md", "train.py"]),
        (["configs/"], ["deep"], ["configs/", "configs/a.yaml", "configs/b.yaml"]),
        (["configs/"], ["deep/"], ["configs/", "configs/a.yaml", "configs/b.yaml"]),
        (["configs/"], ["configs/deep/", "b.*"], ["configs/", "configs/a.yaml"]),
        (["configs/"], ["configs/**/*.yaml"], ["configs/", "configs/deep/", "configs/deep/notes.txt"]),
        (["configs/a.yaml", "train.py"], ["a.yaml/"], ["configs/", "configs/a.yaml", "train.py"]),
        (["dari.lock", "src/x/old.pyc"], [], ["dari.lock", "src/", "src/x/", "src/x/old.pyc"]),
        (
            ["./"],
            ["configs", "src"],
            [".hidden", "README.md", "sub/", "sub/dari.lock", "train.py"],
        ),
    ],
)
def test_files_and_exclude_choose(
    write: Write, store: Store, files: list[str], exclude: list[str], expected: list[str]
) -> None:
    """Paths, folders, wildcards; what is never of use comes only when it is named."""
    assert _paths(write({**TREE, "dari.toml": _toml(files=files, exclude=exclude)}), store) == expected


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (["train.py", "trian.py"], "3:22: 'files': there is no 'trian.py'; did you mean 'train.py'?"),
        (["config/deep/"], "3:10: 'files': there is no 'config/deep/'; did you mean 'configs/deep/'?"),
        (["configs/c.yaml"], "3:10: 'files': there is no 'configs/c.yaml'; did you mean 'configs/b.yaml'?"),
        (["configs"], "3:10: 'files': 'configs' is a folder; write 'configs/'"),
        (["train.py/"], "3:10: 'files': 'train.py/' is not a folder; write 'train.py'"),
        (["*.rs"], "3:10: 'files': '*.rs' matches nothing"),
        (["conf*"], "3:10: 'files': 'conf*' matches only folders; write 'conf*/'"),
        (["README.md"], "3:10: 'files': 'README.md' is excluded by 'exclude'"),
    ],
)
def test_an_entry_that_names_nothing_is_said_with_its_place(
    write: Write, store: Store, files: list[str], complaint: str
) -> None:
    """A missing path is a usage error with line, column and the nearest match."""
    folder = write({**TREE, "dari.toml": _toml(files=files, exclude=["README.md"])})
    with pytest.raises(UsageError) as caught:
        project_parts(read_project(folder), store)
    assert caught.value.id == "DARI-FILES-MISSING"
    assert str(caught.value) == f"{folder}/dari.toml:{complaint}"


def test_places_are_found_in_pyproject_too(write: Write, store: Store) -> None:
    """The same complaint for [tool.dari] names pyproject.toml."""
    folder = write({"pyproject.toml": '[tool.dari]\nbase = "scratch"\nfiles = ["none"]'})
    with pytest.raises(UsageError, match=r"pyproject\.toml:3:10: 'files': there is no 'none'$"):
        project_parts(read_project(folder), store)


def test_entries_are_normalised(write: Write, store: Store) -> None:
    """Owner root, no times, 0644 and 0755, sorted, the working directory first, links as links."""
    folder = write({"run.sh": "#!/bin/sh\n", "data/b": "", "data/a": "xyz", "dari.toml": _toml(files=["./"])})
    (folder / "run.sh").chmod(0o700)
    (folder / "data/a").chmod(0o606)
    (folder / "data/link").symlink_to("../run.sh")
    (folder / "absolute").symlink_to(folder.resolve() / "data" / "a")
    (folder / "dangling").symlink_to("data/none")
    entries = _entries(folder, store)
    assert [(e.path, e.kind, oct(e.mode), e.size, e.target) for e in entries] == [
        ("w", Kind.DIRECTORY, "0o755", 0, ""),
        ("w/absolute", Kind.SYMLINK, "0o777", 0, "data/a"),
        ("w/dangling", Kind.SYMLINK, "0o777", 0, "data/none"),
        ("w/data", Kind.DIRECTORY, "0o755", 0, ""),
        ("w/data/a", Kind.FILE, "0o644", 3, ""),
        ("w/data/b", Kind.FILE, "0o644", 0, ""),
        ("w/data/link", Kind.SYMLINK, "0o777", 0, "../run.sh"),
        ("w/run.sh", Kind.FILE, "0o755", 10, ""),
    ]
    assert {(e.uid, e.gid, e.mtime) for e in entries} == {(0, 0, 0)}


def test_bytes_come_as_they_are(write: Write, store: Store) -> None:
    """Opening an entry gives the file's bytes, in whatever pieces they are asked for."""
    content = os.urandom(3 * MIB + 17)
    folder = write({"data.bin": content, "empty": b"", "dari.toml": _toml(files=["data.bin", "empty"])})
    for entry in _entries(folder, store):
        if entry.open:
            with entry.open() as stream:
                pieces = iter(lambda: stream.read(70_001), b"")
                assert b"".join(pieces) == (content if entry.size else b"")


def test_odd_names_survive(write: Write, store: Store) -> None:
    """Names that aren't UTF-8, long paths, blanks and line ends keep their bytes."""
    names = [b"caf\xe9", b"a" * 255, b"two\nlines", "다리".encode(), b" ", b"d" * 200 + b"/" + b"e" * 200]
    folder = write({"dari.toml": _toml(files=["x/"])})
    for name in names:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/x/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    found = {os.fsencode(entry.path) for entry in _entries(folder, store) if entry.kind is Kind.FILE}
    assert found == {b"w/x/" + name for name in names}


def _refused(folder: Path, store: Store) -> list[tuple[str, str]]:
    with pytest.raises(ConflictError) as caught:
        project_parts(read_project(folder), store)
    assert caught.value.id == "DARI-FILES-REFUSED"
    return [(finding.id, finding.message) for finding in caught.value.findings]


def test_what_has_no_place_in_an_image_is_refused_all_at_once(write: Write, store: Store) -> None:
    """Links out of the project, pipes and sockets: one finding each."""
    folder = write({"x/ok.py": "", "dari.toml": _toml(files=["x/"])})
    (folder / "x/out").symlink_to("../../elsewhere")
    (folder / "x/root").symlink_to("/etc/passwd")
    (folder / "x/in").symlink_to("../x/ok.py")
    os.mkfifo(folder / "x/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "x/socket"))
        assert _refused(folder, store) == [
            ("DARI-FILE-LINK", "x/out: it is a link out of the project, to '../../elsewhere'"),
            ("DARI-FILE-SPECIAL", "x/pipe: it is a named pipe: an image has files, folders and links"),
            ("DARI-FILE-LINK", "x/root: it is a link out of the project, to '/etc/passwd'"),
            ("DARI-FILE-SPECIAL", "x/socket: it is a socket: an image has files, folders and links"),
        ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_are_refused(write: Write, store: Store) -> None:
    """A device node is named as one."""
    folder = write({"dari.toml": _toml(files=["null"])})
    os.mknod(folder / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    assert _refused(folder, store) == [
        ("DARI-FILE-SPECIAL", "null: it is a device: an image has files, folders and links")
    ]


def test_an_entry_through_a_link_is_refused(write: Write, store: Store) -> None:
    """`files` names real folders: through a link the image would have two things of one name."""
    folder = write({"real/a": "", "dari.toml": _toml(files=["link/a"])})
    (folder / "link").symlink_to("real")
    assert _refused(folder, store) == [("DARI-FILE-LINK", "link: 'link/a' goes through this link")]


def test_what_cant_be_read_is_said(write: Write, tmp_path: Path) -> None:
    """Files and folders without permission are findings, not tracebacks."""
    folder = write({"x/shut/a": "", "x/secret.txt": "", "dari.toml": _toml(files=["x/"])})
    (folder / "x/secret.txt").chmod(0)
    (folder / "x/shut").chmod(0)
    for path in (tmp_path, *(one for one in tmp_path.parents if one.name.startswith(("pytest-", "popen-")))):
        path.chmod(0o777)
    try:
        with as_nobody():
            found = _refused(folder, Store(tmp_path / "nobody"))
    finally:
        (folder / "x/shut").chmod(0o755)
    assert found == [
        ("DARI-FILE-UNREADABLE", "x/shut: listing it: Permission denied"),
        ("DARI-FILE-UNREADABLE", "x/secret.txt: reading it: Permission denied"),
    ]


def _key(folder: Path, store: Store) -> tuple[str, ...]:
    return tuple(part.key for part in project_parts(read_project(folder), store))


def test_a_key_names_the_content(write: Write, store: Store, tmp_path: Path) -> None:
    """Same files: same key, wherever and whenever; another byte, name, mode, target or working directory: another."""
    folder = write({"a": "1", "b": "2", "dari.toml": _toml(files=["./"])})
    (folder / "l").symlink_to("a")
    keys = [_key(folder, store)]
    os.utime(folder / "a", ns=(1, 1))
    assert _key(folder, store) == keys[0]
    assert _key(folder, Store(tmp_path / "other")) == keys[0]
    (folder / "a").write_text("2")
    keys.append(_key(folder, store))
    (folder / "a").chmod(0o755)
    keys.append(_key(folder, store))
    (folder / "b").rename(folder / "c")
    keys.append(_key(folder, store))
    (folder / "l").unlink()
    (folder / "l").symlink_to("c")
    keys.append(_key(folder, store))
    write({"dari.toml": _toml(files=["./"], workdir="/v")})
    keys.append(_key(folder, store))
    assert len(set(keys)) == len(keys)


def test_an_unchanged_file_is_not_read_again(write: Write, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file system says of a file stands for its bytes, once it isn't young any more."""
    folder = write({"a": "1", "b": "2", "dari.toml": _toml(files=["./"])})
    monkeypatch.setattr("dari.survey.contents._YOUNG", 0)
    before = _key(folder, store)
    opened: list[Path] = []
    original = os.open

    def spy(path: Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).parent == folder:
            opened.append(path)
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", spy)
    assert _key(folder, store) == before
    assert opened == []
    (folder / "b").write_text("3")
    assert _key(folder, store) != before
    assert opened == [folder / "b"]


def test_a_young_file_is_read_again(write: Write, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file changed within one tick of the clock, with its size and times as before, is noticed."""
    folder = write({"a": "1", "dari.toml": _toml(files=["a"])})
    before, status = _key(folder, store), (folder / "a").stat()
    (folder / "a").write_text("2")
    real = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: status if path.name == "a" else real(path))
    monkeypatch.setattr(os, "fstat", lambda _: status)
    assert _key(folder, store) != before


@pytest.mark.parametrize("record", [b"[]", b"{", b'{"a": 3}', b'{"a": []}', b'{"a": [1,2,3,4,5,"x"]}'])
def test_a_broken_record_is_no_matter(write: Write, store: Store, record: bytes) -> None:
    """A torn or foreign cache record costs a second reading, nothing else."""
    folder = write({"a": "1", "dari.toml": _toml(files=["a"])})
    before = _key(folder, store)
    for path in (store.root / "records").rglob("*"):
        if path.is_file():
            path.write_bytes(record)
    assert _key(folder, store) == before


def _read_to_the_end(entry: Entry) -> None:
    assert entry.open
    with entry.open() as stream:
        while stream.read(entry.size):
            pass


@pytest.mark.parametrize("after", ["other bytes", "short", "", None, "much longer than before"])
def test_a_file_that_changes_before_it_is_copied_is_noticed(write: Write, store: Store, after: str | None) -> None:
    """The bytes that reach a layer are those that its key was made from, or none do."""
    folder = write({"a": "right bytes", "dari.toml": _toml(files=["a"])})
    entry = _entries(folder, store)[-1]
    if after is None:
        (folder / "a").unlink()
        os.mkfifo(folder / "a")
    else:
        (folder / "a").write_text(after)
    with pytest.raises(OutsideError) as caught:
        _read_to_the_end(entry)
    assert (caught.value.id, caught.value.temporary) == ("DARI-FILE-CHANGED", True)


def test_a_file_that_only_grew_gives_what_it_had(write: Write, store: Store) -> None:
    """An appended log is cut where it ended when it was chosen."""
    folder = write({"log": "one\n", "dari.toml": _toml(files=["log"])})
    entry = _entries(folder, store)[-1]
    with (folder / "log").open("a") as stream:
        stream.write("two\n")
    assert entry.open
    with entry.open() as stream:
        assert stream.read() == b"one\n"


def test_big_data_lies_apart_from_code(write: Write, store: Store) -> None:
    """Above eight megabytes in all, files of a megabyte and more have parts of their own, of a quarter gigabyte."""
    folder = write({"train.py": "x", "data/small.txt": "y", "dari.toml": _toml(files=["./"])})
    for number in range(3):
        with (folder / f"data/{number}.bin").open("wb") as stream:
            stream.truncate(120 * MIB + number)
    parts = project_parts(read_project(folder), store)
    assert [(part.name, [entry.path for entry in part.entries()]) for part in parts] == [
        ("project files", ["w", "w/data", "w/data/small.txt", "w/train.py"]),
        ("project data 1 of 2", ["w", "w/data", "w/data/0.bin", "w/data/1.bin"]),
        ("project data 2 of 2", ["w", "w/data", "w/data/2.bin"]),
    ]
    data_keys = [part.key for part in parts[1:]]
    (folder / "train.py").write_text("z")
    assert [part.key for part in project_parts(read_project(folder), store)][1:] == data_keys


NAMES = st.lists(st.text("ab.", min_size=1, max_size=3).filter(lambda name: set(name) != {"."}), min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES)
def test_a_path_matches_itself_and_its_wildcards(names: list[str]) -> None:
    """A path is matched by itself, with a '*' for a name, and with '**' for any beginning or end."""
    path = "/".join(names)
    assert path_matches(path, path, folder=False)
    assert path_matches(path, f"**/{path}", folder=False)
    assert path_matches(f"{path}/x", f"{path}/**", folder=False)
    assert not path_matches(path, f"{path}/**", folder=False)
    for index in range(len(names)):
        assert path_matches(path, "/".join([*names[:index], "*", *names[index + 1 :]]), folder=False)
    assert not path_matches(path, "/".join([*names, "x"]), folder=False)
    assert path_matches(path, f"{path}/", folder=True)
    assert not path_matches(path, f"{path}/", folder=False)
