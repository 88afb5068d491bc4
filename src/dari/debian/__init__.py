"""Debian packages as layer content, without dpkg or apt."""

from dari.debian.part import deb_part
from dari.debian.resolve import resolve
from dari.debian.root import root_links, root_part

__all__ = ["deb_part", "resolve", "root_links", "root_part"]
