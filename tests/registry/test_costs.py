"""What the room costs: memory while gigabytes flow, time where there is nothing to do, time to import."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dari.registry import Client
from dari.values.progress import Silent
from dari.values.reference import Reference
from dari.values.settings import Settings
from tests.registry import images
from tests.support.registry import RunningRegistry

ROOT = Path(__file__).parents[2]

# Pushes an image of one layer of 300 MB that is made as it flows, and reads it back, in a process of its own.
FLOW = """
import contextlib, hashlib, json, re, sys
from dataclasses import replace
from pathlib import Path
from dari.registry import Client
from dari.values.digest import Digest
from dari.values.manifest import Descriptor
from dari.values.progress import Silent
from dari.values.reference import Reference
from dari.values.settings import Settings
from tests.registry import images

CHUNK, COUNT = hashlib.shake_128(b"flow").digest(1 << 20), 300

def peak():  # ru_maxrss would tell of the process that started this one, too
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))

class Flowing:
    origin = None
    def __init__(self):
        running = hashlib.sha256()
        for _ in range(COUNT):
            running.update(CHUNK)
        self.diff_id = Digest("sha256", running.hexdigest())
        self.descriptor = Descriptor("application/vnd.oci.image.layer.v1.tar", self.diff_id, COUNT << 20)
    @contextlib.contextmanager
    def open(self):
        yield (CHUNK for _ in range(COUNT))

target = Reference.parse(sys.argv[2])
before = peak()
with Client(Settings(Path(sys.argv[1])), Silent()) as client:
    made = images.image_of((Flowing(),))
    report = client.push(made, target)
    with client.image(target, images.AMD64).layers[0].open() as chunks:
        count = sum(map(len, chunks))
after = peak()
print(json.dumps({"sent": report.sent_bytes, "read": count, "peak": after, "grown": after - before}))
"""


@pytest.mark.system
def test_a_layer_flows_and_is_not_held(registry: RunningRegistry, repository: str, tmp_path: Path) -> None:
    """Pushing and reading 300 MB takes the process to less than 80 MB in all, and adds less than 45."""
    argv = (sys.executable, "-c", FLOW, str(tmp_path), f"{registry.host}/{repository}:v1")
    result = json.loads(subprocess.run(argv, check=True, capture_output=True, cwd=ROOT).stdout)
    assert result["sent"] > result["read"] == 300 << 20
    assert result["peak"] < 80 << 10
    assert result["grown"] < 45 << 10


@pytest.mark.system
def test_nothing_to_do_is_done_at_once(registry: RunningRegistry, repository: str, tmp_path: Path) -> None:
    """A push of what is there takes less than 50 ms, connection included, once urllib3 is loaded."""
    target = Reference.parse(f"{registry.host}/{repository}:v1")
    made = images.image(b"x")
    with Client(Settings(tmp_path), Silent()) as client:
        client.push(made, target)
    took = []
    for _ in range(5):
        started = time.perf_counter()
        with Client(Settings(tmp_path), Silent()) as client:
            assert client.push(made, target).unchanged
        took.append(time.perf_counter() - started)
    assert min(took) < 0.05


def test_the_door_loads_no_http() -> None:
    """Importing the room loads neither urllib3 nor ssl nor http.client nor email: who doesn't send doesn't wait."""
    script = "import sys, dari.registry; print({'urllib3', 'ssl', 'http', 'email', 'socket'} & sys.modules.keys())"
    assert subprocess.run((sys.executable, "-c", script), check=True, capture_output=True).stdout == b"set()\n"
