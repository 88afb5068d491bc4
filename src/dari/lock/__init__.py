"""Locking: which wheels a project needs on top of a base, which the base gives, and the file that remembers it."""

from dari.lock.addresses import wheel_address
from dari.lock.digest import inputs_digest
from dari.lock.document import read_lock, write_lock
from dari.lock.resolve import resolve
from dari.lock.sdist import build_wheel, is_built
from dari.lock.workbench import Workbench

__all__ = [
    "Workbench",
    "build_wheel",
    "inputs_digest",
    "is_built",
    "read_lock",
    "resolve",
    "wheel_address",
    "write_lock",
]
