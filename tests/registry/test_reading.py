"""Reading from a real registry: manifests, configs, layers, the cache, and what isn't there."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dari.errors import IntegrityError, OutsideError, UsageError
from dari.registry import Client
from dari.system import Store
from dari.values import media
from dari.values.digest import Digest
from dari.values.image import Image
from dari.values.manifest import Descriptor, Index, Manifest
from dari.values.platform import Platform
from dari.values.progress import Silent
from dari.values.reference import Reference
from dari.values.settings import Settings
from tests.registry import images
from tests.registry.conftest import HASTY
from tests.registry.front import Front
from tests.support.registry import RunningRegistry

pytestmark = pytest.mark.system


def bytes_of(image: Image) -> list[bytes]:
    """Read every layer."""
    contents = []
    for layer in image.layers:
        with layer.open() as chunks:
            contents.append(b"".join(chunks))
    return contents


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_what_was_pushed_is_read(docker: bool, client: Client, registry: RunningRegistry, repository: str) -> None:  # noqa: FBT001 - a case
    """Manifest, config and layers come back to the byte, in OCI's and in Docker's media types."""
    made = images.image(b"one", images.noise(3 << 20), b"", docker=docker)
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, target)
    read = client.image(target, images.AMD64)
    assert (read.manifest, read.config) == (made.manifest, made.config)
    assert bytes_of(read) == [b"one", images.noise(3 << 20), b""]
    assert {layer.origin for layer in read.layers} == {target.at(made.digest)}
    assert [layer.diff_id for layer in read.layers] == list(made.config.diff_ids)


def test_what_skopeo_pushed_is_read(client: Client, registry: RunningRegistry, repository: str, tmp_path: Path) -> None:
    """An image that a foreign tool converted and pushed (gzip layers) reads and verifies."""
    source = f"{registry.host}/{repository}:v1"
    client.push(images.image(images.noise(1 << 20)), Reference.parse(source))
    copy = ("skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", f"docker://{source}")
    subprocess.run((*copy, f"dir:{tmp_path}/d", "--dest-compress"), check=True)
    push = ("skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", f"dir:{tmp_path}/d")
    subprocess.run((*push, f"docker://{registry.host}/{repository}:v2", "--format", "v2s2"), check=True)
    read = client.image(Reference.parse(f"{registry.host}/{repository}:v2"), images.AMD64)
    assert read.manifest.media_type.startswith("application/vnd.docker")
    assert len(bytes_of(read)) == 1


def test_head_describes_without_reading(client: Client, registry: RunningRegistry, repository: str) -> None:
    """HEAD gives digest, size and media type; nothing there is None, not an error."""
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    assert client.head(target) is None
    made = images.image(b"x")
    client.push(made, target)
    assert client.head(target) == made.manifest.descriptor


def test_an_index_gives_the_image_of_the_platform(client: Client, registry: RunningRegistry, repository: str) -> None:
    """The entry for the platform is chosen; one that isn't there is named together with those that are."""
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    both = (images.image(b"amd", platform=images.AMD64), images.image(b"arm", platform=images.ARM64))
    index = Index.build(tuple(replace(one.manifest.descriptor, platform=one.config.platform) for one in both))
    client.push_index(index, both, target)
    assert client.image(target, images.ARM64).digest == both[1].digest
    assert client.manifest(target) == index
    with pytest.raises(UsageError, match="only for linux/amd64, linux/arm64") as caught:
        client.image(target, Platform("linux", "riscv64"))
    assert caught.value.id == "DARI-REGISTRY-PLATFORM"


def test_a_single_image_of_another_platform_is_refused(
    client: Client, registry: RunningRegistry, repository: str
) -> None:
    """An amd64 image isn't taken for arm64 because there was no index to choose from."""
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(images.image(b"x"), target)
    with pytest.raises(UsageError, match="not there for linux/arm64, only for linux/amd64"):
        client.image(target, images.ARM64)


def test_a_pinned_image_costs_no_network_the_second_time(
    settings: Settings, registry: RunningRegistry, front: Front, repository: str
) -> None:
    """What is named by digest comes from the cache, manifest and config, index and entry alike, even offline."""
    made = images.image(b"x")
    index = Index.build((replace(made.manifest.descriptor, platform=images.AMD64),))
    target = Reference.parse(f"{front.host}/{repository}:v1")
    with Client(settings, Silent(), HASTY) as client:
        client.push_index(index, (made,), target)
        pinned = target.at(index.digest)
        client.image(pinned, images.AMD64)
    front.seen.clear()
    with Client(replace(settings, offline=True), Silent()) as client:
        assert client.image(pinned, images.AMD64).digest == made.digest
    assert front.seen == []


def test_offline_a_tag_cannot_be_asked_for(settings: Settings) -> None:
    """A tag may have moved: only the registry knows, and the error says so before any connection is made."""
    with Client(replace(settings, offline=True), Silent()) as client:
        for ask in (client.head, client.manifest):
            with pytest.raises(OutsideError) as caught:
                ask(Reference.parse("127.0.0.1:1/a:b"))
            assert caught.value.id == "DARI-NETWORK-OFFLINE"


def test_a_rotten_cache_is_read_again(
    settings: Settings, client: Client, registry: RunningRegistry, repository: str
) -> None:
    """A cached manifest whose bytes changed is thrown away and fetched, never used."""
    made = images.image(b"x")
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, target)
    client.manifest(target)
    path = Store(settings.cache).path(made.digest)
    path.write_bytes(path.read_bytes().replace(b"config", b"CONFIG"))
    assert client.manifest(target.at(made.digest)) == made.manifest


@pytest.mark.parametrize("name", ["nowhere:v1", "nowhere@sha256:" + "0" * 64])
def test_what_is_not_there_is_the_users_to_correct(name: str, client: Client, registry: RunningRegistry) -> None:
    """An unknown tag, digest or repository is wrong use, with what to check."""
    with pytest.raises(UsageError, match="nowhere") as caught:
        client.manifest(Reference.parse(f"{registry.host}/{name}"))
    assert caught.value.id == "DARI-REGISTRY-TAG"
    assert caught.value.hint


def test_a_missing_blob_is_told_from_a_missing_image(
    client: Client, registry: RunningRegistry, repository: str
) -> None:
    """A manifest whose layer was deleted is the registry's fault, not the user's."""
    made = images.image(b"soon gone " + repository.encode())
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, target)
    digest = made.layers[0].descriptor.digest
    (registry.folder / f"storage/docker/registry/v2/blobs/sha256/{digest.hex[:2]}/{digest.hex}/data").unlink()
    with pytest.raises(OutsideError) as caught:
        bytes_of(client.image(target, images.AMD64))
    assert caught.value.id == "DARI-REGISTRY-BLOB"


def test_a_blob_larger_than_its_limit_is_not_begun(client: Client) -> None:
    """The descriptor says its size: nothing is asked of the registry."""
    huge = Descriptor("x", Digest.of(b""), 9 << 20)
    with pytest.raises(OutsideError) as caught:
        client.blob(Reference.parse("127.0.0.1:1/a:b"), huge, 8 << 20)
    assert caught.value.id == "DARI-REGISTRY-TOO-LARGE"


def test_a_layer_damaged_at_rest_is_found(client: Client, registry: RunningRegistry, repository: str) -> None:
    """A flipped byte in the registry's storage is an integrity error, and the last bytes never come out."""
    made = images.image(images.noise(2 << 20, repository))
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, target)
    digest = made.layers[0].descriptor.digest
    path = registry.folder / f"storage/docker/registry/v2/blobs/sha256/{digest.hex[:2]}/{digest.hex}/data"
    path.write_bytes(b"!" + path.read_bytes()[1:])
    got = 0
    with pytest.raises(IntegrityError) as caught, client.image(target, images.AMD64).layers[0].open() as chunks:  # noqa: PT012 - counting is the point
        for chunk in chunks:
            got += len(chunk)
    assert caught.value.id == "DARI-REGISTRY-DIGEST"
    assert got < 2 << 20


CONTRADICTIONS: dict[str, Callable[[Image], tuple[bytes, tuple[Descriptor, ...]]]] = {
    "a config that is not JSON": lambda made: (b"junk", made.manifest.layers),
    "a config that is a list": lambda made: (b"[]", made.manifest.layers),
    "fewer layers than diffIDs": lambda made: (made.config.raw, made.manifest.layers[:1]),
    "nested too deep": lambda made: (b'{"config":' * 100_000, made.manifest.layers),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_document_that_cannot_be_read_says_whose_it_is(
    case: str, client: Client, registry: RunningRegistry, repository: str
) -> None:
    """A broken or contradictory config is an error that names the image, never a traceback."""
    made = images.image(b"one", b"two")
    raw, layers = CONTRADICTIONS[case](made)
    config = replace(made.config, raw=raw)
    manifest = Manifest.build(Descriptor(media.OCI_CONFIG, Digest.of(raw), len(raw)), layers)
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(Image(manifest, config, made.layers), target)
    with pytest.raises(OutsideError, match=repository) as caught:
        client.image(target, images.AMD64)
    assert caught.value.id == "DARI-REGISTRY-DOCUMENT"


def test_an_artifact_is_not_an_image(client: Client, registry: RunningRegistry, repository: str) -> None:
    """What was attached to an image can't be taken for one."""
    made = images.image(b"one")
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    client.push(made, target)
    attached = client.attach(
        target, made.manifest.descriptor, artifact_type="a/b", media_type="text/plain", content=b"x"
    )
    with pytest.raises(UsageError, match="not an image but 'a/b'") as caught:
        client.image(target.at(attached.digest), images.AMD64)
    assert caught.value.id == "DARI-REGISTRY-ARTIFACT"
