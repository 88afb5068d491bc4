"""Reading dari.toml: what it means, and every error with its place."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dari.errors import UsageError
from dari.survey import KEYS, read_project
from dari.values.media import Codec
from dari.values.platform import Platform
from dari.values.project import LockRules, Project
from tests.survey.conftest import Write

WHOLE = """
base = "nvcr.io/nvidia/pytorch:24.12-py3"
requirements = ["requirements.txt"]
apt = ["git", "libgl1=1.6.0-1"]
files = ["train.py", "configs/"]
exclude = ["*.ckpt"]
workdir = "/app//run/"
cmd = "python train.py --name 'my run'"
entrypoint = []
user = "1000:1000"
registry = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/my-dl-repo"
tag = "v1"
platforms = ["linux/amd64", "aarch64"]
compression = "zstd"
allow = ["Transformer_Engine"]
skip = ["torchaudio"]
accept-prerelease = ["torch"]
build = ["deepspeed"]
exclude-newer = 2026-11-01T12:00:00Z
allow-secrets = ["env.DEMO_TOKEN"]

[env]
NCCL_DEBUG = "INFO"

[labels]
"org.example.team" = "vision"

[[apt-sources]]
uri = "https://mirror.example/debian/"
suite = "bookworm"
signed-by = "keys/archive.gpg"
"""

NO_TIME = "neither a date (2026-11-01) nor a time with its offset (2026-11-01T12:00:00Z)"
CAPITALS = "'library/Torch' has capital letters; try 'torch:2', or \"scratch\""


def _lines(folder: Path) -> list[str]:
    """Return the complaints about a project, without the folder's name."""
    with pytest.raises(UsageError) as caught:
        read_project(folder)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_a_whole_project_is_read(write: Write) -> None:
    """Every key finds its place, normalised where it can be written in several ways."""
    folder = write({"dari.toml": WHOLE, "requirements.txt": "torch\n", "keys/archive.gpg": b"\x99key"})
    project = read_project(folder)
    assert project.apt_sources[0].keyring == b"\x99key"
    assert (project.apt_sources[0].uri, project.apt_sources[0].components) == (
        "https://mirror.example/debian",
        ("main",),
    )
    assert replace(project, apt_sources=()) == Project(
        folder=folder,
        source=folder / "dari.toml",
        base="nvcr.io/nvidia/pytorch:24.12-py3",
        requirements=("requirements.txt",),
        apt=("git", "libgl1=1.6.0-1"),
        files=("train.py", "configs/"),
        exclude=("*.ckpt",),
        allow_secrets=("env.DEMO_TOKEN",),
        workdir="/app/run",
        environment={"NCCL_DEBUG": "INFO"},
        labels={"org.example.team": "vision"},
        command=("python", "train.py", "--name", "my run"),
        entrypoint=(),
        user="1000:1000",
        registry="123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/my-dl-repo",
        tag="v1",
        platforms=(Platform("linux", "amd64"), Platform("linux", "arm64")),
        codec=Codec.ZSTD,
        lock=LockRules(("transformer-engine",), ("torchaudio",), ("torch",), ("deepspeed",), "2026-11-01T12:00:00Z"),
    )


def test_a_base_is_enough(write: Write) -> None:
    """Everything else has a default."""
    folder = write({"dari.toml": 'base = "scratch"'})
    assert read_project(folder) == Project(folder, folder / "dari.toml", "scratch", workdir="/workspace")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("enviroment = {}", "2:1: unknown key 'enviroment'; did you mean 'env'?"),
        ("from = 'x'", "2:1: unknown key 'from'; did you mean 'base'?"),
        ("working_dir = '/x'", "2:1: unknown key 'working_dir'; did you mean 'workdir'?"),
        ("[[apt-source]]", "2:3: unknown key 'apt-source'; did you mean 'apt-sources'?"),
        ("zzz = 1", "2:1: unknown key 'zzz'"),
        ("apt = 'git'", "2:7: 'apt': list of text is wanted, not a text"),
        (
            "apt = ['git', 3]",
            "2:15: 'apt': a text is wanted in this list, not the number 3; write \"3\" in quotes for a text",
        ),
        ("apt = ['Git']", "2:8: 'apt': 'Git' is not the name of a Debian package, or NAME=VERSION"),
        (
            "apt = ['curl; rm -rf /']",
            "2:8: 'apt': 'curl; rm -rf /' is not the name of a Debian package, or NAME=VERSION",
        ),
        ("env = 1", "2:7: 'env': table of text is wanted, not the number 1; write \"1\" in quotes for a text"),
        ("env.N = 8", "2:9: 'env.N': a text is wanted, not the number 8; write \"8\" in quotes for a text"),
        ("env.N = true", "2:9: 'env.N': a text is wanted, not true; write \"true\" in quotes for a text"),
        (
            "[env]\n'9A' = 'x'",
            "3:1: 'env': '9A' is not a name for a variable: letters, digits and '_', no digit first",
        ),
        ("env.N = 'a\\u0000'".replace("'", '"'), "2:9: 'env.N': there is a NUL in the value"),
        ("labels.'' = 'x'", "2:8: 'labels': a label needs a name"),
        (
            "files = ['/etc/passwd']",
            "2:10: 'files': '/etc/passwd' is absolute: paths are relative to the project's folder",
        ),
        (
            "files = ['a/../../b']",
            "2:10: 'files': 'a/../../b' climbs out with '..': only what is in the project's folder can be named",
        ),
        (
            "exclude = ['!a']",
            "2:12: 'exclude': '!a' begins with '!': there are no exceptions; name the path in 'files'",
        ),
        ("workdir = 'app'", "2:11: 'workdir': 'app' is not an absolute path without '..'"),
        ("cmd = 'a \"b'", "2:7: 'cmd': the text can't be split into words: no closing quotation"),
        (
            "cmd = 1",
            "2:7: 'cmd': list of text, or one text is wanted, not the number 1; write \"1\" in quotes for a text",
        ),
        ("user = 'a b'", "2:8: 'user': 'a b' is not NAME, UID, NAME:GROUP or UID:GID"),
        ("registry = 'host/x:1'", "2:12: 'registry': 'host/x:1' has a tag or digest; write the tag under 'tag'"),
        ("tag = 'a b'", "2:7: 'tag': 'a b' is not a tag: letters, digits, '_', '.', '-'; 128 at most"),
        ("compression = 'zst'", "2:15: 'compression': 'zst' is neither 'gzip' nor 'zstd'; did you mean 'zstd'?"),
        (
            "platforms = ['riscv64']",
            "2:14: 'platforms': platform 'riscv64' is not one dari builds for; use one of linux/amd64, linux/arm64",
        ),
        ("allow = ['a b']", "2:10: 'allow': 'a b' is not the name of a Python distribution"),
        (
            "exclude-newer = 'monday'",
            f"2:17: 'exclude-newer': 'monday' is {NO_TIME}",
        ),
        (
            "exclude-newer = 2026-11-01T12:00:00",
            f"2:17: 'exclude-newer': '2026-11-01 12:00:00' is {NO_TIME}",
        ),
        ("dependencies = 'yes'", "2:16: 'dependencies': true or false is wanted, not a text"),
        ("dependencies = true", "2:16: 'dependencies': there is no [project] in a pyproject.toml beside this"),
        (
            "requirements = ['requirments.txt']",
            "2:17: 'requirements': there is no file 'requirments.txt'; did you mean 'requirements.txt'?",
        ),
        ("[[apt-sources]]\nuri = 'https://x'\nsuite = 's'", "2:3: 'signed-by' is missing"),
        (
            "[[apt-sources]]\nuri = 'ftp://x'\nsuite = 's'\nsigned-by = 'requirements.txt'",
            "3:7: 'uri': 'ftp://x' doesn't begin with http://, https:// or file:/",
        ),
        (
            "[[apt-sources]]\nuri = 'https://x'\nsuite = 's'\nsigned-by = 'none.gpg'",
            "5:13: 'signed-by': reading 'none.gpg': No such file or directory",
        ),
        ("apt = [", "3:1: invalid value"),
        ("a b = 1", "2:3: expected '=' after a key in a key/value pair"),
        ("x = '\udcff'", "2:6: this is not UTF-8"),
        (f"x = {'[' * 5000}{']' * 5000}", "1:1: it is nested too deeply"),
    ],
)
def test_a_mistake_is_said_with_its_place(write: Write, line: str, complaint: str) -> None:
    """Each wrong key or value is one line: file, line, column, what is wrong, what was probably meant."""
    content = f'base = "scratch"\n{line}\n'.encode("utf-8", "surrogateescape")
    assert _lines(write({"dari.toml": content, "requirements.txt": ""})) == [f"dari.toml:{complaint}"]


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ("", "1:1: 'base' is missing"),
        ("base = 3", "1:8: 'base': text is wanted, not the number 3; write \"3\" in quotes for a text"),
        ("base = 'auto'", "1:8: 'base': dari doesn't choose a base by itself yet; name one"),
        (
            "base = 'Torch:2'",
            f"1:8: 'base': 'Torch:2' is not an image reference: the repository {CAPITALS}",
        ),
    ],
)
def test_a_base_must_be_named(write: Write, base: str, complaint: str) -> None:
    """A base is a reference or 'scratch', and nothing is guessed."""
    assert _lines(write({"dari.toml": base})) == [f"dari.toml:{complaint}"]


def test_everything_wrong_is_said_at_once_in_file_order(write: Write) -> None:
    """One run names every mistake."""
    folder = write({"dari.toml": 'bse = "scratch"\napt = [1, "A"]\n\n[enviroment]\nA = 1\n'})
    assert _lines(folder) == [
        "dari.toml:1:1: 'base' is missing",
        "dari.toml:1:1: unknown key 'bse'; did you mean 'base'?",
        "dari.toml:2:8: 'apt': a text is wanted in this list, not the number 1; write \"1\" in quotes for a text",
        "dari.toml:2:11: 'apt': 'A' is not the name of a Debian package, or NAME=VERSION",
        "dari.toml:4:2: unknown key 'enviroment'; did you mean 'env'?",
    ]


PROJECT = '[project]\nname = "x"\ndependencies = ["torch>=2", "tqdm"]\n'


@pytest.mark.parametrize(
    ("files", "requirements", "dependencies"),
    [
        ({"dari.toml": ""}, (), ()),
        ({"dari.toml": "", "requirements.txt": ""}, ("requirements.txt",), ()),
        ({"dari.toml": "requirements = []", "requirements.txt": ""}, (), ()),
        ({"dari.toml": "", "pyproject.toml": PROJECT}, (), ()),
        ({"dari.toml": "dependencies = true", "pyproject.toml": PROJECT}, (), ("torch>=2", "tqdm")),
        (
            {"dari.toml": "dependencies = true", "pyproject.toml": PROJECT, "requirements.txt": ""},
            (),
            ("torch>=2", "tqdm"),
        ),
        ({"pyproject.toml": PROJECT + "[tool.dari]\n", "requirements.txt": ""}, (), ("torch>=2", "tqdm")),
        (
            {"pyproject.toml": PROJECT + "[tool.dari]\ndependencies = false", "requirements.txt": ""},
            ("requirements.txt",),
            (),
        ),
        (
            {"pyproject.toml": PROJECT + "[tool.dari]\nrequirements = ['requirements.txt']", "requirements.txt": ""},
            ("requirements.txt",),
            (),
        ),
        ({"pyproject.toml": "[tool.dari]\n", "requirements.txt": ""}, ("requirements.txt",), ()),
    ],
)
def test_requirements_come_from_files_or_from_the_project_table(
    write: Write, files: dict[str, str], requirements: tuple[str, ...], dependencies: tuple[str, ...]
) -> None:
    """What isn't written has one rule: [tool.dari] takes [project]'s dependencies, dari.toml takes requirements.txt."""
    files = {
        name: f'base = "scratch"\n{text}'
        if name == "dari.toml"
        else text.replace("[tool.dari]\n", '[tool.dari]\nbase = "scratch"\n')
        for name, text in files.items()
    }
    project = read_project(write(files))
    assert (project.requirements, project.dependencies) == (requirements, dependencies)


def test_mistakes_in_the_project_table_are_placed_in_its_file(write: Write) -> None:
    """A dependency that is none, and dynamic ones, are said with pyproject.toml's own lines."""
    folder = write(
        {
            "dari.toml": 'base = "scratch"\ndependencies = true\n',
            "pyproject.toml": '[project]\ndynamic = ["dependencies"]\ndependencies = ["torch", "=2"]\n',
        }
    )
    lines = _lines(folder)
    assert lines[0].startswith("pyproject.toml:2:11: the dependencies are dynamic")
    assert lines[1].startswith("pyproject.toml:3:26: '=2' is not a requirement: ")


def test_two_descriptions_are_one_too_many(write: Write) -> None:
    """dari.toml and [tool.dari] together are refused, with the place of the table."""
    folder = write(
        {"dari.toml": 'base = "scratch"', "pyproject.toml": '[project]\nname = "x"\n[tool.dari]\nbase = "scratch"'}
    )
    assert _lines(folder) == ["pyproject.toml:3:7: [tool.dari] stands here, and there is a dari.toml beside it"]


def test_tool_dari_must_be_a_table(write: Write) -> None:
    """`tool.dari = 1` is a mistake with a place, too."""
    assert "pyproject.toml:1:13: 'tool.dari': a table is wanted" in _lines(write({"pyproject.toml": "tool.dari = 1"}))


def test_a_folder_without_a_project_says_how_to_begin(folder: Path) -> None:
    """Neither file: usage error with what to write."""
    with pytest.raises(UsageError, match=r"there is no dari\.toml") as caught:
        read_project(folder)
    assert caught.value.id == "DARI-PROJECT-MISSING"
    assert "base =" in caught.value.hint


def test_a_secret_is_not_repeated_in_a_complaint(write: Write) -> None:
    """What stands where it can't is not printed: it may be a secret."""
    folder = write(
        {"dari.toml": "base = 'scratch'\nenv = 'hf_abcdefghij'\nlabels = ['hf_abcdefghij']\ncmd = \"hf_abcdefghij '\""}
    )
    assert "abcdefghij" not in "".join(_lines(folder))


TOML = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), st.text("ab/*.=!\\ é\0", max_size=6), st.dates()),
    lambda children: st.one_of(
        st.lists(children, max_size=3), st.dictionaries(st.text("ab", max_size=3), children, max_size=2)
    ),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from([key.name for key in KEYS]), TOML, max_size=6))
def test_whatever_stands_there_is_read_or_complained_about(folder: Path, values: dict[str, object]) -> None:
    """No value of any type behind any key is a traceback, and every complaint has a place."""
    import tomli_w  # noqa: PLC0415 - only here

    (folder / "dari.toml").write_text(tomli_w.dumps(values), encoding="utf-8")
    try:
        read_project(folder)
    except UsageError as error:
        assert all(re.match(r".*dari\.toml:\d+:\d+: ", line) for line in str(error).splitlines())  # noqa: PT017
