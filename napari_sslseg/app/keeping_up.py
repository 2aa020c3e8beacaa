"""Proposals that keep up with the user: made anew when a slice has become a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from ..training.events import Event, Failed, Finished, Started
from ..training.request import TrainRequest
from .listening import Listening
from .step import spoken_duration
from .training_run import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from .session import Session

#: Milliseconds from a slice that has become a reference to the update: somebody who accepts one
#: slice after the other is waited for, and the stroke or key that does it is over.
WAIT_MS = 1200

#: Seconds of an update above which the user is better served by choosing when to retrain.
SLOW = 40.0

#: The setting of a project, while it differs from what is usual.
SETTING = "keep_up"

MATCHING = "reference-guided"


class KeepingUp(QObject):
    """Starts an update of the proposals whenever other slices are references than before.

    Nothing is trained in an update: the references are matched anew and the network is heard as it
    is, which takes seconds. It makes room for any run that the user asks for.

    Parameters
    ----------
    session : Session
    request : callable
        Returns what the user would ask for now.
    parent : QObject
    """

    said = Signal(str)
    """Why it has stopped."""

    def __init__(
        self, session: Session, request: Callable[[], TrainRequest], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._request = session, request
        self._known = self._seen = self._references()
        self._stopped = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(WAIT_MS)
        self._timer.timeout.connect(self._begin)
        self._listening = Listening()
        self._listening.to(session.slices_changed, self._look)
        self._listening.to(session.training.state_changed, self._on_state)
        self._listening.to(session.training.said, self._on_event)

    @property
    def on(self) -> bool:
        """Whether the user wants it; on unless switched off, and kept with the project."""
        return bool(self._session.project.settings.get(SETTING, True))

    @on.setter
    def on(self, wanted: bool) -> None:
        project = self._session.project
        settings = {k: v for k, v in project.settings.items() if k != SETTING}
        project.settings = settings if wanted else {**settings, SETTING: False}
        self._session.save_head()
        self._stopped = False
        if wanted:
            self._look()
        elif self._session.training.updating:
            self._session.training.cancel()

    def end(self) -> None:
        """Start nothing more."""
        self._timer.stop()
        self._listening.end()
        self.deleteLater()

    def _references(self) -> tuple[int, frozenset[int]]:
        references = self._session.references
        return references.axis, frozenset(references.references())

    def _look(self) -> None:
        """See whether other slices are references than what is proposed was made from."""
        now, before = self._references(), self._seen
        self._seen = now
        if now[0] != self._known[0]:
            self._known = now  # along another axis others are, though nothing was inked
        if now == self._known:
            self._timer.stop()
        elif now != before or not self._timer.isActive():
            self._timer.start()

    def _begin(self) -> None:
        session = self._session
        if session.saving.closed:  # with its window
            return
        if session.history.drawing:
            self._timer.start()
            return
        # While a run is under way, it is looked at again when that is over.
        if self.on and not self._stopped and not session.training.busy and self._may():
            rounds = session.project.rounds
            wanted = self._request()
            preset = str(rounds[-1]["preset"]) if rounds else wanted.preset
            session.train(
                TrainRequest(preset, device=wanted.device, others=wanted.others, update=True)
            )

    def _may(self) -> bool:
        """Whether there are proposals to keep up, and references to make them from."""
        return MATCHING in self._session.proposals and not self._session.why_not_train()

    def _on_state(self, state: RunState) -> None:
        training = self._session.training
        if state is RunState.STARTING:
            self._known = self._seen = self._references()
            self._stopped &= training.update
        elif state is RunState.IDLE:
            self._look()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Started) and event.memory is not None:
            self._stopped = True  # in blocks it takes minutes
        if not self._session.training.update:
            return
        if isinstance(event, Failed):
            self._stopped = True
        elif isinstance(event, Finished) and event.seconds > SLOW:
            self._stopped = True
            taken = spoken_duration(event.seconds)
            self.said.emit(f"Proposing anew takes {taken} here; press Retrain when you want it.")
