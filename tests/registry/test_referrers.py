"""What refers to an image: attached and listed, with the registry's own list and without."""

import json
import threading

import pytest

from dari.errors import UsageError
from dari.registry import Client
from dari.values import media
from dari.values.digest import Digest
from dari.values.manifest import Descriptor, Index, Manifest
from dari.values.progress import Silent
from dari.values.reference import Reference
from dari.values.settings import Settings
from tests.registry import images
from tests.registry.conftest import HASTY
from tests.registry.front import Front, Handler, answer, forward
from tests.support.registry import RunningRegistry

pytestmark = pytest.mark.system

KIND = media.DARI_INVENTORY


def attach(client: Client, pinned: Reference, subject: Descriptor, content: bytes, kind: str = KIND) -> Descriptor:
    """Attach some JSON."""
    return client.attach(
        pinned, subject, artifact_type=kind, media_type=kind, content=content, annotations={"org.example.note": "n"}
    )


def test_what_is_attached_is_listed_and_read(client: Client, registry: RunningRegistry, repository: str) -> None:
    """docker-registry 2.8 has no referrers API: the list lies under the tag sha256-HEX, as the spec has it."""
    made = images.image(b"x")
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, target)
    pinned = target.at(made.digest)
    assert client.referrers(pinned) == ()
    first = attach(client, pinned, made.manifest.descriptor, b'{"scan":1}')
    other = attach(client, pinned, made.manifest.descriptor, b"sig", "application/vnd.example.signature")
    assert client.referrers(pinned) == (first, other)
    assert client.referrers(pinned, KIND) == (first,)
    index = client.manifest(Reference(registry.host, repository, f"sha256-{made.digest.hex}"))
    assert isinstance(index, Index)
    assert index.manifests == (first, other)
    artifact = client.manifest(pinned.at(first.digest))
    assert isinstance(artifact, Manifest)
    assert (artifact.subject, artifact.artifact_type) == (made.manifest.descriptor, KIND)
    assert artifact.config.media_type == media.OCI_EMPTY
    assert client.blob(pinned, artifact.layers[0], 1000) == b'{"scan":1}'


def test_attaching_twice_is_attaching_once(client: Client, registry: RunningRegistry, repository: str) -> None:
    """The same artifact has the same digest and stands in the list once."""
    made = images.image(b"x")
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, target)
    pinned = target.at(made.digest)
    first = attach(client, pinned, made.manifest.descriptor, b"{}")
    assert attach(client, pinned, made.manifest.descriptor, b"{}") == first
    assert client.referrers(pinned) == (first,)


def test_attaching_side_by_side_loses_nothing(settings: Settings, registry: RunningRegistry, repository: str) -> None:
    """The list is read again after it was written: an entry that somebody else's write lost is entered again."""
    made = images.image(b"x")
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    pinned = target.at(made.digest)
    with Client(settings, Silent(), HASTY) as client:
        client.push(made, target)
        threads = [
            threading.Thread(target=attach, args=(client, pinned, made.manifest.descriptor, str(number).encode()))
            for number in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(client.referrers(pinned)) >= 1


def test_a_registry_with_its_own_list_is_asked_page_by_page(settings: Settings, front: Front, repository: str) -> None:
    """The API's answer is used, over its pages, and filtered here where the registry doesn't filter."""
    made = images.image(b"x")
    pinned = Reference.parse(f"{front.host}/{repository}@{made.digest}")
    entries = [
        Descriptor(media.OCI_MANIFEST, Digest.of(name), 1, artifact_type=kind)
        for name, kind in ((b"a", KIND), (b"b", "other"), (b"c", KIND))
    ]
    pages = [Index.build(tuple(entries[:2])).raw, Index.build(tuple(entries[2:])).raw]
    path = f"/v2/{repository}/referrers/{made.digest}"
    front.on(r"GET .*referrers/.*last=2", answer(200, pages[1], Content_Type=media.OCI_INDEX), -1)
    front.on(r"GET .*referrers/", answer(200, pages[0], Link=f'<{path}?last=2>; rel="next"'), -1)
    with Client(settings, Silent(), HASTY) as client:
        assert client.referrers(pinned, KIND) == (entries[0], entries[2])
        assert len(client.referrers(pinned)) == 3


def test_a_registry_with_its_own_list_gets_no_tag(settings: Settings, front: Front, repository: str) -> None:
    """A registry that answers OCI-Subject keeps the list itself."""
    made = images.image(b"x")
    target = Reference.parse(f"{front.host}/{repository}:v1")

    def subject(handler: Handler) -> None:
        send, handler.end_headers = handler.end_headers, lambda: None  # type: ignore[method-assign] # one more header

        def end() -> None:
            handler.send_header("OCI-Subject", str(made.digest))
            send()

        handler.end_headers = end  # type: ignore[method-assign] # as above
        forward(handler)
        handler.end_headers = send  # type: ignore[method-assign] # as above

    with Client(settings, Silent(), HASTY) as client:
        client.push(made, target)
        front.on("PUT .*manifests/sha256:", subject, -1)
        attach(client, target.at(made.digest), made.manifest.descriptor, b"{}")
    assert front.count(f"manifests/sha256-{made.digest.hex}") == 0


def test_only_a_digest_can_be_referred_to(client: Client) -> None:
    """A tag may move; the error says how to write it."""
    with pytest.raises(UsageError) as caught:
        client.referrers(Reference.parse("127.0.0.1:1/a:b"))
    assert caught.value.id == "DARI-REGISTRY-SUBJECT"


def test_the_list_is_what_the_spec_says(client: Client, registry: RunningRegistry, repository: str) -> None:
    """The artifact's annotations and type stand in its descriptor (distribution-spec, "Referrers Tag Schema")."""
    made = images.image(b"x")
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, target)
    attach(client, target.at(made.digest), made.manifest.descriptor, b"{}")
    document = json.loads(client.manifest(target.tagged(f"sha256-{made.digest.hex}")).raw)
    assert document["mediaType"] == media.OCI_INDEX
    assert document["manifests"][0]["artifactType"] == KIND
    assert document["manifests"][0]["annotations"] == {"org.example.note": "n"}
