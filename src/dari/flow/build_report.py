"""What a build made and where it went, as a report."""

from dataclasses import dataclass

from dari.flow.lock import Locked
from dari.flow.lock_report import held_back
from dari.flow.publish import Publication
from dari.flow.push import push_document, push_rows
from dari.image import MadeLayer
from dari.values.amounts import bytes_text, plural
from dari.values.finding import Finding
from dari.values.image import Image
from dari.values.platform import Platform
from dari.values.reference import Archive, Layout, Reference
from dari.values.report import Report, Section


@dataclass(frozen=True, slots=True)
class Built:
    """One platform's image and which of its layers were made now."""

    platform: Platform
    image: Image
    layers: tuple[MadeLayer, ...]
    findings: tuple[Finding, ...]


def build_report(built: tuple[Built, ...], published: Publication, outcome: Locked) -> Report:
    """Tell what was made, from what, and where it went."""
    sections = tuple(_section(one) for one in built)
    pushed = (Section("push", push_rows(published.pushed)),) if published.pushed else ()
    document = {
        "location": str(published.location),
        "digest": str(published.digest),
        "lock_written": outcome.written,
        "sparse": published.sparse,
        "platforms": [_document(one) for one in built],
        "push": push_document(published.pushed) if published.pushed else None,
    }
    headline = f"{published.location}  {published.digest}"
    held = held_back(outcome.lock) if outcome.written else ()  # told when it is news; `dari lock` always tells
    findings = (*outcome.findings, *held, *(finding for one in built for finding in one.findings))
    return Report("build", headline, document, (*sections, *pushed), findings, _next_steps(published))


def _section(one: Built) -> Section:
    base = len(one.image.layers) - len(one.layers)
    referenced = ((plural(base, "base layer"), "", "referenced, not downloaded"),) if base else ()
    rows = tuple(
        (layer.title, bytes_text(layer.descriptor.size), "cached" if layer.cached else "made") for layer in one.layers
    )
    total = (("in all", bytes_text(one.image.size), f"{plural(len(one.image.layers), 'layer')}"),)
    return Section(str(one.platform), (*referenced, *rows, *total))


def _document(one: Built) -> dict[str, object]:
    return {
        "platform": str(one.platform),
        "digest": str(one.image.digest),
        "config": str(one.image.config.digest),
        "size": one.image.size,
        "base_layers": len(one.image.layers) - len(one.layers),
        "layers": [
            {
                "title": layer.title,
                "digest": str(layer.descriptor.digest),
                "diff_id": str(layer.diff_id),
                "size": layer.descriptor.size,
                "uncompressed": layer.uncompressed,
                "cached": layer.cached,
            }
            for layer in one.layers
        ],
    }


def _next_steps(published: Publication) -> tuple[str, ...]:
    """Say how to use what was made."""
    match published.location:
        case Reference():
            return (f"docker run --rm --gpus all {published.location}",)
        case Layout() if published.sparse:
            return (f"dari push {published.location} REGISTRY/REPOSITORY:TAG  # the base's layers come along",)
        case Layout():
            return (
                f"podman run --rm {published.location}",
                f"skopeo copy {published.location} docker-daemon:NAME:TAG && docker run --rm NAME:TAG",
                f"dari push {published.location} REGISTRY/REPOSITORY:TAG",
            )
        case Archive():
            return (f"docker load -i {published.location.path}",)
