"""The proof: nothing of ours replaces, removes or shadows the base's GPU stack, and every binary fits it."""

from dari.proof.binaries import check_binaries
from dari.proof.paths import check_paths

__all__ = ["check_binaries", "check_paths"]
