"""A program's output, chunk by chunk, whatever way the program ends."""

import sys
import time

import pytest

from dari.errors import OutsideError
from dari.system import stream


def _python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_output_comes_in_chunks() -> None:
    """Three megabytes arrive whole, a megabyte at a time at most."""
    with stream(_python("import sys; sys.stdout.buffer.write(b'x' * (3 << 20))"), timeout=30) as chunks:
        lengths = [len(chunk) for chunk in chunks]
    assert (sum(lengths), max(lengths)) == (3 << 20, 1 << 20)


def test_a_program_that_isnt_there_is_an_error() -> None:
    """The name of the program is in the message."""
    with pytest.raises(OutsideError) as raised, stream(("no-such-program",), timeout=5):
        pass
    assert raised.value.id == "DARI-PROGRAM-MISSING"


def test_a_failure_comes_with_what_the_program_said() -> None:
    """Status and standard error, once the output is read."""
    code = "import sys; print('half'); print('no such image', file=sys.stderr); sys.exit(3)"
    with (
        pytest.raises(OutsideError, match="status 3: no such image") as raised,
        stream(_python(code), timeout=30) as chunks,
    ):
        list(chunks)
    assert raised.value.id == "DARI-PROGRAM-FAILED"


def test_a_program_without_end_is_ended() -> None:
    """Past its time a program is killed, and that is the error."""
    code = "import time; print('x', flush=True); time.sleep(60)"
    began = time.monotonic()
    with pytest.raises(OutsideError) as raised, stream(_python(code), timeout=0.5) as chunks:
        list(chunks)
    assert raised.value.id == "DARI-PROGRAM-TIMEOUT"
    assert time.monotonic() - began < 20


def test_leaving_early_ends_the_program() -> None:
    """Who has seen enough leaves the block; nothing keeps running, no error is made up."""
    began = time.monotonic()
    with stream(_python("import itertools\nfor _ in itertools.count(): print('x' * 1000)"), timeout=60) as chunks:
        next(chunks)
    assert time.monotonic() - began < 20
