"""What a registry answers where it doesn't do what it was asked, in the user's words.

Source of the codes: OCI distribution-spec, "Error Codes". The status decides; the codes and texts are only quoted.
"""

import json
from typing import Any, Final

from dari.errors import OutsideError, UsageError
from dari.registry.patience import PassingError
from dari.registry.wire import Answer

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
TOO_LARGE: Final = 413
TOO_MANY: Final = 429
_TEMPORARY: Final = frozenset({408, 425, 500, 502, 503, 504})
_LONGEST_QUOTE: Final = 300

Refusal = PassingError | OutsideError | UsageError


def refusal(answer: Answer, purpose: str, host: str, user: str = "") -> Refusal:
    """Name an answer that is not the one hoped for. `user` is who was logged in, where anyone was."""
    if passing := temporary_refusal(answer, purpose):
        return passing
    if answer.status == UNAUTHORIZED:
        return login_refused(purpose, host, user)
    if is_page(answer):
        return not_a_registry(purpose, host, answer.status)
    said = quoted(answer)
    if answer.status == FORBIDDEN:
        return OutsideError(
            "DARI-REGISTRY-DENIED",
            f"{purpose}: {host} doesn't allow it to {repr(user) if user else 'those who are not logged in'}{said}",
            hint=f"ask for the right, or log in as someone who has it: {login_command(host)}",
        )
    if answer.status == TOO_LARGE:
        return OutsideError(
            "DARI-REGISTRY-BLOB-LIMIT",
            f"{purpose}: {host} takes no upload of this size{said}",
            hint="raise the limit of the registry, or of the proxy before it (nginx: client_max_body_size)",
        )
    return OutsideError(
        "DARI-REGISTRY-ANSWER",
        f"{purpose}: {host} answered {answer.status}{said}",
        hint="see what the registry's own log says of this request",
    )


def temporary_refusal(answer: Answer, purpose: str) -> PassingError | None:
    """Return the fault where the server says that it may pass, else None."""
    if answer.status == TOO_MANY:
        return PassingError(
            OutsideError(
                "DARI-NETWORK-RATE",
                f"{purpose}: too many requests, says the server{quoted(answer)}",
                hint="wait a while, or log in: registries allow more to those they know",
                temporary=True,
            ),
            wish(answer),
        )
    if answer.status in _TEMPORARY:
        return PassingError(
            OutsideError(
                "DARI-NETWORK-BUSY",
                f"{purpose}: the server can't for the moment (status {answer.status}){quoted(answer)}",
                hint="try again in a while; what was transferred whole is kept",
                temporary=True,
            ),
            wish(answer),
        )
    return None


def login_refused(purpose: str, host: str, user: str) -> OutsideError:
    """Return the error of a login that is missing or wrong."""
    reason = f"{host} refuses the login of {user!r}" if user else f"{host} wants a login"
    return OutsideError("DARI-REGISTRY-LOGIN", f"{purpose}: {reason}", hint=f"log in: {login_command(host)}")


def login_command(host: str) -> str:
    """Return the command that logs in at `host`, so far as it is known."""
    before, ecr, after = host.partition(".dkr.ecr.")
    if ecr and before.isdigit():
        region = after.partition(".")[0]
        return (
            f"aws ecr get-login-password --region {region} | docker login --username AWS --password-stdin {host}"
            " (good for 12 hours)"
        )
    if host == "nvcr.io":
        return "docker login nvcr.io --username '$oauthtoken' (the password is an NGC API key)"
    return f"docker login {host} (or podman login)"


def not_a_registry(purpose: str, host: str, status: int) -> OutsideError:
    """Return the error of a server that sends pages for people."""
    return OutsideError(
        "DARI-REGISTRY-PAGE",
        f"{purpose}: {host} answered with a web page (status {status}), not as a registry does",
        hint="check the host; behind a proxy or a login page of the network, open it in a browser once",
    )


def is_page(answer: Answer) -> bool:
    """Say whether the body is HTML."""
    return answer.header("Content-Type").partition(";")[0].strip().lower() in {"text/html", "application/xhtml+xml"}


def wish(answer: Answer) -> float | None:
    """Return Retry-After in seconds (RFC 9110 §10.2.3: a number, or a date), or None."""
    text = answer.header("Retry-After").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    if not text:
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - rare
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rare, and slow to load

    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def codes(answer: Answer) -> frozenset[str]:
    """Return the error codes that the registry names (distribution-spec, "Error Codes")."""
    return frozenset(str(error.get("code")) for error in _errors(answer))


def quoted(answer: Answer) -> str:
    """Return what the registry says of its reasons, fit for one line; empty where it says nothing that can be read."""
    parts = [
        ": ".join(str(error[name]) for name in ("code", "message") if error.get(name)) for error in _errors(answer)
    ]
    text = "".join(character if character.isprintable() else " " for character in "; ".join(filter(None, parts)))
    return f" ({text[:_LONGEST_QUOTE]})" if text else ""


def _errors(answer: Answer) -> list[dict[str, Any]]:
    try:
        document = json.loads(answer.excerpt())
    except (ValueError, RecursionError):
        return []
    errors = document.get("errors") if isinstance(document, dict) else None
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
