"""Where a registry's name leads: which host, and TLS or not.

`docker.io` is a name only; its registry is registry-1.docker.io (distribution/reference, docker/distribution). TLS is
the rule. Loopback hosts and those listed as insecure may do without: dari begins a TLS handshake there, once, and
where the host can't answer it, speaks plain HTTP. Nothing is sent in that handshake, and a host that does speak TLS
is spoken to with TLS and its certificate checked as any other's.
"""

import re
import threading
from typing import Final

from dari.registry.wire import origin

_HOSTS: Final = {"docker.io": "registry-1.docker.io"}
_LOOPBACK: Final = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]")
_HANDSHAKE_SECONDS: Final = 3.0


class Hosts:
    """The addresses of registries, each found out once. Safe from several threads."""

    def __init__(self, insecure: tuple[str, ...]) -> None:
        self._insecure = frozenset(insecure)
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def address(self, registry: str) -> str:
        """Return `https://HOST[:PORT]` or `http://HOST[:PORT]`."""
        with self._lock:
            if registry not in self._known:
                host = _HOSTS.get(registry, registry)
                plain = self._may_be_plain(registry) and not _speaks_tls(f"https://{host}")
                self._known[registry] = f"{'http' if plain else 'https'}://{host}"
            return self._known[registry]

    def _may_be_plain(self, registry: str) -> bool:
        host = registry if registry.endswith("]") else registry.rpartition(":")[0] or registry
        return _LOOPBACK.fullmatch(host) is not None or registry in self._insecure or host in self._insecure


def _speaks_tls(url: str) -> bool:
    """Say whether a TLS handshake gets anywhere. A certificate that can't be trusted is one all the same."""
    import socket  # noqa: PLC0415 - only who sends loads it
    import ssl  # noqa: PLC0415 - likewise

    _, host, port = origin(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=_HANDSHAKE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except OSError:
        return False
