"""The examples are projects as their readers take them."""

from pathlib import Path

import pytest

from dari.survey import project_parts, read_project
from dari.system import Store

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["llama3", "train"])
def test_an_example_is_a_project_without_secrets(name: str, store: Store) -> None:
    """Its dari.toml reads, and its files may go into an image."""
    parts = project_parts(read_project(EXAMPLES / name), store)
    assert [part.name for part in parts] == ["project files"]
    assert parts[0].size < 100_000


def test_llama3_asks_for_what_the_guide_asks_for() -> None:
    """The guide's requirements, one a line, in its order, and its base and Debian packages."""
    lines = (EXAMPLES / "llama3" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert " ".join(lines) == (
        "torch torchvision torchaudio transformers datasets accelerate evaluate tokenizers deepspeed mpi4py "
        "sentencepiece protobuf numpy<2 pandas tqdm pyyaml boto3 fsspec huggingface_hub psutil py-cpuinfo flash-attn"
    )
    project = read_project(EXAMPLES / "llama3")
    assert (project.base, project.apt) == ("nvcr.io/nvidia/pytorch:24.12-py3", ("git", "vim", "libgl1"))
    assert (project.lock.skip, project.lock.build) == (("torchaudio",), ("deepspeed",))


def test_train_starts_from_nothing() -> None:
    """The embedded default needs no base."""
    project = read_project(EXAMPLES / "train")
    assert (project.base, project.command) == ("scratch", ("python3", "train.py"))
