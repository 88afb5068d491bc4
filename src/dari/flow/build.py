"""Project → Image: locked, made, proved, published."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dari.errors import UsageError
from dari.flow.build_report import Built, build_report
from dari.flow.lock import locked, wanted_platforms
from dari.flow.parts import Base, Content, content
from dari.flow.prove import prove
from dari.flow.publish import publish, refuse_platforms
from dari.flow.session import Session
from dari.flow.sources import base_location, open_pinned
from dari.image import MOST_LAYERS_THAT_DOCKER_RUNS, assemble, group, make_layers
from dari.survey import read_project
from dari.values.config import ConfigChange
from dari.values.entry import LayerPlan, Part
from dari.values.lock import Lock, PlatformLock
from dari.values.platform import Platform
from dari.values.project import Project
from dari.values.reference import Location, Reference
from dari.values.report import Report

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


def build(request: BuildRequest, session: Session) -> Report:
    """Run the whole pipeline and tell what it did."""
    project = read_project(request.folder)
    destination = _destination(request, project)
    wanted = wanted_platforms(project, request.platforms)
    refuse_platforms(destination, wanted)
    outcome = locked(project, wanted, session, frozen=request.frozen)
    built = tuple(
        _built(project, outcome.lock, one, session) for one in outcome.lock.platforms if one.platform in wanted
    )
    published = publish(tuple(one.image for one in built), destination, session, complete=request.complete)
    return build_report(built, published, outcome)


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
    base = _base(project, lock, one, session)
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


def _base(project: Project, lock: Lock, one: PlatformLock, session: Session) -> Base:
    if one.manifest is None:
        return Base(None, None, session)
    location = base_location(project, lock.base)
    image = open_pinned(location, one.platform, session)
    if image.digest != one.manifest:
        raise UsageError(
            "DARI-BASE-CHANGED",
            f"opening the base {location}: it is {image.digest} now, dari.lock was made for {one.manifest}",
            hint="`dari lock --upgrade` locks it anew; review the change",
        )
    return Base(location, image, session)


def plans(parts: Content, room: int) -> tuple[LayerPlan, ...]:
    """Group parts into layers, what changes least lowest: Debian packages, wheels, then the project's files."""
    debian = (*parts.root, *parts.debs)
    system = (
        *([LayerPlan("debian packages", debian)] if debian else []),
        *(LayerPlan(part.name, (part,)) for part in (*parts.records, *parts.replaced)),
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
