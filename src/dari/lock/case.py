"""One resolution under way: what every step of it needs to know."""

from dataclasses import dataclass

from dari.lock.given import BasePython
from dari.lock.requirements import Requested
from dari.lock.uv import Uv
from dari.lock.workbench import Workbench
from dari.values.project import LockRules, Project
from dari.values.python import PythonTarget


@dataclass(frozen=True, slots=True)
class Case:
    """A project's requirements, the base they meet, and the means to resolve them."""

    project: Project
    target: PythonTarget
    base: BasePython
    requested: Requested
    bench: Workbench
    uv: Uv

    @property
    def rules(self) -> LockRules:
        """What the project decides about its requirements."""
        return self.project.lock
