"""Explanations of ids, a file a room (data only)."""
