"""`dari inspect`: what manifest and config alone say of an image."""

import dataclasses

from dari.bases import describe
from dari.flow.session import Session
from dari.flow.sources import open_image, platforms_of
from dari.survey import host_platform
from dari.values.amounts import bytes_text
from dari.values.fact import Known, Missing
from dari.values.platform import Platform
from dari.values.reference import Location
from dari.values.report import Report, Section


def inspect(location: Location, platform: Platform | None, session: Session) -> Report:
    """Read a few kB and say what the image is; each value with where it was read, or why it isn't known."""
    offered = platforms_of(location, session)
    wanted = platform or (host_platform() if host_platform() in offered or not offered else offered[0])
    image = open_image(location, wanted, session)
    facts = describe(image)
    rows = tuple(
        (field.name.replace("_", " "), *_cells(getattr(facts, field.name), is_size=field.name.endswith("size")))
        for field in dataclasses.fields(facts)
    )
    layers = tuple(
        (str(number), layer.descriptor.digest.short, bytes_text(layer.descriptor.size))
        for number, layer in enumerate(image.layers)
    )
    document = {
        "reference": str(location),
        "digest": str(image.digest),
        "platforms": [str(one) for one in offered] or [str(image.config.platform)],
        "size": image.size,
        "facts": {field.name: _json(getattr(facts, field.name)) for field in dataclasses.fields(facts)},
        "layers": [{"digest": str(layer.descriptor.digest), "size": layer.descriptor.size} for layer in image.layers],
        "annotations": dict(image.manifest.annotations),
    }
    return Report(
        "inspect",
        f"{location}  {image.digest}",
        document,
        (Section("", rows, ("fact", "value", "from")), Section("layers", layers, ("", "digest", "compressed"))),
    )


def _cells(fact: Known[object] | Missing, *, is_size: bool) -> tuple[str, str]:
    match fact:
        case Known(int(size), evidence) if is_size:
            return bytes_text(size), evidence
        case Known(value, evidence):
            return _text(value), evidence
        case Missing(reason):
            return "not known", reason


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _json(fact: Known[object] | Missing) -> dict[str, object]:
    match fact:
        case Known(value, evidence):
            return {"value": list(value) if isinstance(value, tuple) else value, "evidence": evidence}
        case Missing(reason, looked_at):
            return {"value": None, "reason": reason, "looked_at": list(looked_at)}
