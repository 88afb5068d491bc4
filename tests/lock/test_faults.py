"""What is outside fails: an index that isn't there, one that never answers, a cache that knows nothing."""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import dari.lock.uv
from dari.errors import IntegrityError, OutsideError, UsageError
from tests.lock import bases
from tests.lock.conftest import Place
from tests.lock.wheelhouse import wheel


def test_an_index_that_is_not_there_is_told_as_passing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connection refused: exit class 3, temporary, and no credentials of the address in what is said."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(OutsideError) as caught:
        place.resolve("numpy-thing", "--index-url http://user:hunter2@127.0.0.1:9/simple", index=True)
    assert (caught.value.id, caught.value.temporary, caught.value.exit_code) == ("DARI-LOCK-INDEX", True, 3)
    assert str(caught.value).startswith("resolving the requirements: the package index does not answer: ")
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_a_resolver_that_hangs_is_ended(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that accepts and never answers ends the run at the time limit."""
    monkeypatch.setattr(dari.lock.uv, "DEADLINE", 1.0)
    with _silent_server() as address, pytest.raises(OutsideError) as caught:
        place.resolve("numpy-thing", f"--index-url http://{address}/simple", index=True)
    assert caught.value.id == "DARI-PROGRAM-TIMEOUT"


def test_a_name_that_no_index_has_is_named(place: Place) -> None:
    """The message says the name, the hint what may be wrong with it."""
    with pytest.raises(UsageError) as caught:
        place.resolve("trasnformers-of-nobody")
    assert (caught.value.id, str(caught.value)) == (
        "DARI-LOCK-UNKNOWN",
        "resolving the requirements: no index has a distribution named 'trasnformers-of-nobody'",
    )


def test_offline_without_anything_known_says_so(place: Place) -> None:
    """Nothing is fetched behind the user's back."""
    with pytest.raises(OutsideError) as caught:
        place.offline().resolve("a-name-that-was-never-asked-for", index=True)
    assert caught.value.id == "DARI-LOCK-OFFLINE"


def test_broken_uv_settings_are_told_in_uvs_words(place: Place) -> None:
    """An error that is none of the known ones keeps uv's text."""
    (place.folder / "uv.toml").write_text('index-url = "not closed\n', encoding="utf-8")
    with pytest.raises(OutsideError) as caught:
        place.resolve("numpy-thing")
    assert caught.value.id == "DARI-LOCK-UV"
    assert "uv.toml" in str(caught.value) + caught.value.hint


def test_a_wheel_without_metadata_is_told(place: Place) -> None:
    """A local wheel that is no wheel: an error with its name, no traceback."""
    path = wheel(place.folder / "wheels", "mine", "1.0")
    path.write_bytes(b"PK not a zip")
    with pytest.raises((IntegrityError, OutsideError)) as caught:
        place.resolve(f"./wheels/{path.name}", base=bases.scratch())
    assert "mine" in str(caught.value) + caught.value.hint


def test_a_second_run_needs_nothing_but_the_cache(place: Place) -> None:
    """With the files of the first run gone and no network, the metadata kept by digest is enough."""
    wheel(place.house, "trainer", "2.0", "plotter>=1")
    wheel(place.house, "plotter", "1.5")
    first = place.resolve("trainer")
    shutil.rmtree(place.bench.store.root / "blobs", ignore_errors=True)
    assert place.offline().resolve("trainer") == first


def test_nothing_is_left_in_the_work_folder(place: Place) -> None:
    """Shadow, pins and guards go when the run ends, well or badly."""
    wheel(place.house, "trainer", "2.0", "click>=99")
    with pytest.raises(Exception, match="click"):
        place.resolve("trainer")
    assert list(place.bench.work.iterdir()) == []


@contextmanager
def _silent_server() -> Iterator[str]:
    """Accept connections on loopback and never say a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                held.append(listener.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in held:
            connection.close()
