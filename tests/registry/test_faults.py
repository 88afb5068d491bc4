"""Networks and registries at their worst: every case ends in the right result or in one clear error."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dari.errors import DariError, OutsideError
from dari.registry import Client, Patience
from dari.registry.patience import PassingError
from dari.registry.transport import Transport
from dari.registry.wire import Request
from dari.values.progress import Silent
from dari.values.reference import Reference
from dari.values.settings import Settings
from tests.registry import images
from tests.registry.conftest import HASTY
from tests.registry.front import (
    Act,
    Front,
    Handler,
    TokenService,
    answer,
    answered_in_vain,
    changed,
    cut,
    cut_upload,
    drop,
    forward,
    hang,
    running_front,
    without,
)
from tests.support.registry import PASSWORD, USER, RunningRegistry, free_port, running_registry, write_login

pytestmark = pytest.mark.system

BIG = images.noise(4 << 20, "faults")
PAGE = b"<!doctype html><title>Welcome to Hotel Wi-Fi</title>"


def pull(client: Client, target: Reference) -> tuple[bytes, ...]:
    """Read an image and its layers whole."""
    contents = []
    for layer in client.image(target, images.AMD64).layers:
        with layer.open() as chunks:
            contents.append(b"".join(chunks))
    return tuple(contents)


@pytest.fixture
def target(front: Front, registry: RunningRegistry, repository: str, tmp_path: Path) -> Reference:
    """Push an image of one big layer past the front, and return its reference as seen through the front."""
    with Client(Settings(tmp_path / "other"), Silent()) as client:
        client.push(images.image(BIG), Reference.parse(f"{registry.host}/{repository}:v1"))
    return Reference.parse(f"{front.host}/{repository}:v1")


PASSING: dict[str, tuple[str, Act, int]] = {
    "a reset before the answer": ("GET .*manifests", drop, 2),
    "a reset in the middle of a layer": ("GET .*blobs", cut(1 << 20), 1),
    "a layer that breaks off again and again": ("GET .*blobs", cut(700_000), 6),
    "a truncated layer": ("GET .*blobs", cut(1 << 20, reset=False), 3),
    "503 for a while": ("GET", answer(503), 3),
    "500, 502, 504": ("GET .*blobs", answer(502), 2),
    "too many requests": ("GET", answer(429, Retry_After="0"), 4),
    "an answer that says no digest": ("GET .*manifests", without("Docker-Content-Digest"), -1),
}


@pytest.mark.parametrize("case", PASSING)
def test_what_may_pass_is_waited_out(case: str, client: Client, front: Front, target: Reference) -> None:
    """Faults that pass don't reach the user, and the bytes are right."""
    front.on(*PASSING[case])
    assert pull(client, target) == (BIG,)


def test_a_layer_goes_on_where_it_broke(client: Client, front: Front, target: Reference) -> None:
    """After a break only the rest is asked for, by Range."""
    layer = client.image(target, images.AMD64).layers[0]
    front.on("GET .*blobs", cut(5 << 19, reset=False), 1)
    front.seen.clear()
    with layer.open() as chunks:
        assert b"".join(chunks) == BIG
    assert [seen.range for seen in front.seen] == ["", f"bytes={5 << 19}-"]


def test_a_server_without_range_is_read_from_the_start(client: Client, front: Front, target: Reference) -> None:
    """A server that answers 200 to a Range has sent it all again; what was had is skipped."""
    layer = client.image(target, images.AMD64).layers[0]

    def no_range(handler: Handler) -> None:
        del handler.headers["Range"]
        forward(handler)

    front.on("GET .*blobs", cut(5 << 19, reset=False), 1)
    front.on("GET .*blobs", no_range, -1)
    with layer.open() as chunks:
        assert b"".join(chunks) == BIG


def test_the_server_says_how_long_to_wait(settings: Settings, front: Front, target: Reference) -> None:
    """Retry-After is honoured in both its forms."""
    front.on("HEAD", answer(429, Retry_After="1"))
    with Client(settings, Silent(), HASTY) as client:
        started = time.monotonic()
        client.head(target)
        assert time.monotonic() - started >= 1
        front.on("HEAD", answer(503, Retry_After="Mon, 01 Jan 2024 00:00:00 GMT"))
        assert client.head(target)


def test_a_server_that_wants_an_hour_is_not_waited_for(client: Client, front: Front, target: Reference) -> None:
    """A pause longer than a minute is the user's to decide: the error comes at once."""
    front.on("HEAD", answer(429, Retry_After="3600"))
    with pytest.raises(OutsideError) as caught:
        client.head(target)
    assert (caught.value.id, caught.value.temporary) == ("DARI-NETWORK-RATE", True)


LASTING: dict[str, tuple[str, Act, str]] = {
    "always busy": ("GET .*manifests", answer(503, b'{"errors":[{"code":"X"}]}'), "DARI-NETWORK-BUSY"),
    "always limited": ("GET", answer(429), "DARI-NETWORK-RATE"),
    "always reset": ("GET", drop, "DARI-NETWORK-BROKEN"),
    "a web page": ("GET .*manifests", answer(200, PAGE, Content_Type="text/html; charset=utf-8"), "DARI-REGISTRY-PAGE"),
    "a web page with 404": ("GET .*manifests", answer(404, PAGE, Content_Type="text/html"), "DARI-REGISTRY-PAGE"),
    "a web page for a layer": ("GET .*blobs", answer(200, PAGE, Content_Type="text/html"), "DARI-REGISTRY-PAGE"),
    "forbidden": ("GET .*manifests", answer(403), "DARI-REGISTRY-DENIED"),
    "a login that nobody has": ("GET", answer(401, b"", WWW_Authenticate='Basic realm="x"'), "DARI-REGISTRY-LOGIN"),
    "a login of an unknown kind": ("GET", answer(401, b"", WWW_Authenticate="Negotiate"), "DARI-REGISTRY-LOGIN"),
    "a teapot": ("GET .*manifests", answer(418, b"short and stout"), "DARI-REGISTRY-ANSWER"),
    "not JSON": ("GET .*manifests", answer(200, b"hello"), "DARI-REGISTRY-DOCUMENT"),
    "another digest": (
        "GET .*manifests", answer(200, b"{}", Docker_Content_Digest="sha256:" + "0" * 64), "DARI-REGISTRY-DIGEST"
    ),
    "no digest": ("GET .*manifests", answer(200, b"{}", Docker_Content_Digest="x"), "DARI-REGISTRY-DOCUMENT"),
    "a huge manifest": ("GET .*manifests", answer(200, b" " * (5 << 20)), "DARI-REGISTRY-TOO-LARGE"),
    "a corrupted layer": ("GET .*blobs", changed(lambda body: b"?" + body[1:]), "DARI-REGISTRY-DIGEST"),
    "a layer that is longer": ("GET .*blobs", changed(lambda body: body + b"!"), "DARI-REGISTRY-DIGEST"),
    "a layer that is shorter": ("GET .*blobs", changed(lambda body: body[:-1]), "DARI-REGISTRY-DIGEST"),
    "a circle": ("GET .*manifests", answer(307, b"", Location="/v2/a/manifests/v1"), "DARI-NETWORK-REDIRECTS"),
    "a redirect to a file": ("GET .*manifests", answer(307, b"", Location="file:///etc/x"), "DARI-NETWORK-DOWNGRADE"),
}  # fmt: skip


@pytest.mark.parametrize("case", LASTING)
def test_what_lasts_is_said_once_and_clearly(case: str, client: Client, front: Front, target: Reference) -> None:
    """The error has its id, names what was read, and is one line."""
    pattern, act, expected = LASTING[case]
    front.on(pattern, act, -1)
    with pytest.raises(DariError) as caught:
        pull(client, target)
    assert caught.value.id == expected
    assert "\n" not in str(caught.value)
    assert front.count(pattern) <= 11


def test_what_the_registry_says_is_quoted_in_one_line(client: Client, front: Front, target: Reference) -> None:
    """A registry's own reason is passed on, shortened, with control characters taken out."""
    said = b'{"errors":[{"code":"DENIED","message":"quota\\n\\u001b[31m exceeded ' + b"x" * 1000 + b'"}]}'
    front.on("GET .*manifests", answer(403, said))
    with pytest.raises(OutsideError, match=r"\(DENIED: quota  \[31m exceeded x+\)$") as caught:
        client.manifest(target)
    assert len(str(caught.value)) < 600


PUSH_PASSING: dict[str, tuple[str, Act, int]] = {
    "a reset in the middle of an upload": ("PUT .*blobs", cut_upload(1 << 20), 2),
    "a reset of the begin": ("POST .*blobs", drop, 2),
    "busy at the end": ("PUT .*blobs", answer(503), 2),
    "an upload that was forgotten": ("PUT .*blobs", answer(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'), 1),
    "busy for the manifest": ("PUT .*manifests", answer(500), 3),
    "a published manifest whose answer is lost": ("PUT .*manifests", answered_in_vain, 1),
    "a layer that the registry doesn't see yet": (
        "PUT .*manifests",
        answer(400, b'{"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}'),
        2,
    ),
    "a HEAD that breaks": ("HEAD .*blobs", drop, 3),
}


@pytest.mark.parametrize("case", PUSH_PASSING)
def test_a_push_outlasts_what_passes(
    case: str, client: Client, front: Front, registry: RunningRegistry, repository: str
) -> None:
    """The upload starts over, and what arrives is whole."""
    front.on(*PUSH_PASSING[case])
    made = images.image(images.noise(3 << 20, case))
    report = client.push(made, Reference.parse(f"{front.host}/{repository}:v1"))
    assert report.sent_bytes + (3 << 20) * report.existing >= 3 << 20
    assert pull(client, Reference.parse(f"{registry.host}/{repository}:v1")) == (images.noise(3 << 20, case),)


PUSH_LASTING: dict[str, tuple[str, Act, str]] = {
    "always reset": ("PUT .*blobs", cut_upload(1 << 16), "DARI-NETWORK-BROKEN"),
    "too large for the proxy": ("PUT .*blobs", answer(413, PAGE), "DARI-REGISTRY-BLOB-LIMIT"),
    "no such repository": (
        "POST .*blobs", answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}'), "DARI-REGISTRY-REPOSITORY"
    ),
    "a layer that the registry lost": (
        "PUT .*manifests", answer(404, b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}'), "DARI-REGISTRY-LATE"
    ),
    "an immutable tag": (
        "PUT .*manifests",
        answer(400, b'{"errors":[{"code":"TAG_INVALID","message":"The image tag v1 already exists"}]}'),
        "DARI-REGISTRY-ANSWER",
    ),
    "another digest published": (
        "PUT .*manifests", answer(201, b"", Docker_Content_Digest="sha256:" + "1" * 64), "DARI-REGISTRY-PUBLISHED"
    ),
    "a web page": ("POST .*blobs", answer(200, PAGE, Content_Type="text/html"), "DARI-REGISTRY-PAGE"),
}  # fmt: skip


@pytest.mark.parametrize("case", PUSH_LASTING)
def test_a_push_that_cannot_be_says_why(
    case: str, client: Client, front: Front, registry: RunningRegistry, repository: str
) -> None:
    """The error has its id, and no manifest was published."""
    pattern, act, expected = PUSH_LASTING[case]
    front.on(pattern, act, -1)
    with pytest.raises(DariError) as caught:
        client.push(images.image(images.noise(1 << 20, case)), Reference.parse(f"{front.host}/{repository}:v1"))
    assert caught.value.id == expected
    assert client.head(Reference.parse(f"{registry.host}/{repository}:v1")) is None


# Logins


def logged_in(settings: Settings, tmp_path: Path, host: str, password: str = PASSWORD) -> Settings:
    """Return settings with a login for a host."""
    return replace(settings, docker_configs=(write_login(tmp_path / "config.json", host, password=password),))


def test_a_private_registry_takes_the_password(
    settings: Settings, private_registry: RunningRegistry, tmp_path: Path, repository: str
) -> None:
    """Basic, against the real thing: push, mount and read."""
    with Client(logged_in(settings, tmp_path, private_registry.host), Silent(), HASTY) as client:
        target = Reference.parse(f"{private_registry.host}/{repository}:v1")
        client.push(images.image(BIG), target)
        assert pull(client, target) == (BIG,)
        base = client.image(target, images.AMD64)
        assert client.push(base, Reference.parse(f"{private_registry.host}/{repository}/app:v1")).mounted == 1


@pytest.mark.parametrize("password", ["", "wrong s3cret"])
def test_a_private_registry_refuses_others(
    password: str, settings: Settings, private_registry: RunningRegistry, tmp_path: Path
) -> None:
    """Without a login, and with a wrong one: the error says which, and how to log in; the password isn't in it."""
    known = logged_in(settings, tmp_path, private_registry.host, password) if password else settings
    with Client(known, Silent(), HASTY) as client, pytest.raises(OutsideError) as caught:
        client.manifest(Reference.parse(f"{private_registry.host}/a:v1"))
    assert caught.value.id == "DARI-REGISTRY-LOGIN"
    assert ("refuses the login of 'dari'" if password else "wants a login") in str(caught.value)
    assert f"docker login {private_registry.host}" in caught.value.hint
    assert "s3cret" not in str(caught.value) + caught.value.hint


def test_tokens_are_fetched_kept_and_renewed(settings: Settings, front: Front, repository: str, tmp_path: Path) -> None:
    """A login service whose tokens are good for seven requests: a push and a pull go through, renewing as they go."""
    service = TokenService(front, USER, PASSWORD, uses=7)
    service.install()
    contents = tuple(f"layer {number}".encode() for number in range(12))
    with Client(logged_in(settings, tmp_path, front.host), Silent(), HASTY) as client:
        target = Reference.parse(f"{front.host}/{repository}:v1")
        client.push(images.image(*contents), target)
        assert pull(client, target) == contents
    assert 4 <= len(service.asked) <= 15
    assert all("service=tests%2C+all+of+them" in asked for asked in service.asked)
    assert not any(seen.authorization.startswith("Basic") for seen in front.seen if "/v2/" in seen.path)


def test_a_wrong_password_at_the_login_service(settings: Settings, front: Front, tmp_path: Path) -> None:
    """The login service's refusal is told as the registry's."""
    TokenService(front, USER, PASSWORD).install()
    with Client(logged_in(settings, tmp_path, front.host, "wrong"), Silent(), HASTY) as client:
        with pytest.raises(OutsideError, match="refuses the login of 'dari'") as caught:
            client.manifest(Reference.parse(f"{front.host}/a:v1"))
        assert caught.value.id == "DARI-REGISTRY-LOGIN"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_login_does_not_follow_a_redirect_to_another_host(
    status: int, settings: Settings, private_registry: RunningRegistry, tmp_path: Path, repository: str
) -> None:
    """Blobs often lie with a storage service: it gets the request, and never the password."""
    content = images.noise(1 << 20, "elsewhere")
    with running_front(private_registry.host) as front, running_front() as storage:
        target = Reference.parse(f"{front.host}/{repository}-{status}:v1")
        storage.on("GET /signed", answer(200, content), -1)
        front.on("GET .*blobs/.*", answer(status, b"", Location=f"http://{storage.host}/signed?key=x"), 0)
        with Client(logged_in(settings, tmp_path, front.host), Silent(), HASTY) as client:
            client.push(images.image(content), target)
            layer = client.image(target, images.AMD64).layers[0]
            front.rules[0].times = 1
            with layer.open() as chunks:
                assert b"".join(chunks) == content
        assert [seen.authorization for seen in storage.seen] == [""]
        assert front.seen[-1].authorization.startswith("Basic ")


def test_an_upload_elsewhere_does_not_get_the_login(
    settings: Settings, private_registry: RunningRegistry, tmp_path: Path, repository: str
) -> None:
    """An upload's Location may be of another host: the bytes go there, the password doesn't."""
    with running_front(private_registry.host) as front, running_front() as storage:
        storage.on("PUT", answer(201), -1)
        front.on("POST .*uploads", answer(202, b"", Location=f"http://{storage.host}/bucket?signed=1"), -1)
        with Client(logged_in(settings, tmp_path, front.host), Silent(), HASTY) as client, pytest.raises(OutsideError):
            client.push(images.image(b"x"), Reference.parse(f"{front.host}/{repository}:v1"))
        assert storage.seen
        assert {seen.authorization for seen in storage.seen} == {""}
        assert all(seen.path.startswith("/bucket?signed=1&digest=sha256%3A") for seen in storage.seen)


# Below HTTP


def talker(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve connections with `speak` on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(1)
                    speak(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def ssh_server() -> Iterator[int]:
    """Serve what greets before it is asked."""
    yield from talker(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"))


def test_a_host_that_does_not_exist(settings: Settings) -> None:
    """A name that can't be looked up is said to be that. `.invalid` never exists (RFC 2606)."""
    with Client(settings, Silent(), HASTY) as client, pytest.raises(OutsideError, match=r"registry\.invalid") as caught:
        client.manifest(Reference.parse("registry.invalid/a:v1"))
    assert caught.value.id == "DARI-NETWORK-NAME"


def test_a_port_that_nobody_listens_on(client: Client) -> None:
    """A refused connection is said at once, with host, port and reason."""
    port = free_port()
    with pytest.raises(OutsideError, match=f"no connection on port {port} .Connection refused.") as caught:
        client.manifest(Reference.parse(f"127.0.0.1:{port}/a:v1"))
    assert caught.value.id == "DARI-NETWORK-CONNECT"


def test_a_server_that_is_not_http(client: Client, ssh_server: int) -> None:
    """Whatever listens there, it isn't a registry."""
    with pytest.raises(OutsideError) as caught:
        client.manifest(Reference.parse(f"127.0.0.1:{ssh_server}/a:v1"))
    assert caught.value.id in {"DARI-NETWORK-NOT-HTTP", "DARI-NETWORK-BROKEN"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that nobody knows."""
    folder = tmp_path_factory.mktemp("certificate")
    names = (folder / "cert.pem", folder / "key.pem")
    subprocess.run(
        (
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", names[1], "-out", names[0],
        ),
        check=True, capture_output=True,
    )  # fmt: skip
    return names


def test_a_certificate_is_checked_on_loopback_too(
    settings: Settings, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that speaks TLS is spoken to with TLS; its authority counts once SSL_CERT_FILE names it."""
    with running_registry(tmp_path / "tls", certificate=certificate) as running:
        target = Reference.parse(f"{running.host}/a:v1")
        with Client(settings, Silent(), HASTY) as client, pytest.raises(OutsideError, match="trusted") as caught:
            client.head(target)
        assert caught.value.id == "DARI-NETWORK-CERTIFICATE"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        with Client(settings, Silent(), HASTY) as client:
            client.push(images.image(BIG), target)
            assert pull(client, target) == (BIG,)


def test_plain_http_is_not_a_fall_back(settings: Settings, registry: RunningRegistry) -> None:
    """Only loopback and listed hosts may do without TLS; for any other name a failed handshake is the end."""
    port = registry.host.rpartition(":")[2]
    name = (
        f"{socket.gethostname()}:{port}"
        if _resolves_to_loopback(socket.gethostname())
        else f"localhost.localdomain:{port}"
    )
    if not _resolves_to_loopback(name.partition(":")[0]):
        pytest.skip("no other name of the loopback address on this machine")
    with Client(settings, Silent(), HASTY) as client, pytest.raises(OutsideError) as caught:
        client.head(Reference.parse(f"{name}/a:v1"))
    assert caught.value.id == "DARI-NETWORK-TLS"
    with Client(replace(settings, insecure_registries=(name,)), Silent(), HASTY) as client:
        assert client.head(Reference.parse(f"{name}/a:v1")) is None


def _resolves_to_loopback(name: str) -> bool:
    try:
        return socket.gethostbyname(name) == "127.0.0.1"
    except OSError:
        return False


def test_a_server_that_always_hangs_up_is_given_up(settings: Settings, target: Reference, front: Front) -> None:
    """Patience has an end: tries are counted, and the number is what was asked for."""
    front.on("HEAD", drop, -1)
    with Client(settings, Silent(), Patience(tries=2, first=0.001)) as client, pytest.raises(OutsideError) as caught:
        client.head(target)
    assert caught.value.temporary
    assert front.count("HEAD") == 2


def test_a_server_that_says_nothing_is_a_fault_that_may_pass(front: Front) -> None:
    """Silence past the request's patience is a timeout, and worth another try."""
    release = threading.Event()
    front.on("GET", hang(release))
    transport = Transport(connections=1)
    try:
        with pytest.raises(PassingError) as caught:
            transport.send(Request("GET", f"http://{front.host}/", "asking", patience=0.1))
    finally:
        release.set()
        transport.close()
    assert caught.value.error.id == "DARI-NETWORK-TIMEOUT"
