"""Bad input, end to end: bases, locks, settings and registries that are not what they should be."""

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import project
from tests.support.program import Dari, Ran
from tests.support.registry import RunningRegistry, free_port, running_registry, write_login
from tests.support.small_base import push_small_base, small_base
from tests.support.small_project import small_project

pytestmark = pytest.mark.system


def refused(ran: Ran, code: int, id: str, *says: str) -> None:
    """Check a run that ended with `code`, and one line for `id` that says what it should."""
    assert ran.code == code, (ran.code, ran.err)
    lines = [line for line in ran.err.splitlines() if line.startswith("error ")]
    assert len(lines) == 1, ran.err
    assert lines[0].endswith(f"[{id}]"), ran.err
    assert all(text in ran.err for text in says), ran.err


@pytest.fixture(scope="module")
def small(registry: RunningRegistry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the reference of a small base in the registry."""
    return push_small_base(tmp_path_factory.mktemp("small"), f"{registry.host}/small/base:1")


# ── bases ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reference", "says"),
    [("nobody/base:1", "'nobody/base'"), ("small/base:2", "no tag '2'")],
    ids=["name", "tag"],
)
@pytest.mark.usefixtures("small")
def test_a_base_that_is_not_there(
    warm: Dari, registry: RunningRegistry, tmp_path: Path, reference: str, says: str
) -> None:
    """An unknown base or tag is wrong use; it is named, and no lock is written."""
    folder = small_project(tmp_path / "p", f"{registry.host}/{reference}")
    refused(warm("build", folder, "--to", f"oci:{tmp_path}/out"), 2, "DARI-REGISTRY-TAG", says)
    assert not (folder / "dari.lock").exists()
    assert not (tmp_path / "out").exists()


def test_a_platform_that_the_base_does_not_have(warm: Dari, small: str, tmp_path: Path) -> None:
    """A base without the wanted platform names both."""
    folder = small_project(tmp_path / "p", small)
    ran = warm("build", folder, "--platform", "linux/arm64", "--to", f"oci:{tmp_path}/out")
    refused(ran, 2, "DARI-REGISTRY-PLATFORM", "linux/arm64")
    assert not (folder / "dari.lock").exists()


def test_a_tag_that_moved_changes_nothing_until_it_is_asked_to(dari: Dari, tmp_path: Path) -> None:
    """The locked digest is used as long as the registry has it; when it has gone, --upgrade is the way on."""
    with running_registry(tmp_path / "registry") as running:
        base = push_small_base(tmp_path / "one", f"{running.host}/base:1")
        folder, out = small_project(tmp_path / "p", base), f"oci:{tmp_path}/out"
        before = dari.json("build", folder, "--to", out)
        push_small_base(tmp_path / "two", f"{running.host}/base:1", mark="another")
        moved = dari("build", folder, "--locked", "--to", out, "--json")
        assert json.loads(moved.out)["digest"] == before["digest"]
        assert moved.err == ""
        old = json.loads((tmp_path / "one/base/index.json").read_bytes())["manifests"][0]["digest"]
        _delete(f"{running.host}/base", old)
        assert dari.json("build", folder, "--to", out)["digest"] == before["digest"]  # what dari has seen, it keeps
        dari.ok("cache", "--clear")
        refused(dari("build", folder, "--to", out), 3, "DARI-BASE-GONE", "dari lock --upgrade", old)
        dari.ok("lock", folder, "--upgrade")
        assert dari.json("build", folder, "--locked", "--to", out)["digest"] != before["digest"]


def _delete(repository: str, digest: str) -> None:
    reference = f"docker://{repository}@{digest}"
    subprocess.run(("skopeo", "delete", "--tls-verify=false", reference), check=True, capture_output=True, timeout=60)


# ── locks ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_locked_forbids_a_lock_that_is_missing_or_stale(dari: Dari, tmp_path: Path) -> None:
    """--locked neither writes nor guesses: without a lock, and with one of other requirements, it stops."""
    folder = small_project(tmp_path / "p", small_base(tmp_path))
    argv = ("build", folder, "--locked", "--to", f"oci:{tmp_path}/out")
    refused(dari(*argv), 2, "DARI-LOCK-STALE", "is missing", "dari lock")
    assert not (folder / "dari.lock").exists()
    dari.ok("lock", folder)
    before = (folder / "dari.lock").read_bytes()
    (folder / "requirements.txt").write_text("--no-index\n--find-links ./wheels\ndemo==1.0\n", encoding="utf-8")
    refused(dari(*argv), 2, "DARI-LOCK-STALE", "belongs to other inputs")
    assert (folder / "dari.lock").read_bytes() == before


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda text: text[: len(text) // 2], "dari.lock"),
        (lambda _: "\0\1\2 not toml", "not TOML"),
        (lambda _: "", "version"),
        (lambda text: text.replace("version = 1\n", "version = 99\n", 1), "version 99"),
        (lambda text: re.sub(r'digest = "sha256:[0-9a-f]+"', 'digest = "sha256:12"', text), "digest"),
        (lambda text: re.sub(r'filename = "', 'filename = "../', text), "filename"),
        (lambda text: re.sub(r'url = "file:', 'url = "ftp:', text), "url"),
        (lambda text: text.replace("size = ", "size = -", 1), "size"),
        (lambda text: re.sub(r'purelib = "', 'purelib = "../../', text), "purelib"),
        (lambda text: re.sub(r'interpreter = "', 'interpreter = "python\\\\n', text), "interpreter"),
    ],
    ids=["cut", "binary", "empty", "version", "digest", "filename", "scheme", "size", "places", "interpreter"],
)
def test_a_lock_that_was_edited_or_cut_is_told(warm: Dari, tmp_path: Path, harm: object, says: str) -> None:
    """A malformed dari.lock is wrong use: what is wrong with it is said, nothing is built."""
    folder = small_project(tmp_path / "p", small_base(tmp_path))
    warm.ok("lock", folder)
    text = (folder / "dari.lock").read_text(encoding="utf-8")
    (folder / "dari.lock").write_text(harm(text), encoding="utf-8")  # type: ignore[operator]  # each is a function of text
    ran = warm("build", folder, "--to", f"oci:{tmp_path}/out")
    assert ran.code == 2, ran.err
    assert "DARI-LOCK-" in ran.err
    assert says in ran.err
    assert not (tmp_path / "out").exists()


# ── dari.toml and the command line ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ('base = "scratch"\nenviroment = {}\n', "2:1", "did you mean"),
        ('base = "scratch"\nfiles = "a"\n', "2:9", "files"),
        ('base = "scratch"\nfiles = ["a", 3]\n', "2:15", "files"),
        ('base = "scratch"\nfiles = ["../a"]\n', "2:10", "../a"),
        ('base = "Not A Ref"\n', "1:8", "base"),
        ("base = 'scratch\n", "2:1", "expected"),
        ('base = "scratch"\nplatforms = ["linux/riscv64"]\n', "2:14", "riscv64"),
        ('base = "scratch"\napt = ["git; rm -rf /"]\n', "2:8", "apt"),
        ('base = "scratch"\nrequirements = ["nope.txt"]\n', "2:17", "nope.txt"),
        ('base = "scratch"\nenv = { "A=B" = "c" }\n', "2:", "A=B"),
    ],
)
def test_a_mistake_in_dari_toml_is_shown_where_it_stands(
    dari: Dari, tmp_path: Path, text: str, place: str, says: str
) -> None:
    """File, line and column of each mistake, and what is wrong with it."""
    ran = dari("build", project(tmp_path / "p", text), "--to", f"oci:{tmp_path}/out")
    assert ran.code == 2
    assert f"dari.toml:{place}" in ran.err
    assert says in ran.err


def test_dari_toml_in_another_encoding_is_told(dari: Dari, tmp_path: Path) -> None:
    """Latin-1 or binary content is wrong use."""
    project(tmp_path / "p", "")
    (tmp_path / "p/dari.toml").write_bytes('base = "Größe"\n'.encode("latin-1"))
    ran = dari("build", tmp_path / "p")
    assert ran.code == 2
    assert "UTF-8" in ran.err


@pytest.mark.parametrize(
    ("argv", "environment", "says"),
    [
        (("build", "--nope"), {}, "No such option"),
        (("build", "a", "b"), {}, "unexpected extra argument"),
        (("lock", "--platform", "linux/amd64,"), {}, "DARI-PLATFORM-UNKNOWN"),
        (("cache",), {"DARI_UPLOADS": "abc"}, "DARI_UPLOADS='abc'"),
        (("cache",), {"DARI_UPLOADS": "0"}, "DARI_UPLOADS='0'"),
        (("cache",), {"SOURCE_DATE_EPOCH": "yesterday"}, "SOURCE_DATE_EPOCH='yesterday'"),
        (("cache",), {"SOURCE_DATE_EPOCH": "9" * 30}, "SOURCE_DATE_EPOCH"),
        (("build", "--to", "oci:"), {}, "DARI-REFERENCE-MALFORMED"),
        (("push", "oci:/nowhere", "x:y:z"), {}, "DARI-REFERENCE-MALFORMED"),
    ],
)
def test_wrong_use_of_the_command_line(
    tmp_path: Path, argv: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    """Unknown options, wrong values and wrong variables end with 2 and are named."""
    ran = Dari(tmp_path / "cache", environment)(*argv)
    assert ran.code == 2, ran
    assert says in ran.err


def test_a_docker_archive_holds_one_platform(dari: Dari, small: str, tmp_path: Path) -> None:
    """Two platforms for an archive are refused at once: before anything is resolved or fetched."""
    folder = small_project(tmp_path / "p", small)
    argv = ("build", folder, "--platform", "linux/amd64,linux/arm64", "--to", f"docker-archive:{tmp_path}/app.tar")
    refused(dari(*argv), 2, "DARI-PLATFORM-ARCHIVE", "oci:PATH")
    assert not (tmp_path / "app.tar").exists()
    assert not (folder / "dari.lock").exists()


# ── registries ─────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _web_page() -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>Please log in</html>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_an_address_that_is_no_registry(dari: Dari, tmp_path: Path) -> None:
    """A web page where a manifest should be is told as what it is, with the address."""
    with _web_page() as host:
        ran = dari("build", small_project(tmp_path / "p", f"{host}/team/base:1"), "--to", f"oci:{tmp_path}/out")
    assert ran.code == 3, ran.err
    assert "DARI-" in ran.err
    assert host in ran.err


def test_a_registry_that_is_down(dari: Dari, tmp_path: Path) -> None:
    """Nobody listens: tried again a few times, then told with the address, as something outside."""
    host = f"127.0.0.1:{free_port()}"
    refused(dari("inspect", f"{host}/team/base:1"), 3, "DARI-NETWORK-CONNECT", host)


def test_a_registry_behind_a_login(tmp_path: Path) -> None:
    """Without credentials the refusal says how to give them; with Docker's file it works; no password is shown."""
    with running_registry(tmp_path / "registry", login=True) as running:
        write_login(tmp_path / "config.json", running.host)
        plain = Dari(tmp_path / "cache", {"DOCKER_CONFIG": str(tmp_path / "nothing")})
        knowing = Dari(tmp_path / "cache", {"DOCKER_CONFIG": str(tmp_path)})
        write_login(tmp_path / "wrong.json", running.host, password="hunter2-wrong")  # noqa: S106 - meant to be wrong
        wrong = Dari(tmp_path / "cache", {"REGISTRY_AUTH_FILE": str(tmp_path / "wrong.json")})
        folder = small_project(tmp_path / "p", small_base(tmp_path))
        target = f"{running.host}/team/app:v1"
        for stranger in (plain, wrong):
            ran = stranger("build", folder, "--to", target)
            assert ran.code == 3, ran.err
            assert "DARI-REGISTRY-" in ran.err
            assert running.host in ran.err
            assert "hunter2" not in ran.err + ran.out
        assert "login" in plain("build", folder, "--to", target).err
        assert knowing.json("build", folder, "--to", target)["push"]["blobs"]["uploaded"]
        assert knowing.json("inspect", target)["digest"]


def test_offline_with_an_empty_cache(dari: Dari, small: str, tmp_path: Path) -> None:
    """--offline names what it would have had to fetch."""
    folder = small_project(tmp_path / "p", small)
    refused(dari("--offline", "build", folder, "--to", f"oci:{tmp_path}/out"), 3, "DARI-NETWORK-OFFLINE", small)
    assert not (folder / "dari.lock").exists()


# ── places that can't be written ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target", ["oci:{}/closed/out", "docker-archive:{}/closed/app.tar"])
def test_a_place_that_may_not_be_written(warm: Dari, target: str) -> None:
    """As another user, into a folder of root's: one line, exit code 3, nothing left there."""
    open_folder = Path(subprocess.check_output(("mktemp", "-d", "/tmp/dari-closed.XXXXXX"), text=True).strip())
    try:
        open_folder.chmod(0o755)
        (open_folder / "closed").mkdir()
        (open_folder / "cache").mkdir()
        (open_folder / "cache").chmod(0o777)
        folder = small_project(open_folder / "p", small_base(open_folder))
        Dari(open_folder / "warm").ok("lock", folder)
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        home = {"HOME": str(open_folder / "cache")}
        ran = Dari(open_folder / "cache", home, launcher=nobody)("build", folder, "--to", target.format(open_folder))
        assert ran.code == 3, ran.err
        assert "DARI-" in ran.err
        assert "Permission denied" in ran.err
        assert not list((open_folder / "closed").iterdir())
    finally:
        shutil.rmtree(open_folder)
