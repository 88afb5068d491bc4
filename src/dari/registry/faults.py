"""What goes wrong on the network, in the user's words: which faults may pass, and which won't."""

from dari.errors import OutsideError, UsageError
from dari.registry.patience import PassingError
from dari.registry.wire import Request, origin, shown


def network_fault(error: Exception, request: Request) -> PassingError | OutsideError | UsageError:
    """Name what urllib3 raised while `request` was under way."""
    from urllib3 import exceptions  # noqa: PLC0415 - loaded already by whoever sends; not for who imports the room

    host = origin(request.url)[1]
    where = f"{request.purpose}: {host}"
    match error:
        case exceptions.NameResolutionError():
            return OutsideError(
                "DARI-NETWORK-NAME",
                f"{where} is not a name that can be looked up",
                hint="check the spelling, and that this machine has a network and a name server",
                temporary=True,
            )
        case exceptions.NewConnectionError():
            return OutsideError(
                "DARI-NETWORK-CONNECT",
                f"{where} takes no connection on port {origin(request.url)[2]} ({_reason(error)})",
                hint=f"check that {shown(request.url)} is the right address and that its server runs",
                temporary=True,
            )
        case exceptions.TimeoutError():
            return PassingError(
                OutsideError(
                    "DARI-NETWORK-TIMEOUT",
                    f"{where} stayed silent for too long",
                    hint="try again; what was transferred whole is kept",
                    temporary=True,
                )
            )
        case exceptions.SSLError():
            return _tls_fault(error, where)
        case exceptions.LocationValueError() | UnicodeError():
            return UsageError("DARI-NETWORK-ADDRESS", f"{request.purpose}: {shown(request.url)!r} is not an address")
        case _:
            return _broken(error, where)


def offline(request: Request) -> OutsideError:
    """Return the error of a run that may not use the network, and would have to."""
    return OutsideError(
        "DARI-NETWORK-OFFLINE",
        f"{request.purpose}: it is not in the cache, and this run may not use the network",
        hint="run once without --offline, then again with it",
    )


def _tls_fault(error: Exception, where: str) -> PassingError | OutsideError:
    import ssl  # noqa: PLC0415 - as above

    cause = next((part for part in error.args if isinstance(part, ssl.SSLError)), error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return OutsideError(
            "DARI-NETWORK-CERTIFICATE",
            f"{where} shows a certificate that can't be trusted: {cause.verify_message}",
            hint="if its authority is your own, point SSL_CERT_FILE to a bundle that has it",
        )
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _broken(cause, where)
    return OutsideError(
        "DARI-NETWORK-TLS",
        f"{where} doesn't speak TLS as it should ({getattr(cause, 'reason', None) or _reason(error)})",
        hint="if this registry speaks plain HTTP, name it with --insecure-registry HOST:PORT",
    )


def _broken(error: BaseException, where: str) -> PassingError | OutsideError:
    from http.client import BadStatusLine, RemoteDisconnected  # noqa: PLC0415 - as above

    if any(isinstance(cause, BadStatusLine) and not isinstance(cause, RemoteDisconnected) for cause in error.args):
        return OutsideError(
            "DARI-NETWORK-NOT-HTTP",
            f"{where} answered with something that is not HTTP",
            hint="check the host and the port",
        )
    return PassingError(
        OutsideError(
            "DARI-NETWORK-BROKEN",
            f"{where} broke the connection off ({_reason(error)})",
            hint="try again; what was transferred whole is kept",
            temporary=True,
        )
    )


def _reason(error: BaseException) -> str:
    """Say the innermost reason in a few words; urllib3 wraps the system's error in its own, with object addresses."""
    cause: BaseException = error
    while inner := cause.__cause__ or next((part for part in cause.args if isinstance(part, BaseException)), None):
        cause = inner
    words = getattr(cause, "strerror", None) or type(cause).__name__
    return str(words)
