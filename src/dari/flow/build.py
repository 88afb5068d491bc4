"""Project → Image: locked, made, proved, published."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dari.errors import UsageError
from dari.flow.lock import locked
from dari.flow.parts import Base, Content, content
from dari.flow.prove import prove
from dari.flow.publish import Publication, publish
from dari.flow.push import push_document, push_rows
from dari.flow.session import Session
from dari.flow.sources import open_pinned
from dari.image import MOST_LAYERS_THAT_DOCKER_RUNS, MadeLayer, assemble, group, make_layers
from dari.survey import read_project
from dari.values.amounts import bytes_text, plural
from dari.values.config import ConfigChange
from dari.values.entry import LayerPlan, Part
from dari.values.finding import Finding
from dari.values.image import Image
from dari.values.lock import Lock, PlatformLock
from dari.values.platform import Platform
from dari.values.project import Project
from dari.values.reference import Archive, Layout, Location, Reference, parse_location
from dari.values.report import Report, Section

LAYER_TARGET: Final = 96_000_000  # uncompressed bytes: even layers, six to eight of which go at once
_SHOWN: Final = 3  # wheels named in a layer's title
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What `dari build` was asked: `frozen` forbids writing dari.lock, `complete` stores the base's layers too."""

    folder: Path
    destination: Location | None = None
    platforms: tuple[Platform, ...] = ()
    frozen: bool = False
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """One platform's image and which of its layers were made now."""

    platform: Platform
    image: Image
    layers: tuple[MadeLayer, ...]
    findings: tuple[Finding, ...]


def build(request: BuildRequest, session: Session) -> Report:
    """Run the whole pipeline and tell what it did."""
    project = read_project(request.folder)
    destination = _destination(request, project)
    outcome = locked(project, request.platforms, session, frozen=request.frozen)
    lock = outcome.lock
    wanted = set(request.platforms or project.platforms) or {lock.platforms[0].platform}
    built = tuple(_built(project, lock, one, session) for one in lock.platforms if one.platform in wanted)
    published = publish(tuple(one.image for one in built), destination, session, complete=request.complete)
    return _report(built, published, written=outcome.written)


def _destination(request: BuildRequest, project: Project) -> Location:
    if request.destination:
        return request.destination
    if project.registry:
        return Reference.parse(f"{project.registry}:{project.tag or 'latest'}")
    raise UsageError(
        "DARI-NO-DESTINATION",
        "building: neither --to nor `registry` in the project says where the image goes",
        hint="for example --to oci:out/app, or --to REGISTRY/REPOSITORY:TAG",
    )


def _built(project: Project, lock: Lock, one: PlatformLock, session: Session) -> Built:
    location = parse_location(lock.base) if one.manifest else None
    base = Base(location, open_pinned(location, one.platform, session) if location else None, session)
    parts = content(project, one, base, session)
    findings = prove(project, parts, base, session)
    room = MOST_LAYERS_THAT_DOCKER_RUNS - (len(base.image.layers) if base.image else 0)
    layers = make_layers(
        plans(parts, room),
        codec=project.codec,
        store=session.store,
        progress=session.progress,
        workers=session.settings.workers,
    )
    image = assemble(
        base.image,
        layers,
        _change(project, base, session),
        platform=one.platform,
        history=tuple(f"dari: {layer.title}" for layer in layers),
        annotations=_annotations(lock, base),
    )
    return Built(one.platform, image, layers, findings)


def plans(parts: Content, room: int) -> tuple[LayerPlan, ...]:
    """Group parts into layers, what changes least lowest: Debian packages, wheels, then the project's files."""
    debian = (*parts.root, *parts.debs)
    system = (
        *([LayerPlan("debian packages", debian)] if debian else []),
        *(LayerPlan(part.name, (part,)) for part in parts.replaced),
    )
    files = tuple(LayerPlan(part.name, (part,)) for part in parts.files)
    wheels = group(parts.wheels, target=LAYER_TARGET, most=room - len(system) - len(files))
    return (*system, *(LayerPlan(_title(one), one) for one in wheels), *files)


def _title(parts: tuple[Part, ...]) -> str:
    """Name the first few wheels of a layer as 'name version'."""
    names = [" ".join(part.name.split("-")[:2]) for part in parts[:_SHOWN]]
    return "wheels: " + ", ".join(names) + (f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else "")


def _change(project: Project, base: Base, session: Session) -> ConfigChange:
    has_path = base.image is not None and "PATH" in base.image.config.environment
    created = datetime.fromtimestamp(session.settings.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ConfigChange(
        environment={**({} if has_path else {"PATH": DEFAULT_PATH}), **project.environment},
        labels=project.labels,
        command=project.command,
        entrypoint=project.entrypoint,
        working_directory=project.workdir or None,
        user=project.user,
        created=created,
    )


def _annotations(lock: Lock, base: Base) -> Mapping[str, str]:
    """Return the annotations of image-spec annotations.md that tell where the image comes from."""
    if not isinstance(base.location, Reference) or base.image is None:
        return {}
    return {
        "org.opencontainers.image.base.name": lock.base.partition("@")[0],
        "org.opencontainers.image.base.digest": str(base.image.digest),
    }


def _report(built: tuple[Built, ...], published: Publication, *, written: bool) -> Report:
    sections = tuple(_section(one) for one in built)
    pushed = (Section("push", push_rows(published.pushed)),) if published.pushed else ()
    document = {
        "location": str(published.location),
        "digest": str(published.digest),
        "lock_written": written,
        "sparse": published.sparse,
        "platforms": [_document(one) for one in built],
        "push": push_document(published.pushed) if published.pushed else None,
    }
    headline = f"{published.location}  {published.digest}"
    findings = tuple(finding for one in built for finding in one.findings)
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
            return (
                f"dari push {published.location} REGISTRY/REPOSITORY:TAG   (the base's layers are mounted or copied)",
            )
        case Layout():
            return (
                f"podman run --rm {published.location}",
                f"skopeo copy {published.location} docker-daemon:NAME:TAG && docker run --rm NAME:TAG",
                f"dari push {published.location} REGISTRY/REPOSITORY:TAG",
            )
        case Archive():
            return (f"docker load -i {published.location.path}",)
