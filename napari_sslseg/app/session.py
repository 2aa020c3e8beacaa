"""A session: one project and its layers in one viewer.

The panel talks to the session, the session to layers, project folder and trainer. It holds no
widget, and every method returns at once: what takes time runs in a thread or the trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from ..acquisition.suggestion import Suggestion
from ..training.events import Estimated
from ..training.request import TrainRequest
from ..volume.classes import ClassTable, SegmentClass
from ..volume.project import Project
from .accepting import Accepting
from .activity import Activity
from .class_editing import ClassEditing
from .class_look import ClassLook
from .class_meeting import ClassMeeting
from .click_tools import ClickTools
from .cursor_facts import CursorFacts
from .final_labels import labels_maker
from .history import History, Step
from .known_slices import KnownSlices
from .last_word import LastWord
from .mending import Mender
from .object_extent import ObjectExtent
from .proposal_choice import keep_choice
from .proposal_shelf import ProposalShelf
from .putting_back import PuttingBack
from .reference_layer import ReferenceLayer
from .region_tour import RegionTour
from .retraining import Retraining
from .rounds import Rounds
from .saving import Saving
from .shown_slice import show_slice
from .slice_index import SliceIndex, index_slices
from .suggesting import suggest
from .training_run import TrainingRun
from .unlinking import Unlinking

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image

    from .autosave import Autosave
    from .proposal_layer import ProposalLayer
    from .region_view import RegionView


class Session:
    """One project, shown in a viewer.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        The layer that shows the project's image.
    project : Project
    ink : ndarray of uint8
        The user's ink, as loaded from the project (or adopted from a layer).
    index : SliceIndex, optional
        Of the ink along the project's axis; made here when missing, which takes time.
    """

    slices_changed = Signal()
    classes_changed = Signal()
    proposals_changed = Signal()
    shares_changed = Signal(str, dict)
    estimate_changed = Signal(str, object)
    saved = Signal(float)
    trouble = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        project: Project,
        ink: npt.NDArray[np.uint8],
        index: SliceIndex | None = None,
    ) -> None:
        self.viewer = viewer
        self.image = image
        self.project = project
        self._closed = False
        index = index or index_slices(ink, project.axis)
        self.history = History(lambda: (project.axis, self.references.current_slice()))
        self.references = ReferenceLayer(viewer, image, ink, project.classes, index, self.history)
        self.shelf = ProposalShelf(viewer, image, project, self.references, self.history)
        self.saving = Saving(project, self.references, self.shelf, self.history)
        self.class_editing = ClassEditing(viewer, image, project, self.references, self.shelf)
        self.accepting = Accepting(project, self.references, self.shelf, self.saving.head_later)
        self.known = KnownSlices(viewer, self.references, self.shelf)
        LastWord(self.references, self.shelf, self.history, project.ink_store)
        self.history.accompany(self.references.layer, self.accepting.follow)
        self.mender = Mender(project, self.references, self.shelf, self.history)
        self.extent = ObjectExtent(project, self.references, self.shelf, self.save_head)
        self.tour = RegionTour(viewer, project, self.references, self.shelf, self.go_to)
        self.retraining = Retraining(project, self.shelf, self.save_head)
        self.rounds = Rounds(project, self.references, self.retraining, self.autosave)
        layers, current = (image, self.references.layer), self.references.current_slice
        self.putting_back = PuttingBack(viewer, *layers, current, self._show_again)
        self.unlinking = Unlinking(viewer, self.references, self.shelf)
        self.activity = Activity(viewer)
        self.activity.acted.connect(self.rounds.run.make_way)
        self.shelf.open_counts.acting = self.activity.just_now
        self.saving.saved.connect(self.saved.emit)
        self.saving.trouble.connect(self.trouble.emit)
        self.class_editing.changed.connect(self._on_classes)
        self.retraining.estimate_changed.connect(self.estimate_changed.emit)
        self.history.stepped.connect(self._on_step)
        self.history.moved.connect(self._on_moved)
        self.references.changed.connect(self._on_ink)
        self.extent.changed.connect(self._on_extent)
        self.shelf.edited.connect(self._on_proposal_edit)
        self.shelf.changed.connect(self.proposals_changed.emit)
        self.shelf.shares_changed.connect(self.shares_changed.emit)
        self.shelf.trouble.connect(self.trouble.emit)
        self.shelf.unread.trouble.connect(self.trouble.emit)
        self.putting_back.trouble.connect(self.trouble.emit)
        self.unlinking.trouble.connect(self.trouble.emit)
        self.look = ClassLook(self)
        meet = self.class_editing.meet
        self.meeting = ClassMeeting(self.references, self.shelf, self.history, meet)
        self.tools = ClickTools(self)
        self.cursor = CursorFacts(self)
        self._show_axis(project.axis)
        self.save_head()
        self.retraining.resume()
        keep_choice(self.shelf, project, self.save_head)

    # -- classes and slices ---------------------------------------------------------------

    @property
    def classes(self) -> ClassTable:
        """The class table; change it through `edit_class`, `add_class`, `remove_class`."""
        return self.project.classes

    def add_class(self, name: str | None = None) -> SegmentClass:
        """Add a class and select it for painting."""
        return self.class_editing.add(name)

    def add_classes(self, items: Iterable[SegmentClass]) -> None:
        """Add classes with ids of their own, as a file that is imported has them."""
        self.class_editing.add_all(items)

    def edit_class(
        self,
        class_id: int,
        *,
        name: str | None = None,
        color: str | None = None,
        code: str | None = None,
    ) -> None:
        """Rename or recolour a class, or say its code; parameters as of `ClassEditing.edit`."""
        self.class_editing.edit(class_id, name=name, color=color, code=code)

    def remove_class(self, class_id: int) -> None:
        """Remove a class that no ink uses, maybe a little later; see `ClassEditing.remove`."""
        self.class_editing.remove(class_id)

    def choose_class(self, class_id: int) -> None:
        """Paint with a class from now on, in References and proposals alike."""
        self.class_editing.choose(class_id)

    def set_axis(self, axis: int) -> None:
        """Slice along another axis: what the slider moves through, and what a reference is."""
        self.project.axis = axis
        # Before the viewer turns: what listens to it asks for slices along the new axis.
        if not self.references.set_axis(axis):
            self.saving.index()
        self._show_axis(axis)
        self.save_head()
        self.shelf.recount()
        self.extent.follow_axis()

    def _show_axis(self, axis: int) -> None:
        order = [axis] + [i for i in range(3) if i != axis]
        offset = self.viewer.dims.ndim - 3
        self.viewer.dims.order = tuple(range(offset)) + tuple(i + offset for i in order)

    def go_to(self, index: int) -> None:
        """Show a slice, as much of it as before a tour through places of doubt."""
        self.tour.leave()
        show_slice(self.viewer, self.references.layer, self.project.axis, index)

    def accepted_slices(self) -> list[int]:
        """Slices along the current axis that were accepted and still are references."""
        return self.accepting.accepted_slices()

    def adopt(self, ink: npt.NDArray[np.uint8]) -> int:
        """Take ink from elsewhere where nothing is stated yet; returns how many voxels it was."""
        count = self.references.fill(ink)
        if count:
            self.set_axis(self.project.axis)  # any slice may be a reference now
        return count

    # -- proposals ------------------------------------------------------------------------

    @property
    def proposals(self) -> dict[str, ProposalLayer]:
        """The proposals that are shown, by slug."""
        return self.shelf.layers

    @property
    def active(self) -> str:
        """Slug of the proposal in view, empty when there is none."""
        return self.shelf.active

    @property
    def regions(self) -> RegionView:
        """The confidence layer."""
        return self.shelf.regions

    def activate(self, slug: str) -> None:
        """Show one proposal, with its regions, and make it the one to edit and accept."""
        self.shelf.activate(slug)

    @property
    def estimates(self) -> dict[str, Estimated]:
        """Estimated quality of the proposals that are shown, by slug."""
        return self.retraining.estimates

    def accept_slice(self, index: int | None = None) -> int:
        """Make a slice of the active proposal a reference; see `Accepting.accept`."""
        index = self.references.current_slice() if index is None else index
        changed = self.accepting.accept(index)
        if not changed:
            self.slices_changed.emit()
        return changed

    def suggest(self) -> Suggestion | None:
        """Return the slice whose correction would help most."""
        return suggest(self)

    def final_labels(self) -> npt.NDArray[np.uint8]:
        """Return the mask to export: the user's latest word, else the proposal in view."""
        return self.final_labels_later()()

    def final_labels_later(self) -> Callable[[], npt.NDArray[np.uint8]]:
        """Return a function that makes the mask to export, for a thread."""
        return labels_maker(self.references, self.shelf.in_view(), self.shelf)

    # -- training -------------------------------------------------------------------------

    @property
    def training(self) -> TrainingRun:
        """The trainer of this volume."""
        return self.rounds.run

    @property
    def new_ink(self) -> bool:
        """Whether the user has painted since the last run began."""
        return self.rounds.new_ink

    def why_not_train(self) -> str:
        """Return what is missing for training, empty when nothing is."""
        return self.shelf.unread.undecided or self.rounds.why_not()

    def train(self, request: TrainRequest) -> None:
        """Start the trainer as soon as all ink is saved; see `Rounds.begin`."""
        self.rounds.begin(request)

    def restart(self, request: TrainRequest) -> None:
        """Stop the run that is under way, and start anew with all the ink there is now."""
        self.rounds.restart(request)

    # -- saving ---------------------------------------------------------------------------

    @property
    def autosave(self) -> Autosave:
        """Saves as the user works."""
        return self.saving.autosave

    def save_head(self) -> None:
        """Write project.json as it stands now, in the autosave thread."""
        self.saving.save_head()

    def save_then(self, done: Callable[[], object], failed: Callable[[], object]) -> None:
        """Save all off the GUI thread; see `Saving.save_then`."""
        self.saving.save_then(done, failed)

    def close(self, saved: bool = False) -> None:
        """Save and end everything. Safe to call twice.

        Parameters
        ----------
        saved : bool
            `save_then` has just done its work: write only if a stroke came in since.
        """
        if self._closed:
            return
        self._closed = True
        self.putting_back.close()
        self.unlinking.close()
        self.shelf.close()
        self.cursor.close()
        self.activity.close()
        self.rounds.close()
        self.saving.close(saved)

    # -- inside ---------------------------------------------------------------------------

    def _on_ink(self) -> None:
        self.autosave.request()
        self.regions.refresh()
        self.slices_changed.emit()

    def _on_extent(self) -> None:
        self.rounds.new_ink = True
        self.slices_changed.emit()

    def _on_proposal_edit(self) -> None:
        self.autosave.request()
        self.regions.refresh()

    def _on_classes(self) -> None:
        self.save_head()
        self.look.apply()
        self.classes_changed.emit()

    def _on_step(self) -> None:
        self.rounds.new_ink = True

    def _on_moved(self, step: Step, again: bool) -> None:
        """Show where something was undone: what changes out of sight is a riddle."""
        self.rounds.new_ink = True
        for slug, proposal in self.proposals.items():
            if proposal.layer is step.layer and slug != self.active:
                self.activate(slug)
        current = self.references.current_slice()
        axis, index = step.place or (self.project.axis, current)
        here = axis == self.project.axis
        if here and index != current:
            self.go_to(index)
        if step.layer is self.references.layer:
            self.references.look_at(index if here else current)
            if not here:  # it may have changed any of the slices along this axis
                self.saving.index()

    def _show_again(self, index: int) -> None:
        """Show a slice after napari has forgotten where it was, without layers."""
        self._show_axis(self.project.axis)
        self.go_to(index)
