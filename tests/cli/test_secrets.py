"""Secrets on their way into an image: stopped, told without being shown, let in only when that is written."""

from pathlib import Path

import pytest

from tests.support.program import Dari
from tests.support.small_base import small_base
from tests.support.small_project import small_project

pytestmark = pytest.mark.system

# Of no use anywhere: made up for these tests, in the shape of the real ones.
KEY = "AKIA" + "QYLPMN5HHHFPZAM2"
SECRET = "1tUm636uS1yOEcfP5pvf" + "qJ/ml36mF7AkyHsEU0IU"
TOKEN = "hf_" + "hZEmnoOEYISjraJtbySaKCNnSuYAvukaTt"


def _folder(tmp_path: Path, files: dict[str, str], toml: str = "", selected: str = '"."') -> Path:
    folder = small_project(tmp_path / "p", small_base(tmp_path), wheels=(), more=toml)
    text = (folder / "dari.toml").read_text(encoding="utf-8").replace('["train.py"]', f"[{selected}]")
    (folder / "dari.toml").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


CASES = {
    "env file": ({".env": f"HF_TOKEN={TOKEN}\n"}, '".env"', "", ".env", [".env"]),
    "history": ({".git/config": f"url = https://x:{TOKEN}@h\n"}, '".git/"', "", ".git", [".git/"]),
    "key in a source": (
        {"train.py": f"import boto3\nid = '{KEY}'\nsecret = '{SECRET}'\n"}, '"train.py"', "", "train.py", ["train.py"],
    ),
    "variable": ({}, '"train.py"', f'env = {{ HF_TOKEN = "{TOKEN}" }}\n', "HF_TOKEN", ["env.HF_TOKEN"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_secret_is_refused_and_not_repeated(dari: Dari, tmp_path: Path, case: str) -> None:
    """Where it is and how to allow it is said; the secret itself appears nowhere: not printed, cached or locked."""
    files, selected, toml, named, _ = CASES[case]
    folder = _folder(tmp_path, files, toml, selected)
    ran = dari("build", folder, "--to", f"oci:{tmp_path}/out")
    assert ran.code == 1, (ran.code, ran.err)
    assert "[DARI-SECRET" in ran.err, ran.err
    assert named in ran.err
    assert "allow-secrets" in ran.err
    _nowhere(ran.out + ran.err, dari.cache, folder / "dari.lock")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", CASES)
def test_a_secret_is_let_in_where_that_is_written(dari: Dari, tmp_path: Path, case: str) -> None:
    """`allow-secrets` names what may go in, and even then dari doesn't print it."""
    files, selected, toml, _, allowed = CASES[case]
    folder = _folder(tmp_path, files, toml + f"allow-secrets = {allowed!r}\n".replace("'", '"'), selected)
    ran = dari.ok("build", folder, "--to", f"oci:{tmp_path}/out")
    _nowhere(ran.out + ran.err, folder / "dari.lock")


def test_a_whole_project_leaves_out_what_is_never_meant(dari: Dari, tmp_path: Path) -> None:
    """`files = ["."]` leaves .git and the like out by itself: nothing to refuse, nothing to allow."""
    folder = _folder(tmp_path, {".git/config": f"token = {TOKEN}\n"})
    ran = dari("build", folder, "--complete", "--to", f"oci:{tmp_path}/out")
    assert ran.code == 0, ran.err
    _nowhere(ran.out + ran.err, dari.cache, tmp_path / "out")


@pytest.mark.parametrize("secret", [SECRET, TOKEN], ids=["with a slash", "plain"])
def test_credentials_of_an_index_are_never_written_down(dari: Dari, tmp_path: Path, secret: str) -> None:
    """A password in an index's address, even one that breaks the address, is neither printed nor locked."""
    folder = _folder(tmp_path, {"requirements.txt": f"--index-url http://user:{secret}@127.0.0.1:9/simple\ndemo\n"})
    ran = Dari(dari.cache, {"UV_HTTP_RETRIES": "0"})("build", folder, "--to", f"oci:{tmp_path}/out")
    assert ran.code == 3, ran.err
    assert "[DARI-LOCK-" in ran.err
    _nowhere(ran.out + ran.err, folder / "dari.lock")


def _nowhere(said: str, *places: Path) -> None:
    for secret in (KEY, SECRET, TOKEN):
        assert secret not in said
        for place in places:
            files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
            assert not [path for path in files if secret.encode() in path.read_bytes()]
