"""Wheels: what they would put into an image, and what they hold, without installing them."""

from dari.wheels.inspection import inspect_wheel
from dari.wheels.part import wheel_part

__all__ = ["inspect_wheel", "wheel_part"]
