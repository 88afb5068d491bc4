"""Debian packages as layer content, without dpkg or apt."""

from dari.debian.part import deb_part
from dari.debian.python import python_target
from dari.debian.resolve import resolve
from dari.debian.root import root_links, root_part
from dari.debian.status import judge, status_part

__all__ = ["deb_part", "judge", "python_target", "resolve", "root_links", "root_part", "status_part"]
