"""Run dari."""
