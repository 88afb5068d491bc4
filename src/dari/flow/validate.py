"""`dari validate`: a layout, checked whole."""

from dari.image import validate
from dari.values.amounts import plural
from dari.values.reference import Layout
from dari.values.report import Report


def validate_layout(layout: Layout) -> Report:
    """Check every digest, size, diffID and tar entry of a layout."""
    findings = validate(layout)
    verdict = plural(len(findings), "finding") if findings else "valid"
    document = {"path": str(layout.path), "valid": not findings}
    return Report("validate", f"{layout}: {verdict}", document, findings=findings, exit_code=1 if findings else 0)
