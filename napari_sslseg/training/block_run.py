"""A run on a volume too large for the memory: the same stages, in blocks and files."""

from __future__ import annotations

from functools import partial

from ..methods.propagation import Execution, Renewal
from ..volume.project import Project
from .blocks import BlockVolume
from .clock import Clock
from .control import Control
from .events import Emit, Progress
from .facts import Phase
from .foresight import Unhurried
from .progress import BLOCKS_MATCHED, BLOCKS_TRAINED
from .request import TrainRequest
from .run_context import RunContext
from .size import Size
from .stack import SliceStack, View, outside_of
from .teachers import NOBODY, Teachers
from .threads import usable_cores
from .windowed import channel_scales, windowed_stack
from .workspace import Workspace

#: Folder in a project for temporary files, which have no name where the system allows that.
FOLDER = "work"


class BlockContext(RunContext):
    """One run within a budget of memory; made by `prepare`.

    The time that the user gives is spent on training; matching and proposing, which take their time
    on such a volume, come on top: they are not foreseen, and never late.

    Parameters
    ----------
    volume : BlockVolume
    request, emit, control
        See `RunContext`.
    """

    def __init__(
        self, volume: BlockVolume, request: TrainRequest, emit: Emit, control: Control
    ) -> None:
        spans = BLOCKS_MATCHED if request.preset == "reference" else BLOCKS_TRAINED
        super().__init__(volume, request, emit, control, spans, Unhurried())
        self.memory = volume.workspace.budget
        self._workspace = volume.workspace
        self.timed = False

    @classmethod
    def prepare(
        cls,
        project: Project,
        size: Size,
        request: TrainRequest,
        emit: Emit,
        control: Control,
        teachers: Teachers = NOBODY,
    ) -> BlockContext:
        """Open the volume of a project that does not fit into the memory.

        Parameters
        ----------
        project : Project
        size : Size
            One that does not fit: with `found` and `view`.
        request, emit, control
            See `RunContext`.
        teachers : Teachers
            The project's other volumes, as far as they teach.

        Raises
        ------
        TrainingError, ProjectError
            When the image cannot be trained on, or read, with one sentence for the user.
        Cancelled
            When the user cancels.
        OSError
            When the disk has no room for what replaces the memory.
        """
        assert size.found is not None
        assert size.view is not None
        found = size.found
        folder = project.path / FOLDER
        folder.mkdir(exist_ok=True)
        workspace = Workspace(folder, size.budget)
        emit(Progress(Phase.READING, 0.0))
        image, ink = project.image(), project.stored_ink()
        workspace.watch(image)

        def check() -> None:
            control.check()
            workspace.release()

        scales = channel_scales(image, project.info.channels, check)

        def cut(view: View) -> SliceStack:
            spacing = project.info.spacing
            return windowed_stack(
                image,
                ink,
                found,
                project.axis,
                spacing,
                view,
                scales,
                workspace,
                teachers.classes,
                outside_of(project.extent, found.objects),
            )

        return cls(BlockVolume(project, size.view, cut, workspace), request, emit, control)

    def execution(self, renewal: Renewal | None = None, together: int = 1) -> Execution:
        """Return by what means labels are propagated: on the processor, whatever trains."""
        phase = Phase.MATCHING if renewal is None else Phase.TESTING_MATCHING
        progress = partial(self.progress, phase)
        return Execution(workers=usable_cores(), storage=self._workspace, progress=progress)

    @property
    def matched_together(self) -> int:
        """One: each uses all cores, and files for which room was made once."""
        return 1

    def begin_training(self) -> None:
        """Begin to count the time that the user has given."""
        self.clock = Clock(self.request.seconds, self.control)
        self.timed = True

    def end_training(self) -> None:
        """Tell no more how much of it is left."""
        self.timed = False
