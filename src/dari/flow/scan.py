"""`dari bases scan`: a base's inventory, made once, kept, attached."""

from dataclasses import dataclass
from pathlib import Path

from dari.bases import annotations, encode, scan_archive_stream
from dari.errors import UsageError
from dari.flow.inventories import inventory_of, remember, scanned
from dari.flow.session import Session
from dari.flow.sources import open_image, pin
from dari.survey import host_platform
from dari.system import stream, write_atomically
from dari.values import media
from dari.values.amounts import bytes_text, plural
from dari.values.fact import Known
from dari.values.image import Image
from dari.values.inventory import Inventory
from dari.values.platform import Platform
from dari.values.reference import Location, Reference
from dari.values.report import Report, Section

_ENGINE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What `dari bases scan` was asked."""

    image: Location
    platform: Platform | None = None
    attach: bool = False
    file: Path | None = None
    engine: str | None = None
    again: bool = False


def scan_base(request: ScanRequest, session: Session) -> Report:
    """Get the inventory of a base and put it where it was asked to go."""
    location = pin(request.image, session) if isinstance(request.image, Reference) else request.image
    image = open_image(location, request.platform or host_platform(), session)
    inventory = _inventory(request, location, image, session)
    if request.file:
        write_atomically(request.file, encode(inventory))
    if request.attach:
        _attach(location, image, inventory, session)
    return _report(request, image, inventory)


def _inventory(request: ScanRequest, location: Location, image: Image, session: Session) -> Inventory:
    if request.engine:
        with stream(_saving(request.engine, str(request.image), image), timeout=_ENGINE_SECONDS) as chunks:
            found = scan_archive_stream(chunks, image, session.progress)
        return remember(found, session)
    return scanned(image, session) if request.again else inventory_of(image, location, session)


def _saving(engine: str, name: str, image: Image) -> tuple[str, ...]:
    """Return the command that prints the image as one tar.

    podman's usual format, Docker's, is refused for zstd layers ("zstd compression is not supported for docker
    images"); its OCI format takes them, by way of a copy in podman's own temporary folder.
    """
    zstd = any(media.layer_codec(layer.descriptor.media_type) is media.Codec.ZSTD for layer in image.layers)
    options = ("--format", "oci-archive", "--uncompressed") if engine == "podman" and zstd else ()
    return (engine, "save", *options, name)


def _attach(location: Location, image: Image, inventory: Inventory, session: Session) -> None:
    if not isinstance(location, Reference):
        raise UsageError(
            "DARI-ATTACH-WHERE",
            f"attaching an inventory to {location}: only images in a registry can carry one",
            hint="use --to FILE for a layout or an archive",
        )
    session.client.attach(
        location.at(image.digest),
        image.manifest.descriptor,
        artifact_type=media.DARI_INVENTORY,
        media_type=media.DARI_INVENTORY,
        content=encode(inventory),
        annotations=annotations(inventory),
    )


def _report(request: ScanRequest, image: Image, inventory: Inventory) -> Report:
    protected = [one for one in inventory.distributions if one.protected]
    rows = [
        ("system", f"{inventory.os_release.name} ({plural(len(inventory.packages), 'Debian package')})"),
        ("python", _python(inventory)),
        ("distributions", str(len(inventory.distributions))),
        ("GPU stack", ", ".join(f"{one.name} {one.version}" for one in protected) or "none"),
        ("GPU libraries", str(len(inventory.libraries))),
        ("protected paths", str(len(inventory.protected_paths))),
        ("pip constraints", str(len(inventory.constraints))),
    ]
    document = {
        "reference": str(request.image),
        "digest": str(image.digest),
        "platform": str(inventory.platform),
        "os": {"id": inventory.os_release.id, "version": inventory.os_release.version},
        "python": inventory.python.value.dotted if isinstance(inventory.python, Known) else None,
        "packages": [{"name": one.name, "version": one.version} for one in inventory.packages],
        "distributions": [
            {"name": one.name, "version": one.version, "protected": one.protected} for one in inventory.distributions
        ],
        "libraries": [one.path for one in inventory.libraries],
        "constraints": list(inventory.constraints),
        "protected_paths": len(inventory.protected_paths),
        "attached": request.attach,
    }
    headline = f"{request.image}  {image.digest.short}  {bytes_text(image.size)} compressed, none of it stored"
    return Report("bases-scan", headline, document, (Section("", tuple(rows)),))


def _python(inventory: Inventory) -> str:
    match inventory.python:
        case Known(target):
            return f"{target.dotted} at {target.interpreter}, glibc {'.'.join(map(str, target.glibc))}"
        case missing:
            return f"not known: {missing.reason}"
