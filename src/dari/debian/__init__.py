"""Debian packages as layer content, without dpkg or apt."""

from dari.debian.resolve import resolve

__all__ = ["resolve"]
