"""OCI images with no engine: layers made, put on a base, written, read and checked."""

from dari.image.archive import read_archive, write_archive
from dari.image.assembly import MOST_LAYERS, MOST_LAYERS_THAT_DOCKER_RUNS, as_oci, assemble
from dari.image.grouping import group
from dari.image.layers import MadeLayer, make_layers
from dari.image.layout import write_layout
from dari.image.layout_reading import LayoutLayer, read_layout, read_layout_images, read_layout_index
from dari.image.validation import validate

__all__ = [
    "MOST_LAYERS",
    "MOST_LAYERS_THAT_DOCKER_RUNS",
    "LayoutLayer",
    "MadeLayer",
    "as_oci",
    "assemble",
    "group",
    "make_layers",
    "read_archive",
    "read_layout",
    "read_layout_images",
    "read_layout_index",
    "validate",
    "write_archive",
    "write_layout",
]
