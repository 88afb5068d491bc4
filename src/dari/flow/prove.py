"""The proof before publishing: nothing of ours shadows, replaces or deletes the base's GPU stack."""

import hashlib
from collections import defaultdict

from dari.errors import ConflictError
from dari.flow.parts import Base, Content
from dari.flow.session import Session
from dari.proof import check_paths
from dari.values.entry import Kind
from dari.values.finding import Finding, Severity
from dari.values.project import Project


def prove(project: Project, content: Content, base: Base, session: Session) -> tuple[Finding, ...]:
    """Check every path against the base; raises `ConflictError` (DARI-PROOF-FAILED) before anything is published.

    The verdict depends on the base and on the parts' names and paths alone, so it is remembered: an unchanged build
    opens no wheel and reads no inventory.
    """
    if base.image is None:
        return ()
    key = _key(project, content, base)
    if session.store.record("proof", key) is not None:
        return ()
    inventory = base.inventory
    if inventory is None:
        return ()
    paths: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for part in content.parts:
        paths[content.causes.get(part.name) or part.name] += tuple(
            entry.path + ("/" if entry.kind is Kind.DIRECTORY else "") for entry in part.entries()
        )
    findings = check_paths(paths, inventory, allow=project.lock.allow)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise ConflictError(
            "DARI-PROOF-FAILED",
            "the image would change the base's GPU stack",
            hint="each finding names its cause",
            findings=findings,
        )
    if not findings:
        session.store.remember("proof", key, b"untouched")
    return findings


def _key(project: Project, content: Content, base: Base) -> str:
    running = hashlib.sha256(f"{base.image.digest if base.image else ''} {project.lock.allow}".encode())
    for part in (*content.root, *content.debs, *content.records, *content.replaced, *content.wheels):
        running.update(part.key.encode() + b"\0")
    for part in content.files:
        for entry in part.entries():
            running.update(entry.path.encode("utf-8", "surrogateescape") + b"\0" + entry.kind.value.encode() + b"\0")
    return running.hexdigest()
