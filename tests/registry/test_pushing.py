"""Pushing to a real registry: only what is missing, the manifest last."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pytest

from dari.errors import IntegrityError, OutsideError, UsageError
from dari.registry import Client
from dari.values.image import Image
from dari.values.manifest import Descriptor, Index
from dari.values.platform import Platform
from dari.values.progress import Silent, Task
from dari.values.reference import Reference
from dari.values.settings import Settings
from tests.registry import images
from tests.registry.conftest import HASTY
from tests.registry.front import Front, Handler, answer, forward, hang, running_front
from tests.support.registry import RunningRegistry, running_registry

pytestmark = pytest.mark.system


@dataclass
class Recorded:
    """A task that keeps what it was told."""

    label: str
    total: int | None
    count: int = 0
    outcome: str = ""

    def advance(self, amount: int) -> None:
        """Count."""
        self.count += amount

    def finish(self, outcome: str = "") -> None:
        """End."""
        self.outcome = outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass
class Recorder:
    """Progress that keeps its tasks."""

    tasks: list[Recorded] = field(default_factory=list)

    def task(self, label: str, total: int | None = None) -> Task:
        """Begin a task."""
        self.tasks.append(Recorded(label, total))
        return self.tasks[-1]

    def say(self, line: str) -> None:
        """Say nothing."""


def test_an_image_arrives_whole(client: Client, registry: RunningRegistry, repository: str) -> None:
    """skopeo reads back the manifest that was pushed, and every blob of it."""
    made = images.image(b"one", images.noise(3 << 20, "push"))
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    report = client.push(made, target)
    sent = made.size
    assert (report.digest, report.uploaded, report.existing, report.sent_bytes) == (made.digest, 3, 0, sent)
    raw = ("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{target}")
    assert subprocess.run(raw, check=True, capture_output=True).stdout == made.manifest.raw


def test_nothing_to_do_is_one_request(settings: Settings, front: Front, repository: str) -> None:
    """The second push asks once what the tag points at, and is done."""
    made = images.image(b"x")
    target = Reference.parse(f"{front.host}/{repository}:v1")
    with Client(settings, Silent(), HASTY) as client:
        client.push(made, target)
        front.seen.clear()
        report = client.push(made, target)
    assert report.unchanged
    assert [f"{seen.method} {seen.path}" for seen in front.seen] == [f"HEAD /v2/{repository}/manifests/v1"]


def test_only_what_is_missing_is_sent(client: Client, registry: RunningRegistry, repository: str) -> None:
    """One changed layer: the others are there, one layer and the config go up; a blob used twice counts once."""
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(images.image(b"base", b"code 1"), target)
    report = client.push(images.image(b"base", b"code 2", b"code 2"), target)
    assert (report.existing, report.uploaded, report.mounted, report.copied) == (1, 2, 0, 0)


def test_layers_of_the_same_registry_are_mounted(settings: Settings, front: Front, repository: str) -> None:
    """A base in another repository of the registry costs one POST a layer, no bytes."""
    source = Reference.parse(f"{front.host}/{repository}/base:v1")
    with Client(settings, Silent(), HASTY) as client:
        client.push(images.image(images.noise(1 << 20, "m"), b"m"), source)
        base = client.image(source, images.AMD64)
        front.seen.clear()
        report = client.push(base, Reference.parse(f"{front.host}/{repository}/app:v1"))
    assert (report.mounted, report.uploaded, report.copied) == (2, 1, 0)
    assert front.count(f"POST .*mount=.*from={repository.replace('/', '%2F')}%2Fbase") == 2
    assert front.count("GET .*/blobs/") == 0


def test_a_mount_that_is_declined_becomes_a_copy(settings: Settings, front: Front, repository: str) -> None:
    """202 to a mount is the begin of an upload (spec: "Mounting a blob"); it is used, not begun a second time."""
    source = Reference.parse(f"{front.host}/{repository}/base:v1")

    def declined(handler: Handler) -> None:
        handler.path = handler.path.partition("?")[0]
        forward(handler)

    front.on("POST .*mount=", declined, -1)
    with Client(settings, Silent(), HASTY) as client:
        client.push(images.image(images.noise(1 << 20, "declined")), source)
        base = client.image(source, images.AMD64)
        front.seen.clear()
        report = client.push(base, Reference.parse(f"{front.host}/{repository}/app:v1"))
    assert (report.mounted, report.copied, report.uploaded) == (0, 1, 1)
    assert front.count("POST .*blobs/uploads/") == 2  # the layer's, and the config's


def test_a_mount_that_is_refused_becomes_an_upload(settings: Settings, front: Front, repository: str) -> None:
    """A registry that answers a mount with an error gets a plain upload."""
    source = Reference.parse(f"{front.host}/{repository}/base:v1")
    front.on("POST .*mount=", answer(403), -1)
    with Client(settings, Silent(), HASTY) as client:
        client.push(images.image(b"refused"), source)
        report = client.push(client.image(source, images.AMD64), Reference.parse(f"{front.host}/{repository}/app:v1"))
    assert (report.mounted, report.copied, report.uploaded) == (0, 1, 1)


def test_layers_of_another_registry_flow_through(
    client: Client, registry: RunningRegistry, private_registry: RunningRegistry, front: Front, repository: str
) -> None:
    """Another registry's layers are streamed, verified, and counted as copied."""
    made = images.image(images.noise(3 << 20, "far"), b"far")
    source = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, source)
    report = client.push(client.image(source, images.AMD64), Reference.parse(f"{front.host}/{repository}/copy:v1"))
    assert (report.copied, report.uploaded, report.sent_bytes) == (2, 1, made.size)


def test_an_index_is_pushed_after_its_images(settings: Settings, front: Front, repository: str) -> None:
    """Children go up by their digests, the index last; pushing it again is one request."""
    both = tuple(
        images.image(b"shared", name.encode(), platform=Platform("linux", name)) for name in ("amd64", "arm64")
    )
    index = Index.build(tuple(replace(one.manifest.descriptor, platform=one.config.platform) for one in both))
    target = Reference.parse(f"{front.host}/{repository}:v1")
    with Client(settings, Silent(), HASTY) as client:
        report = client.push_index(index, both, target)
        puts = [
            seen.path.rpartition("/")[2] for seen in front.seen if "PUT" in seen.method and "manifests" in seen.path
        ]
        assert puts == [str(both[0].digest), str(both[1].digest), "v1"]
        assert (report.digest, report.uploaded) == (index.digest, 5)
        front.seen.clear()
        assert client.push_index(index, both, target).unchanged
        assert len(front.seen) == 1


def test_an_index_of_other_images_is_not_pushed(client: Client) -> None:
    """An index that names what wasn't given is refused before anything is sent."""
    index = Index.build((images.image(b"a").manifest.descriptor,))
    with pytest.raises(IntegrityError) as caught:
        client.push_index(index, (images.image(b"b"),), Reference.parse("127.0.0.1:1/a:b"))
    assert caught.value.id == "DARI-REGISTRY-INDEX"


def test_a_digest_cannot_be_chosen(client: Client) -> None:
    """Pushing to a reference whose digest the image doesn't have is wrong use."""
    target = Reference.parse("127.0.0.1:1/a@sha256:" + "0" * 64)
    with pytest.raises(UsageError) as caught:
        client.push(images.image(b"x"), target)
    assert caught.value.id == "DARI-REGISTRY-PUSH-DIGEST"


def test_progress_tells_of_each_blob(settings: Settings, registry: RunningRegistry, repository: str) -> None:
    """A task a blob, with its bytes and how it came there."""
    made = images.image(b"old", images.noise(200_000, "progress"))
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    recorder = Recorder()
    with Client(settings, recorder, HASTY) as client:
        client.push(images.image(b"old"), target)
        recorder.tasks.clear()
        client.push(made, target)
    told = Counter((task.label.split()[0], task.outcome, task.count) for task in recorder.tasks)
    config = made.manifest.config.size
    assert told == {("layer", "exists", 0): 1, ("layer", "uploaded", 200_000): 1, ("config", "uploaded", config): 1}


@dataclass(frozen=True, slots=True)
class Odd:
    """A layer whose bytes aren't what its descriptor says."""

    like: images.BytesLayer
    content: tuple[bytes, ...]
    error: OSError | None = None

    @property
    def descriptor(self) -> Descriptor:
        """Claim another's descriptor."""
        return self.like.descriptor

    diff_id = property(lambda self: self.like.diff_id)
    origin = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the bytes."""
        yield self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        yield from self.content
        if self.error:
            raise self.error


ODD = {
    "short": ((b"12345",), None, "DARI-REGISTRY-SOURCE-SIZE"),
    "long": ((b"123456789", b"0123"), None, "DARI-REGISTRY-SOURCE-SIZE"),
    "other bytes": ((b"1234567890",), None, "DARI-REGISTRY-ANSWER"),
    "unreadable": ((b"12",), FileNotFoundError(2, "No such file or directory"), "DARI-REGISTRY-SOURCE"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_layer_that_is_not_what_it_claims_is_not_published(
    case: str, client: Client, registry: RunningRegistry, repository: str
) -> None:
    """Too few bytes, too many, others, or none to be read: an error of its own, no retry, and no manifest."""
    content, error, expected = ODD[case]
    made = images.image(b"0123456789")
    layer = made.layers[0]
    assert isinstance(layer, images.BytesLayer)
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    with pytest.raises((IntegrityError, OutsideError)) as caught:
        client.push(replace(made, layers=(Odd(layer, content, error),)), target)
    assert caught.value.id == expected
    assert client.head(target) is None


@dataclass(frozen=True, slots=True)
class Slow:
    """A layer that waits in the middle, to be interrupted there."""

    like: images.BytesLayer
    reached: threading.Event
    until: Path = Path("/")  # reached once this is there
    descriptor = property(lambda self: self.like.descriptor)
    diff_id = property(lambda self: self.like.diff_id)
    origin = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[bytes]]:
        """Open the bytes, one at a time."""
        yield self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        for byte in self.like.content:
            time.sleep(0.01)
            if self.until.exists():
                self.reached.set()
            yield bytes((byte,))


def interrupted(image: Image, target: Reference, client: Client, reached: threading.Event) -> float:
    """Push, press Ctrl-C once `reached` is set, and return how long it took to come back."""
    pressed: list[float] = []

    def press() -> None:
        reached.wait(10)
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        client.push(image, target)
    thread.join()
    return time.monotonic() - pressed[0]


def test_ctrl_c_ends_a_push_at_once_and_the_next_one_goes_on(
    client: Client, registry: RunningRegistry, repository: str
) -> None:
    """Nothing is published, the workers stop, and what was sent whole is not sent again."""
    reached = threading.Event()
    quick, slow = images.layer(images.noise(1 << 20, "quick")), images.layer(b"s" * 3000)
    made = images.image_of((quick, slow))
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    digest = quick.descriptor.digest.hex
    stored = registry.folder / f"storage/docker/registry/v2/repositories/{repository}/_layers/sha256/{digest}/link"
    took = interrupted(replace(made, layers=(quick, Slow(slow, reached, stored))), target, client, reached)
    assert took < 1.5
    assert client.head(target) is None
    report = client.push(made, target)
    assert report.existing >= 1
    assert quick.opened == ["open"]
    client.image(target, images.AMD64)


def test_ctrl_c_is_not_held_up_by_a_dead_connection(settings: Settings, front: Front, repository: str) -> None:
    """A server that took a request and says nothing more can't keep the program from ending."""
    release, reached = threading.Event(), threading.Event()

    def hold(handler: Handler) -> None:
        reached.set()
        hang(release)(handler)

    front.on("PUT .*blobs", hold, -1)
    with Client(settings, Silent(), HASTY) as client:
        try:
            took = interrupted(images.image(b"held"), Reference.parse(f"{front.host}/{repository}:v1"), client, reached)
        finally:
            release.set()
    assert took < 4


def test_a_failed_layer_stops_the_others(settings: Settings, front: Front, repository: str) -> None:
    """The first error is the one that is reported, and nothing is published."""
    made = images.image(*(f"layer {number}".encode() for number in range(30)))
    front.on("PUT .*blobs", answer(403), -1)
    target = Reference.parse(f"{front.host}/{repository}:v1")
    with Client(replace(settings, uploads=2), Silent(), HASTY) as client, pytest.raises(OutsideError) as caught:
        client.push(made, target)
    assert caught.value.id == "DARI-REGISTRY-DENIED"
    assert front.count("PUT .*blobs") <= 4
    assert front.count("PUT .*manifests") == 0


def test_several_pushes_share_a_client(client: Client, registry: RunningRegistry, repository: str) -> None:
    """A client is safe from several threads."""
    reports: list[object] = []

    def push(number: int) -> None:
        target = Reference.parse(f"{registry.host}/{repository}:v{number}")
        reports.append(client.push(images.image(b"shared", str(number).encode()), target).digest)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(reports)) == 6


def test_a_registry_that_was_restarted_is_spoken_to_again(settings: Settings, tmp_path: Path) -> None:
    """A kept connection that died between two requests is not an error."""
    with running_front() as front, Client(settings, Silent(), HASTY) as client:
        for _ in range(2):
            with running_registry(tmp_path / "r") as running:
                front.upstream = running.host
                client.push(images.image(b"x"), Reference.parse(f"{front.host}/a:v1"))
