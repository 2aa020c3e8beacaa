"""The volumes of a project as the panel sees them: their states, adding, and proposing for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from ..training.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    VolumeBegun,
    VolumeFailed,
    VolumeProposed,
)
from ..training.request import BatchRequest, TrainRequest
from ..volume.cohort import Cohort, VolumeSummary, told_apart
from ..volume.project import ProjectError
from .background import in_background
from .live_summary import live_summary, name_in
from .next_volume import best_slice_elsewhere
from .training_run import TrainingRun
from .volume_adding import VolumeAdding, volumes_in

if TYPE_CHECKING:
    from ..acquisition.suggestion import Suggestion
    from .session import Session


#: Why another volume cannot be shown just now.
TRAINING = "Training is running on this volume; wait for it or cancel it first."


class CohortView(QObject):
    """Follows the session in view, and outlives it while another volume of its project is shown."""

    changed = Signal()
    """Volumes, their states, or what is being done with them."""
    working_changed = Signal()
    """A batch has begun or ended."""
    said = Signal(object)
    """Every `Event` of a batch."""
    trouble = Signal(str)
    switch_wanted = Signal(object)
    """Folder of a volume to show."""
    advice = Signal(str)
    """Where a correction would help most, and why."""
    reading = Signal(str)
    """What is being read to be added, empty when nothing is."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session: Session | None = None
        self.cohort: Cohort | None = None
        self.current = ""
        #: Key of the volume that the batch is at.
        self.at = ""
        self.working = False
        #: Volume and slice to show as soon as that volume is in view.
        self._wanted: tuple[str, int] | None = None
        self._summaries: dict[str, VolumeSummary] = {}
        #: Volumes whose summary was made while ink may have changed out of view.
        self._unsure: set[str] = set()
        #: How often each volume has made room for another one.
        self._left: dict[str, int] = {}
        self._run: TrainingRun | None = None
        self._adding: VolumeAdding | None = None

    # -- the session in view --------------------------------------------------------------

    def show(self, session: Session) -> None:
        """Follow a session; one of another project ends what is done for the one before."""
        cohort = Cohort(session.project.path)
        if self.cohort is None or self.cohort.path != cohort.path:
            self.end()
            self.cohort = cohort
        self.session = session
        self.current = cohort.key_of(session.project.path)
        session.class_editing.painted_elsewhere = self.painted_elsewhere
        session.rounds.busy_elsewhere = self._why_not_train
        session.slices_changed.connect(self._tell)
        session.proposals_changed.connect(self._tell)
        session.training.state_changed.connect(self._tell)
        session.activity.acted.connect(self._make_way)
        session.autosave.do(lambda: cohort.show(cohort.key_of(session.project.path)))
        if self.current:
            session.saving.share_classes = cohort.save_classes
            session.save_head()  # with classes that were met when it was opened
        for key in cohort.keys:
            if key != self.current and (key not in self._summaries or key in self._unsure):
                self.look(key)
        if self._wanted is not None and self._wanted[0] == self.current:
            session.go_to(self._wanted[1])
        self._wanted = None
        self.changed.emit()

    def leave(self) -> None:
        """Remember the volume in view, whose session makes room for another one."""
        if self.session is not None:
            self._summaries[self.current] = live_summary(self.session, self.current)
            self._unsure.add(self.current)
            self._left[self.current] = self._left.get(self.current, 0) + 1
        self.session = None

    def end(self) -> None:
        """Forget the project, which is closed, and end what is being done for it."""
        self.session = None
        if self._run is not None:
            self._run.close()
            self._run = None
        if self._adding is not None:
            self._adding.stop()
            self._adding = None
        self.cohort, self.current, self.at = None, "", ""
        self.working, self._wanted = False, None
        self._summaries, self._unsure = {}, set()
        self.changed.emit()

    # -- the volumes ----------------------------------------------------------------------

    def summaries(self) -> list[VolumeSummary]:
        """All volumes in their order, told apart; those still being read without numbers."""
        if self.cohort is None:
            return []
        found = []
        for key in self.cohort.keys:
            if key == self.current and self.session is not None:
                found.append(live_summary(self.session, key))
            else:
                found.append(self._summaries.get(key, VolumeSummary(key, key[4:] or "…")))
        return told_apart(found)

    def look(self, key: str) -> None:
        """Learn the state of a volume from disk, in a thread."""
        cohort, left = self.cohort, self._left.get(key, 0)
        if cohort is None:
            return

        def done(summary: VolumeSummary) -> None:
            if self.cohort is cohort:
                # A look from before the volume was in view knows nothing of what was painted then.
                if key != self.current and self._left.get(key, 0) == left:
                    self._summaries[key] = summary
                    self._unsure.discard(key)
                self.changed.emit()

        in_background(lambda: cohort.summary(key), done, self._fail, self)

    def painted_elsewhere(self, class_id: int, tell: Callable[[list[str]], object]) -> None:
        """Tell the names of the other volumes in which a class is painted.

        At once if that is known, else when those volumes have been read in a thread; not at all
        if another volume is in view by then.
        """
        cohort, session = self.cohort, self.session
        if cohort is None:
            return
        others = [key for key in cohort.keys if key != self.current]
        # The answer must be right.
        unread = [key for key in others if key not in self._summaries or key in self._unsure]

        def done(found: dict[str, VolumeSummary]) -> None:
            if self.cohort is not cohort or self.session is not session:
                return
            self._summaries.update(found)
            self._unsure.difference_update(found)
            known = [s for s in self.summaries() if s.key in others]
            tell([summary.name for summary in known if class_id in summary.painted])

        if not unread:
            done({})
            return
        in_background(lambda: {key: cohort.summary(key) for key in unread}, done, self._fail, self)

    def add(self, paths: Iterable[Path]) -> None:
        """Take files and folders into the project, one after another, in a thread."""
        session = self.session
        if self.cohort is None or session is None:
            return
        if self._adding is None:
            self._adding = VolumeAdding(self.cohort, self)
            self._adding.busy.connect(self.reading.emit)
            self._adding.added.connect(self.look)
            self._adding.over.connect(self._on_added)
        self._adding.add(paths, session.project.axis)

    def add_folder(self, folder: Path) -> None:
        """Take all volumes of a folder into the project."""
        in_background(lambda: volumes_in(folder), self.add, self._fail, self)

    def why_no_next(self) -> str:
        """Return why no slice of another volume is gone to now, empty when one may be."""
        if self.session is not None and self.session.training.asked_for:
            return TRAINING[0].lower() + TRAINING[1:]
        others = [s for s in self.summaries() if s.key != self.current]
        if not any(s.proposed for s in others):
            return "no other volume has a proposal yet."
        return ""

    def go_to_next_volume(self) -> None:
        """Go where a correction would help most in the other volumes."""
        cohort, current = self.cohort, self.current
        if cohort is None or self._not_now():
            return

        def found(best: Suggestion | None) -> None:
            # Training may have begun while all were looked through.
            if self.cohort is not cohort or self.current != current or self._not_now():
                return
            if best is None:
                self.trouble.emit(
                    "In the other volumes with a proposal that can be read, every slice of the "
                    "object is known."
                )
                return
            name = name_in(self.summaries(), best.volume, best.volume)
            self._wanted = (best.volume, best.index)
            self.advice.emit(f"{name}, slice {best.index}: {best.reason}.")
            self.switch_wanted.emit(cohort.folder(best.volume))

        in_background(lambda: best_slice_elsewhere(cohort, current), found, self._fail, self)

    def _fail(self, error: Exception) -> None:
        self.trouble.emit(str(error))

    def _not_now(self) -> bool:
        """Tell why no other volume is gone to now, if there is a reason."""
        reason = self.why_no_next()
        if reason:
            self.advice.emit(f"Not now: {reason}")
        return bool(reason)

    def stay(self, why: str = "") -> None:
        """Forget a slice of another volume that was to be shown, and tell why."""
        if self._wanted is not None:
            self._wanted = None
            self.advice.emit(why)

    def remove(self, key: str) -> None:
        """Take a volume without labels out of the project.

        Raises
        ------
        ProjectError
            When it has labels, or is in use.
        """
        if self.cohort is None:
            return
        if key == self.current:
            raise ProjectError("This volume is in view; switch to another one first.")
        if self.working:
            raise ProjectError("Proposals are being made; wait or cancel first.")
        self.cohort.remove(key)
        self._summaries.pop(key, None)
        self.changed.emit()

    # -- proposing for the others ---------------------------------------------------------

    def others(self) -> list[str]:
        """Keys of the volumes that a batch would propose for."""
        return [s.key for s in self.summaries() if s.key != self.current and not s.trouble]

    def why_not_propose(self) -> str:
        """Return what is missing for a batch, empty when nothing is."""
        session = self.session
        if session is None or self.cohort is None:
            return "start labelling a volume first."
        if not self.others():
            return "add another volume first."
        if session.training.asked_for:
            return "training is running; wait for it or cancel it first."
        if not any(s.teaches for s in self.summaries()):
            return "label a slice in one of the volumes first."
        return ""

    def propose(self, request: TrainRequest) -> None:
        """Propose for all other volumes in the trainer, as soon as all ink is saved."""
        session, cohort = self.session, self.cohort
        if session is None or cohort is None or self.working or self.why_not_propose():
            return
        if self._run is None:
            self._run = TrainingRun(cohort.path, self, again=False)
            self._run.said.connect(self._on_event)
        self._run.prepare(BatchRequest(request, tuple(self.others())))
        self._set_working(True)
        session.save_then(self._run.start_prepared, self._abandon)

    def cancel(self) -> None:
        """Stop within a second; proposals that are finished stay."""
        if self._run is not None:
            self._run.cancel()

    # -- inside ---------------------------------------------------------------------------

    def _make_way(self) -> None:
        if self._run is not None:
            self._run.make_way()

    def _tell(self, state: object = None) -> None:
        self.changed.emit()

    def _abandon(self) -> None:
        if self._run is not None:
            self._run.abandon()
        self._set_working(False)

    def _set_working(self, working: bool) -> None:
        self.working, self.at = working, ""
        self.working_changed.emit()
        self.changed.emit()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, VolumeBegun):
            self.at = event.volume
        elif isinstance(event, VolumeFailed):
            name = name_in(self.summaries(), event.volume, event.name)
            self.trouble.emit(f"{name}: {event.message}")
        elif isinstance(event, VolumeProposed):
            if self.session is not None and event.volume == self.current:
                self.session.shelf.bring_up(event.slugs)
            else:
                self.look(event.volume)
        elif isinstance(event, Finished | Cancelled | Failed):
            self._set_working(False)
        self.said.emit(event)
        if isinstance(event, VolumeBegun | VolumeProposed):
            self.changed.emit()

    def _why_not_train(self) -> str:
        if not self.working:
            return ""
        return "Proposals for other volumes are being made; wait, or cancel them in “Volumes”."

    def _on_added(self, troubles: list[str]) -> None:
        if troubles:
            self.trouble.emit("\n".join(troubles))
        self.changed.emit()
