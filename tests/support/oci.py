"""Images for tests: entries from bytes, whole images from entries, and foreign programs to judge them."""

import io
import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft4Validator

from dari.image import MadeLayer, assemble, make_layers
from dari.system import Store
from dari.values.config import ConfigChange
from dari.values.entry import Entry, Kind, LayerPlan, Part
from dari.values.image import Image
from dari.values.media import Codec
from dari.values.platform import Platform
from dari.values.progress import Silent
from dari.values.reference import Layout

AMD64: Final = Platform("linux", "amd64")
ARM64: Final = Platform("linux", "arm64")
SCHEMAS: Final = Path("/usr/share/gocode/src/github.com/opencontainers/image-spec/schema")


def file(path: str, content: bytes = b"", mode: int = 0o644, **more: Any) -> Entry:
    """Return a file's entry over bytes at hand."""
    return Entry(path, Kind.FILE, mode, len(content), open=lambda: io.BytesIO(content), **more)


def part(name: str, entries: Iterable[Entry], key: str = "") -> Part:
    """Return a part of these entries; its key is its name unless said otherwise."""
    fixed = tuple(entries)
    return Part(name, key or name, sum(entry.size for entry in fixed), lambda: fixed)


def layer(store: Store, *parts: Part, codec: Codec = Codec.GZIP, workers: int = 2) -> MadeLayer:
    """Make one layer of these parts."""
    plan = LayerPlan(parts[0].name if parts else "nothing", parts)
    return make_layers([plan], codec=codec, store=store, progress=Silent(), workers=workers)[0]


def image(
    store: Store,
    *layers: Sequence[Entry],
    codec: Codec = Codec.GZIP,
    platform: Platform = AMD64,
    base: Image | None = None,
) -> Image:
    """Make an image of one layer for each group of entries, on `base` or nothing."""
    made = [
        layer(store, part(f"layer {number}", entries, repr([(e.path, e.size, e.mode) for e in entries])), codec=codec)
        for number, entries in enumerate(layers)
    ]
    return assemble(base, made, ConfigChange(), platform=platform, history=[one.title for one in made])


def host_shell() -> tuple[Entry, ...]:
    """Return this machine's /bin/sh with the libraries it loads: the smallest root that runs something."""
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    libraries = {word for word in listed.split() if word.startswith("/")}
    return tuple(
        file(path.lstrip("/"), Path(path).resolve().read_bytes(), 0o755) for path in sorted({"/bin/sh", *libraries})
    )


def blobs(layout: Layout) -> Iterator[Path]:
    """Yield the files of a layout's blobs."""
    yield from sorted(path for path in layout.path.glob("blobs/*/*") if path.is_file())


def unpacked(layout: Layout, bundle: Path) -> Path:
    """Unpack an image with umoci, which checks every digest; returns the bundle's root file system."""
    command = ["umoci", "unpack", "--image", f"{layout.path}:{layout.tag}", str(bundle)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return bundle / "rootfs"


def run_bundle(bundle: Path, *argv: str) -> str:
    """Run a command in a bundle that umoci unpacked, with runc; returns its output."""
    path = bundle / "config.json"
    config = json.loads(path.read_bytes())
    config["process"] |= {"terminal": False, "args": list(argv)}
    path.write_text(json.dumps(config))
    command = ["runc", "run", "--bundle", str(bundle), f"dari-test-{bundle.parent.name}-{bundle.name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@cache
def _registry() -> Any:
    from referencing import Registry  # noqa: PLC0415 - 100 ms that only the schema tests need
    from referencing.jsonschema import DRAFT4  # noqa: PLC0415

    def without_ids(document: Any) -> Any:
        """Drop the nested draft-04 ids, which break relative references between the files."""
        if isinstance(document, dict):
            kept = {k: v for k, v in document.items() if not (k in {"id", "$id"} and str(v).startswith("http"))}
            return {key: without_ids(value) for key, value in kept.items()}
        return [without_ids(value) for value in document] if isinstance(document, list) else document

    resources = (
        (path.name, DRAFT4.create_resource(without_ids(json.loads(path.read_bytes()))))
        for path in SCHEMAS.glob("*.json")
    )
    return Registry().with_resources(resources)


def check_schema(document: bytes, schema: str) -> None:
    """Check JSON against one of the image-spec's own schemas, such as 'image-manifest-schema.json'."""
    Draft4Validator({"$ref": schema}, registry=_registry()).validate(json.loads(document))
