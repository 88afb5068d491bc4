"""Wheels: what they would put into an image, and what they hold, without installing them."""

from dari.wheels.inspection import inspect_wheel
from dari.wheels.part import wheel_part
from dari.wheels.replacing import replaced_part

__all__ = ["inspect_wheel", "replaced_part", "wheel_part"]
