"""`dari validate`: a layout, checked whole."""

from dari.image import validate
from dari.values.amounts import plural
from dari.values.finding import Severity
from dari.values.reference import Layout
from dari.values.report import Report


def validate_layout(layout: Layout) -> Report:
    """Check every digest, size, diffID and tar entry of a layout."""
    findings = validate(layout)
    unsound = sum(finding.severity is Severity.ERROR for finding in findings)
    verdict = f"not valid: {plural(unsound, 'error')}" if unsound else "valid"
    document = {"path": str(layout.path), "valid": not unsound}
    return Report("validate", f"{layout}: {verdict}", document, findings=findings, exit_code=1 if unsound else 0)
