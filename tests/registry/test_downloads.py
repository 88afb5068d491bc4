"""Downloads by address: whole, verified, kept, resumed."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dari.errors import DariError, IntegrityError, OutsideError, UsageError
from dari.registry import Downloads
from dari.values.digest import Digest
from dari.values.fetch import Fetcher
from dari.values.progress import Silent
from dari.values.settings import Settings
from tests.registry import images
from tests.registry.conftest import HASTY
from tests.registry.front import Act, Front, Handler, answer, cut_file, drop, running_front, serve

WHEEL = images.noise(5 << 20, "wheel")
DIGEST = Digest.of(WHEEL)


@pytest.fixture
def server() -> Iterator[Front]:
    """Run a server of files."""
    with running_front() as running:
        yield running


@pytest.fixture
def downloads(settings: Settings) -> Iterator[Fetcher]:
    """Open a downloader that waits only a millisecond before it tries again; it is what `values.fetch` describes."""
    with Downloads(settings, Silent(), HASTY) as opened:
        yield opened


def test_a_file_is_fetched_once(downloads: Fetcher, server: Front) -> None:
    """The second time nothing is asked; the file stands in the cache under its digest, readable by all."""
    server.on("GET /a.whl", serve(WHEEL))
    url = f"http://{server.host}/a.whl"
    path = downloads.fetch(url, DIGEST, size=len(WHEEL), label="a")
    assert path.read_bytes() == WHEEL
    assert downloads.fetch(url, DIGEST) == path
    assert len(server.seen) == 1


def test_sha512_is_a_digest_too(downloads: Fetcher, server: Front) -> None:
    """Debian's and npm's lists may name it."""
    server.on("GET", serve(b"x"))
    digest = Digest("sha512", hashlib.sha512(b"x").hexdigest())
    assert downloads.fetch(f"http://{server.host}/x", digest).read_bytes() == b"x"


def test_an_empty_file_is_a_file(downloads: Fetcher, server: Front) -> None:
    """Nothing has a digest as well."""
    server.on("GET", serve(b""))
    assert downloads.fetch(f"http://{server.host}/x", Digest.of(b"")).read_bytes() == b""


@pytest.mark.parametrize("ranges", [True, False], ids=["range", "no range"])
def test_a_download_goes_on_where_it_broke(ranges: bool, downloads: Fetcher, server: Front) -> None:  # noqa: FBT001 - a case
    """Breaks in the middle are taken up by Range; a server without it sends all again, and the bytes are right."""
    server.on("GET", cut_file(WHEEL, 3 << 19), 2 if ranges else 1)
    server.on("GET", serve(WHEEL, ranges=ranges), -1)
    assert downloads.fetch(f"http://{server.host}/a.whl", DIGEST).read_bytes() == WHEEL
    assert [seen.range for seen in server.seen] == ["", "bytes=1572864-", "bytes=3145728-"][: 3 if ranges else 2]


def test_a_later_run_goes_on_where_an_earlier_one_was_killed(settings: Settings, server: Front) -> None:
    """What was written before a kill -9 is used: only the rest is asked for."""
    reached, release = threading.Event(), threading.Event()

    def half(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(WHEEL)))
        handler.end_headers()
        handler.wfile.write(WHEEL[: 3 << 20])
        handler.wfile.flush()
        reached.set()
        release.wait(20)

    server.on("GET", half)
    script = (
        "import sys; from pathlib import Path; from dari.registry import Downloads\n"
        "from dari.values.settings import Settings; from dari.values.progress import Silent\n"
        "from dari.values.digest import Digest\n"
        "Downloads(Settings(Path(sys.argv[1])), Silent()).fetch(sys.argv[2], Digest.parse(sys.argv[3]))\n"
    )
    url = f"http://{server.host}/a.whl"
    with subprocess.Popen((sys.executable, "-c", script, settings.cache, url, str(DIGEST))) as process:
        assert reached.wait(20)
        partial = settings.cache / "downloads" / DIGEST.hex
        while not partial.exists() or partial.stat().st_size < 2 << 20:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    release.set()
    server.on("GET", serve(WHEEL), -1)
    with Downloads(settings, Silent(), HASTY) as downloads:
        assert downloads.fetch(url, DIGEST).read_bytes() == WHEEL
    assert server.seen[-1].range.startswith("bytes=")
    assert not partial.exists()


def test_a_rotten_remainder_is_not_used(downloads: Fetcher, settings: Settings, server: Front) -> None:
    """What an earlier run left and is wrong is thrown away, and the file fetched anew."""
    partial = settings.cache / "downloads" / DIGEST.hex
    partial.parent.mkdir(parents=True)
    for rest in (b"rotten" * 1000, WHEEL + b"more", WHEEL):
        partial.write_bytes(rest)
        server.on("GET", serve(WHEEL), 2)
        assert downloads.fetch(f"http://{server.host}/a.whl", DIGEST).read_bytes() == WHEEL
        (settings.cache / "blobs/sha256" / DIGEST.hex).unlink()
    assert len(server.seen) == 4  # two and two, and nothing for a remainder that was whole


def test_many_threads_fetch_a_file_once(downloads: Fetcher, server: Front) -> None:
    """Whoever comes second waits for the first and takes what it brought."""
    server.on("GET", serve(WHEEL), -1)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: downloads.fetch(f"http://{server.host}/a.whl", DIGEST), range(16)))
    assert len(set(paths)) == 1
    assert len(server.seen) == 1


LASTING: dict[str, tuple[Act, str, type[DariError]]] = {
    "not there": (answer(404), "DARI-DOWNLOAD-NOT-FOUND", OutsideError),
    "gone": (answer(410), "DARI-DOWNLOAD-NOT-FOUND", OutsideError),
    "not for everybody": (answer(401), "DARI-DOWNLOAD-DENIED", OutsideError),
    "forbidden": (answer(403), "DARI-DOWNLOAD-DENIED", OutsideError),
    "a teapot": (answer(418), "DARI-DOWNLOAD-REFUSED", OutsideError),
    "always busy": (answer(503), "DARI-NETWORK-BUSY", OutsideError),
    "always limited": (answer(429, Retry_After="0"), "DARI-NETWORK-RATE", OutsideError),
    "always reset": (drop, "DARI-NETWORK-BROKEN", OutsideError),
    "other bytes": (serve(WHEEL[::-1]), "DARI-DOWNLOAD-DIGEST", IntegrityError),
    "too few": (serve(WHEEL[:-1]), "DARI-DOWNLOAD-DIGEST", IntegrityError),
    "too many": (serve(WHEEL + b"!"), "DARI-DOWNLOAD-DIGEST", IntegrityError),
    "a web page": (answer(200, b"<html>", Content_Type="text/html"), "DARI-DOWNLOAD-DIGEST", IntegrityError),
}


@pytest.mark.parametrize("case", LASTING)
def test_what_lasts_is_said_and_nothing_is_kept(
    case: str, downloads: Fetcher, settings: Settings, server: Front
) -> None:
    """Each has its id; no wrong byte reaches the cache."""
    act, expected, kind = LASTING[case]
    server.on("GET", act, -1)
    with pytest.raises(kind) as caught:
        downloads.fetch(f"http://{server.host}/a.whl", DIGEST, size=len(WHEEL))
    assert caught.value.id == expected
    assert not (settings.cache / "blobs/sha256" / DIGEST.hex).exists()
    assert len(server.seen) <= 5


def test_an_endless_file_is_stopped(downloads: Fetcher, server: Front) -> None:
    """A server that sends more than the known size can't fill the disk."""
    server.on("GET", serve(bytes(50 << 20)))
    with pytest.raises(IntegrityError):
        downloads.fetch(f"http://{server.host}/a.whl", DIGEST, size=1000)


def test_a_small_document_is_read_whole_or_not_at_all(downloads: Fetcher, server: Front) -> None:
    """`read` keeps nothing and stops at its limit; faults that pass are waited out."""
    server.on("GET", drop, 2)
    server.on("GET", serve(b"12345"), -1)
    url = f"http://{server.host}/Release"
    assert downloads.read(url, limit=5) == b"12345"
    with pytest.raises(OutsideError) as caught:
        downloads.read(url, limit=4)
    assert caught.value.id == "DARI-DOWNLOAD-TOO-LARGE"


def test_a_file_address_is_read_from_the_disk(downloads: Fetcher, tmp_path: Path) -> None:
    """`file:` works for both, percent-encoded names included."""
    path = tmp_path / "a wheel.whl"
    path.write_bytes(WHEEL)
    assert downloads.fetch(path.as_uri(), DIGEST).read_bytes() == WHEEL
    assert downloads.read(path.as_uri(), limit=len(WHEEL)) == WHEEL
    with pytest.raises(OutsideError, match="No such file") as caught:
        downloads.read(path.as_uri() + ".asc", limit=10)
    assert caught.value.id == "DARI-DOWNLOAD-FILE"


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "x.whl", "http://", "http://[::1", "file://elsewhere/x", "http://h:99999/x", ""]
)
def test_what_is_no_address_is_refused(url: str, downloads: Fetcher) -> None:
    """Anything else than http, https and file with a place in it."""
    with pytest.raises(UsageError) as caught:
        downloads.read(url, limit=1)
    assert caught.value.id == "DARI-DOWNLOAD-ADDRESS"


def test_credentials_in_an_address_are_sent_and_never_shown(downloads: Fetcher, server: Front) -> None:
    """`user:p%40ss@` becomes Basic; neither it nor a signed query stands in an error."""
    url = f"http://user:p%40s3cret@{server.host}/a.whl?token=t0ken"
    server.on("GET", answer(403), -1)
    with pytest.raises(OutsideError) as caught:
        downloads.fetch(url, DIGEST)
    assert server.seen[0].authorization == "Basic dXNlcjpwQHMzY3JldA=="
    assert server.seen[0].path == "/a.whl?token=t0ken"
    told = str(caught.value) + caught.value.hint
    assert "s3cret" not in told
    assert "t0ken" not in told


def test_credentials_do_not_follow_to_another_host(downloads: Fetcher, server: Front) -> None:
    """An index may redirect to a storage service: that gets the request alone."""
    with running_front() as storage:
        storage.on("GET", serve(WHEEL), -1)
        server.on("GET", answer(302, b"", Location=f"http://{storage.host}/real"), -1)
        downloads.fetch(f"http://u:p@{server.host}/a.whl", DIGEST)
        assert [seen.authorization for seen in storage.seen] == [""]


def test_offline_only_the_cache_answers(settings: Settings, tmp_path: Path) -> None:
    """What is there is given, what isn't is named, and files of this machine are still read."""
    path = tmp_path / "x"
    path.write_bytes(b"x")
    with Downloads(replace(settings, offline=True), Silent()) as downloads:
        assert downloads.fetch(path.as_uri(), Digest.of(b"x")).read_bytes() == b"x"
        assert downloads.fetch("http://127.0.0.1:1/x", Digest.of(b"x")).read_bytes() == b"x"
        for ask in (
            lambda: downloads.fetch("http://127.0.0.1:1/y", DIGEST),
            lambda: downloads.read("http://127.0.0.1:1/y", limit=1),
        ):
            with pytest.raises(OutsideError) as caught:
                ask()
            assert caught.value.id == "DARI-NETWORK-OFFLINE"
