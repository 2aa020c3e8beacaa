"""What the stages of one run share: volume, time, device, and whom they tell."""

from __future__ import annotations

import math

from ..methods.propagation import Execution, Renewal
from .clock import Clock
from .control import Control
from .events import Emit
from .facts import Phase
from .foresight import Foresight
from .memory import propagating
from .plan import choose_device
from .progress import WHOLE, ProgressBar, Spans
from .request import TrainRequest
from .stack import SliceStack
from .threads import usable_cores
from .whole_volume import WholeVolume


class RunContext:
    """One run on a volume that the memory holds; for others there is `block_run.BlockContext`.

    Parameters
    ----------
    volume : WholeVolume
    request : TrainRequest
    emit : callable
        Receives every event.
    control : Control
        Pause and cancel.
    spans : mapping
        Parts of the progress bar, see `progress`.
    foresight : Foresight, optional
        How long proposing will take; by default nothing is known of that yet.
    spare : int
        Bytes that the run may use beyond what it needs.

    Raises
    ------
    TrainingError
        When the device is not there.
    """

    #: Bytes that the run keeps within, in blocks; None where the volume is in memory as a whole.
    memory: int | None = None

    def __init__(
        self,
        volume: WholeVolume,
        request: TrainRequest,
        emit: Emit,
        control: Control,
        spans: Spans = WHOLE,
        foresight: Foresight | None = None,
        spare: int = 0,
    ) -> None:
        self.volume, self.request, self.emit, self.control = volume, request, emit, control
        self.project = volume.project
        self.device = choose_device(request.device)
        self.clock = Clock(math.inf if request.update else request.seconds, control)
        self.foresight = foresight or Foresight()
        self.bar = ProgressBar(spans, emit)
        self._spare = spare
        #: Whether the time that is left is told.
        self.timed = request.preset != "reference" and not request.update

    @property
    def stack(self) -> SliceStack:
        """The volume as the stages see it."""
        return self.volume.stack

    def progress(self, phase: Phase, fraction: float) -> None:
        """Tell how much of a phase is done, in [0, 1]. Cancelled may be raised."""
        self.control.check()
        left = max(0.0, self.clock.left) if self.timed else None
        self.bar.tell(phase, fraction, left)

    def execution(self, renewal: Renewal | None = None, together: int = 1) -> Execution:
        """Return by what means labels are propagated: anew or as a `renewal`, some at a time."""
        workers = usable_cores() if self.device.type == "cpu" else 1
        return Execution(self.device, max(1, workers // together))

    @property
    def matched_together(self) -> int:
        """How many times labels can be propagated at a time, by cores and memory."""
        if self.device.type != "cpu":
            return 1
        each = propagating(self.stack.ink.numel(), self.stack.classes)
        return max(1, min(usable_cores(), 1 + self._spare // each))

    def begin_training(self) -> None:
        """Be told that a network is trained from here on."""

    def end_training(self) -> None:
        """Be told that no network is trained any more."""
