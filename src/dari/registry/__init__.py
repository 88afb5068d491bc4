"""Registries and downloads: the one room that talks HTTP."""

from dari.registry.client import Client
from dari.registry.downloads import Downloads
from dari.registry.patience import Patience
from dari.registry.pushing import PushReport

__all__ = ["Client", "Downloads", "Patience", "PushReport"]
