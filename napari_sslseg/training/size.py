"""Whether a volume fits into the memory as a whole, and if not, in which window it is worked on."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection
from dataclasses import dataclass

from ..volume.annotation import BACKGROUND
from ..volume.project import Project
from ..volume.sizes import spoken
from .memory import Need, default_budget
from .request import TrainRequest
from .stack import TrainingError, View
from .windowed import Survey, survey, window_around


@dataclass(frozen=True)
class Size:
    """How large a run is, and what it may take.

    Parameters
    ----------
    budget : int
        Bytes that the run may use.
    need : Need
    found : Survey, or None
        What is inked; None when the volume is small anyway.
    view : View, or None
        Window of the slices; None when the whole volume fits.
    """

    budget: int
    need: Need
    found: Survey | None = None
    view: View | None = None

    @property
    def fits(self) -> bool:
        """Whether the whole volume can be in memory at once."""
        return self.view is None


def allowed(request: TrainRequest) -> int:
    """Return the bytes that a run may use: what the user says, or half of what is free now."""
    return request.memory if request.memory is not None else default_budget()


def measure(
    project: Project,
    request: TrainRequest,
    workers: int,
    budget: int,
    taught: Collection[int] = (),
) -> Size:
    """Compare what a run needs with what it may use.

    Parameters
    ----------
    project : Project
    request : TrainRequest
    workers : int
        Threads that match slices.
    budget : int
        See `allowed`.
    taught : collection of int
        Classes that other volumes teach, which need not be inked here.

    Raises
    ------
    TrainingError
        When the memory does not suffice even in blocks, or the disk for what replaces it; says how
        much is needed and what to do.
    """
    info, axis = project.info, project.axis
    height, width = (n for i, n in enumerate(info.shape) if i != axis)
    trains = request.preset != "reference"

    def need(classes: int, view: View, references: int) -> Need:
        region = math.prod(span.stop - span.start for span in (view.rows, view.columns))
        size = (info.shape[axis], height * width, info.channels, classes, region, references)
        return Need(*size, trains, workers)

    everything = View(slice(0, height), slice(0, width), height, width)
    known = {BACKGROUND, *project.classes.ids, *taught}
    whole = need(len(known), everything, info.shape[axis])
    if whole.whole <= budget:
        return Size(budget, whole)
    found = survey(project.stored_ink(), axis)
    view = window_around(found, height, width)
    classes = len({BACKGROUND, *found.classes, *taught})
    # Slices next to the object, where the user says that it ends, are matched like references.
    closer = need(max(classes, 2), view, found.anchors + 2 * bool(project.extent))
    if closer.whole <= budget:
        return Size(budget, closer, found)
    if closer.least > budget:
        why = "as asked for" if request.memory is not None else "half of what is free"
        raise TrainingError(
            f"This volume needs {spoken(closer.least)} of memory even in blocks, and "
            f"{spoken(budget)} may be used ({why}); close other programs, allow more, or crop the "
            "image around the object."
        )
    free = shutil.disk_usage(project.path).free
    files = closer.disk + 6 * math.prod(info.shape)  # two versions of a proposal
    if files > free:
        raise TrainingError(
            f"This volume is worked on in blocks, for which {spoken(files)} must be free on the "
            f"disk of {project.path}, and {spoken(free)} are; make room, or crop the image."
        )
    return Size(budget, closer, found, view)
