"""Refusing several things at once: one error that shows the first and carries them all."""

from dari.errors import ConflictError
from dari.values.finding import Finding


def refusal(doing: str, findings: tuple[Finding, ...], *, detail: str = "") -> ConflictError:
    """Return the error for `findings` (one or more); its id and its ways out are the first one's."""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    hint = "; or ".join(findings[0].ways_out) + (f"\n{detail}" if detail else "")
    return ConflictError(findings[0].id, f"{doing}: {findings[0].message}{more}", hint=hint, findings=findings)
