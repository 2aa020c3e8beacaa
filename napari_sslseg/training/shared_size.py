"""Which volumes a network that learns from several can hold in the memory at once.

Such a network is not trained in blocks: image, ink and propagated labels of all the volumes that it
learns from are in memory as long as it learns, and each volume that it proposes for comes on top.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..volume.project import Project
from .facts import NoRoom
from .memory import NETWORK, PROGRAM, Need, default_budget
from .request import TrainRequest
from .threads import usable_cores
from .wording import left, needed


@dataclass
class SharedSize:
    """What a network that learns from several volumes takes, and what it may take.

    Parameters
    ----------
    budget : int
        Bytes that may be used.
    classes : int
        Background included.
    asked : bool
        Whether the user said how much may be used.
    """

    budget: int
    classes: int
    asked: bool = False
    _held: int = PROGRAM + NETWORK

    @classmethod
    def of(cls, request: TrainRequest, classes: int) -> SharedSize:
        """Return it for a request, before anything was read; `classes` counts the background."""
        if request.memory is None:
            return cls(default_budget(), classes)
        return cls(request.memory, classes, asked=True)

    def choose(self, projects: Iterable[Project]) -> tuple[list[Project], list[Project]]:
        """Return the volumes to learn from, and those for which there is no room beside them.

        Each of the former is counted as held in memory from now on. They are looked at in the order
        given: a later, smaller one may fit where an earlier one did not.
        """
        taken, left = [], []
        for project in projects:
            if self._fits(project):
                taken.append(project)
                # Of each voxel: image, ink, propagated labels and their weights.
                voxel = 4 * project.info.channels + 2 * self.classes + 3
                self._held += voxel * math.prod(project.info.shape)
            else:
                left.append(project)
        return taken, left

    def no_room(self, project: Project) -> NoRoom:
        """Return what a volume takes for which there is no room, and what is left for it, bytes."""
        left = max(0, self.budget - self._held)
        return NoRoom(project.info.name, self._working(project), left, self.budget, self.asked)

    def why_not_propose(self, project: Project) -> str:
        """Return why the network cannot propose for a volume, as a sentence; empty if it can."""
        if self._fits(project):
            return ""
        room = self.no_room(project)
        return (
            f"It needs {needed(room)} beside the volumes that the network learns from, and "
            f"{left(room)}; label some of its slices and train on it alone, which goes in blocks."
        )

    def _fits(self, project: Project) -> bool:
        return self._held + self._working(project) <= self.budget

    def _working(self, project: Project) -> int:
        """Bytes to match the references of a volume, or to propose for it, without the program."""
        info, axis = project.info, project.axis
        pixels = math.prod(n for i, n in enumerate(info.shape) if i != axis)
        depth = info.shape[axis]
        need = Need(depth, pixels, info.channels, self.classes, pixels, depth, True, usable_cores())
        return need.whole - PROGRAM - NETWORK
