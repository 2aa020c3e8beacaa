"""Training rounds: whether one can begin, beginning it with all ink saved, and beginning anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QTimer

from .training_run import TrainingRun

if TYPE_CHECKING:
    from ..training.events import Event
    from ..training.request import TrainRequest
    from ..volume.project import Project
    from .autosave import Autosave
    from .reference_layer import ReferenceLayer
    from .retraining import Retraining

#: Seconds that a run gets to end in when another one waits for its process: a new process takes
#: longer to import torch.
MAKE_ROOM = 5.0


class Rounds:
    """Starts the trainer on a project.

    Parameters
    ----------
    project : Project
    references : ReferenceLayer
    retraining : Retraining
        Follows what the trainer says.
    autosave : Autosave
        Nothing is trained on before it is saved.
    """

    def __init__(
        self,
        project: Project,
        references: ReferenceLayer,
        retraining: Retraining,
        autosave: Autosave,
    ) -> None:
        self._project, self._references = project, references
        self._retraining, self._autosave = retraining, autosave
        self.run = TrainingRun(project.path)
        #: Whether the user has painted since the last run began.
        self.new_ink = True
        #: Why the trainer is not to be started now, empty when it may.
        self.busy_elsewhere: Callable[[], str] = str
        self._restart: TrainRequest | None = None
        self._closed = False
        self.run.said.connect(self.follow)
        retraining.ended.connect(self._on_ended)

    def why_not(self) -> str:
        """Return what is missing for training, empty when nothing is."""
        if reason := self.busy_elsewhere():
            return reason
        references = self._references.references()
        if not references and not self._references.partial():
            return "Label a slice first: paint it, then press “Mark this slice as reference”."
        classes = self._project.classes
        if len(classes) == 0:
            return "Add a class first."
        known = np.isin(np.asarray(classes.ids), self._references.index.painted())
        if not known.any():
            return "Paint at least one class; background alone teaches nothing."
        return ""

    def begin(self, request: TrainRequest) -> None:
        """Start the trainer as soon as all ink is saved; both off the GUI thread.

        An update that is under way makes room.

        Raises
        ------
        RuntimeError
            When another run is under way.
        """
        if self.run.updating and not request.update:
            self.restart(request)
            return
        self.run.prepare(request)
        if request.update:
            self._retraining.begin_update()
        else:
            self.new_ink = False
            self._retraining.begin(request, self._references.references())
        self._autosave.flush_then(self.run.start_prepared, self.run.abandon)

    def restart(self, request: TrainRequest) -> None:
        """Stop the run that is under way, and start anew with all the ink there is now."""
        if not self.run.busy:
            self.begin(request)
            return
        self._restart = request
        self.run.cancel(MAKE_ROOM)

    def follow(self, event: Event) -> None:
        """Act on what the trainer says."""
        self._retraining.follow(event)

    def close(self) -> None:
        """End the trainer."""
        self._closed = True
        self.run.close()

    def _on_ended(self) -> None:
        if self._restart is not None and not self._closed:
            request, self._restart = self._restart, None
            # The run is over for all who listen before the next one begins.
            QTimer.singleShot(0, lambda: self._begin_again(request))

    def _begin_again(self, request: TrainRequest) -> None:
        if not self._closed and not self.run.busy:
            self.begin(request)
