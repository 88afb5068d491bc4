"""Running a program for its output, chunk by chunk: what it prints may be larger than memory and disk."""

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator
from typing import IO, Final

from dari.errors import OutsideError

_CHUNK: Final = 1 << 20
_LONGEST_COMPLAINT: Final = 2000


@contextlib.contextmanager
def stream(argv: tuple[str, ...], *, timeout: float) -> Iterator[Iterator[bytes]]:
    """Run a program and give its standard output in chunks; it is ended when the block is left.

    Raises `OutsideError`: DARI-PROGRAM-MISSING where it isn't there, DARI-PROGRAM-TIMEOUT past `timeout` seconds,
    DARI-PROGRAM-FAILED, at the end of its output, where it ends with another status than 0.
    """
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints)
        except FileNotFoundError as error:
            raise OutsideError("DARI-PROGRAM-MISSING", f"running {argv[0]!r}: there is no such program") from error
        expired = threading.Event()
        timer = threading.Timer(timeout, _expire, (process, expired))
        timer.start()
        try:
            yield _chunks(process, argv[0], complaints, expired)
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def _expire(process: "subprocess.Popen[bytes]", expired: threading.Event) -> None:
    expired.set()
    process.kill()


def _chunks(
    process: "subprocess.Popen[bytes]", name: str, complaints: IO[bytes], expired: threading.Event
) -> Generator[bytes, None, None]:
    output = process.stdout
    while output and (chunk := output.read(_CHUNK)):
        yield chunk
    status = process.wait()
    if expired.is_set():
        raise OutsideError("DARI-PROGRAM-TIMEOUT", f"running {name!r}: it took too long", temporary=True)
    if status:
        complaints.seek(0)
        said = complaints.read(_LONGEST_COMPLAINT).decode("utf-8", "replace").strip()
        raise OutsideError("DARI-PROGRAM-FAILED", f"running {name!r}: it ended with status {status}: {said}")
