"""What an object is likely to be like of which few slices show little: as in other volumes.

Frames lie around what the labelled slices and the matching show, and their resolution follows what
is thinnest there. Where those slices are an object's first and last one, a network that looks no
farther cuts off most of what lies between them, and looks at it more closely than needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.shape_prior import thinnest_radius
from ..methods.working_region import inked_objects
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from ..volume.project import ProjectError
from .pixel_size import pixel_of
from .stack import SliceStack, TrainingError
from .teachers import Teacher, Teachers

#: Slices of a volume in which the thinnest structure is looked for.
_SAMPLE = 12


@dataclass(frozen=True)
class ExpectedObject:
    """What others' objects are like, in pixels of the volume of the run.

    Parameters
    ----------
    rows, columns : float
        Largest extent.
    detail : float
        Radius of the thinnest structure; 0 if not known.
    """

    rows: float
    columns: float
    detail: float

    @classmethod
    def of(
        cls,
        teachers: Teachers,
        stack: SliceStack,
        check: Callable[[], object],
        missed: Callable[[str], object] = lambda name: None,
    ) -> ExpectedObject:
        """Look at the labelled slices of other volumes.

        Parameters
        ----------
        teachers : Teachers
        stack : SliceStack
            The volume of the run.
        check : callable
            Called before each volume; may raise.
        missed : callable
            Called with the name of each volume that cannot be used.
        """
        found = []
        for teacher in teachers.volumes:
            check()
            try:
                found.append(_look(teacher, stack))
            except (TrainingError, ProjectError, OSError):
                missed(teacher.project.info.name)
        rows, columns, details = zip(*found, strict=True) if found else ((0.0,), (0.0,), (0.0,))
        return cls(max(rows), max(columns), min((d for d in details if d > 0), default=0.0))

    def around(self, foreground: Tensor, ink: Tensor) -> Tensor:
        """Return where an object may be: with so much room around the middle of what is known.

        Parameters
        ----------
        foreground : Tensor, (1, H, W)
            Probability of anything but background, the largest over the slices.
        ink : Tensor, (Z, H, W) uint8

        Returns
        -------
        Tensor, (1, H, W)
            `foreground`, and 1 in the rectangle.
        """
        mask = (foreground[0] > 0.5) | inked_objects(ink)
        if not bool(mask.any()):
            return foreground
        spans = []
        for line, length in ((mask.any(1), self.rows), (mask.any(0), self.columns)):
            where = torch.nonzero(line).flatten()
            middle = (int(where[0]) + int(where[-1]) + 1) / 2
            spans.append(slice(max(0, round(middle - length / 2)), round(middle + length / 2)))
        found = foreground.clone()
        found[:, spans[0], spans[1]] = 1.0
        return found


def _look(teacher: Teacher, stack: SliceStack) -> tuple[float, float, float]:
    """Rows, columns and radius of the thinnest structure, of one volume's object."""
    project, axis = teacher.project, stack.axis
    ink = np.moveaxis(project.all_ink(), axis, 0)
    shown = np.zeros(ink.shape[1:], dtype=bool)
    with_object = []
    for z in teacher.whole:
        present = _present(ink[z])
        if present.any():
            with_object.append(z)
            shown |= present
    if not with_object:
        return 0.0, 0.0, 0.0
    scale = [
        n / own
        for n, own in zip(pixel_of(project.info.spacing, axis), stack.spacing[1:], strict=True)
    ]
    lengths = [float(np.ptp(np.flatnonzero(shown.any(axis=1 - i))) + 1) * scale[i] for i in (0, 1)]
    sample = with_object[:: max(1, len(with_object) // _SAMPLE)]
    labels = torch.from_numpy(np.stack([np.where(_present(ink[z]), ink[z], 0) for z in sample]))
    detail = thinnest_radius(labels, int(labels.max()) + 1) * min(scale)
    return lengths[0], lengths[1], detail


def _present(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (labels != BACKGROUND) & (labels != NOT_ANNOTATED)
    return found
