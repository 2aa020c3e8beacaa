"""A session: one project and its layers in one viewer.

The panel talks to the session, the session to layers, project folder and trainer. It holds no
widget, and every method returns at once: what takes time runs in a thread or the trainer.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from ..acquisition.next_slice import Suggestion, next_slice
from ..training.events import Estimated, Event, Finished, ProposalReady
from ..training.request import TrainRequest
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import ClassTable, SegmentClass
from ..volume.project import AcceptedSlice, ImageInfo, Project, ProjectError
from ..volume.proposal import Proposal
from .autosave import Autosave
from .background import in_background
from .final_labels import labels_maker
from .proposal_layer import ProposalLayer
from .reference_layer import ReferenceLayer
from .region_view import RegionView
from .slice_index import SliceIndex, index_slices
from .training_run import TrainingRun

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image

#: Times that a new proposal is merged afresh because the user went on painting meanwhile.
_MERGE_TRIES = 5


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
        self.proposals: dict[str, ProposalLayer] = {}
        self.estimates: dict[str, Estimated] = {}
        self.active: str = ""
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self._closed = False
        self._counting = self._count_again = False
        self._saved_serials: tuple[int, ...] = ()
        index = index or index_slices(ink, project.axis)
        self._index = index
        self.references = ReferenceLayer(viewer, image, ink, project.classes, index)
        self.regions = RegionView(viewer, image)
        self.training = TrainingRun(project.path)
        self.autosave = Autosave(self._save)
        self.autosave.saved.connect(self._on_saved)
        self.autosave.failed.connect(self.trouble.emit)
        self.training.said.connect(self._on_event)
        self.references.changed.connect(self._on_ink)
        self._show_axis(project.axis)
        self._save_head()
        self._bring_up(list(project.proposal_slugs()))

    # -- classes and slices ---------------------------------------------------------------

    @property
    def classes(self) -> ClassTable:
        """The class table; change it through `edit_class`, `add_class`, `remove_class`."""
        return self.project.classes

    def add_class(self, name: str | None = None) -> SegmentClass:
        """Add a class and select it for painting."""
        item = self.project.classes.add(name)
        self._classes_edited()
        self.choose_class(item.id)
        return item

    def edit_class(
        self, class_id: int, *, name: str | None = None, color: str | None = None
    ) -> None:
        """Rename or recolour a class."""
        if name is not None and name.strip():
            self.project.classes.rename(class_id, name)
        if color is not None:
            self.project.classes.recolor(class_id, color)
        self._classes_edited()

    def remove_class(self, class_id: int) -> None:
        """Remove a class that no ink uses.

        Raises
        ------
        ValueError
            When voxels are painted with it: ink is never thrown away silently.
        """
        painted = int(np.count_nonzero(self.references.ink == class_id))
        if painted:
            raise ValueError(
                f"“{self.classes.name(class_id)}” is painted on {painted} voxels; "
                "repaint or erase them before removing the class."
            )
        self.project.classes.remove(class_id)
        self._classes_edited()

    def choose_class(self, class_id: int) -> None:
        """Paint with a class from now on, in References and proposals alike."""
        layers = [self.references.layer]
        if class_id != NOT_ANNOTATED:
            layers += [proposal.layer for proposal in self.proposals.values()]
        for layer in layers:
            layer.selected_label = class_id
        active = self.viewer.layers.selection.active
        if active in layers and active.mode in ("pan_zoom", "erase", "pick"):
            active.mode = "paint"

    def set_axis(self, axis: int) -> None:
        """Slice along another axis: what the slider moves through, and what a reference is."""
        self.project.axis = axis
        # Before the viewer turns: what listens to it asks for slices along the new axis.
        if not self.references.set_axis(axis):
            self._index_in_thread()
        self._show_axis(axis)
        self._save_head()
        self._recount()

    def _show_axis(self, axis: int) -> None:
        order = [axis] + [i for i in range(3) if i != axis]
        offset = self.viewer.dims.ndim - 3
        self.viewer.dims.order = tuple(range(offset)) + tuple(i + offset for i in order)

    def go_to(self, index: int) -> None:
        """Show a slice."""
        axis = self.project.axis
        point = [0.0, 0.0, 0.0]
        point[axis] = float(index)
        world = self.references.layer.data_to_world(point)
        self.viewer.dims.set_point(axis + self.viewer.dims.ndim - 3, world[axis])

    def accepted_slices(self) -> list[int]:
        """Slices along the current axis that were accepted and still are references."""
        known = set(self.references.references())
        axis = self.project.axis
        return sorted({a.index for a in self.project.accepted if a.axis == axis} & known)

    # -- proposals ------------------------------------------------------------------------

    def activate(self, slug: str) -> None:
        """Show one proposal, with its regions, and make it the one to edit and accept."""
        if slug not in self.proposals:
            return
        self.active = slug
        for name, proposal in self.proposals.items():
            proposal.layer.visible = name == slug
        self.regions.show(self.proposals[slug], self.references.ink)
        if self.regions.layer is not None:
            self._below_references(self.regions.layer)
        self.viewer.layers.selection.active = self.proposals[slug].layer
        self._recount()
        self.proposals_changed.emit()

    def accept_slice(self, index: int | None = None) -> int:
        """Copy a slice of the active proposal into References; one undo step there.

        Where References is inked already it stays, unless the user has corrected the proposal
        just there: the correction is the later word.

        Returns
        -------
        int
            Number of voxels that changed in References.

        Raises
        ------
        ValueError
            When there is no proposal yet.
        """
        proposal = self.proposals.get(self.active)
        if proposal is None:
            raise ValueError("There is no proposal to accept from yet; press Train first.")
        axis = self.project.axis
        index = self.references.current_slice() if index is None else index
        classes, corrected = proposal.slice_of(axis, index)
        ink = self.references.slice_ink(index)
        values = np.where((ink == NOT_ANNOTATED) | corrected, classes, ink).astype(np.uint8)
        self.project.accepted = [
            a for a in self.project.accepted if (a.axis, a.index) != (axis, index)
        ]
        self.project.accepted.append(
            AcceptedSlice(axis, index, proposal.slug, len(self.project.rounds))
        )
        changed = self.references.write_slice(index, values)
        if not changed:
            self.slices_changed.emit()
        self._save_head()
        return changed

    def suggest(self) -> Suggestion | None:
        """Return the slice whose correction would help most."""
        counts = self._counts.get(self.active)
        if counts is None:
            return None
        return next_slice(counts, self.references.references(), self.references.current_slice())

    def final_labels(self) -> npt.NDArray[np.uint8]:
        """Return the mask to export, as shown: ink where there is any, else the active proposal."""
        return self.final_labels_later()()

    def final_labels_later(self) -> Callable[[], npt.NDArray[np.uint8]]:
        """Return a function that makes the mask to export, for a thread."""
        return labels_maker(self.references, self.proposals.get(self.active))

    # -- training -------------------------------------------------------------------------

    def why_not_train(self) -> str:
        """Return why training cannot start, empty when it can."""
        if self.training.busy:
            return "Training is running."
        references = self.references.references()
        if not references and not self.references.partial():
            return "Label a slice first: paint it, then press “Mark this slice as reference”."
        if len(self.classes) == 0:
            return "Add a class first."
        known = np.isin(np.asarray(self.classes.ids), self.references.index.painted())
        if not known.any():
            return "Paint at least one class; background alone teaches nothing."
        return ""

    def train(self, request: TrainRequest) -> None:
        """Start the trainer as soon as all ink is saved; both off the GUI thread.

        Raises
        ------
        RuntimeError
            When a run is under way.
        """
        self.training.prepare(request)
        self.project.rounds.append(
            {
                "started": time.time(),
                "preset": request.preset,
                "seconds": request.seconds,
                "references": self.references.references(),
            }
        )
        self._save_head()
        self.autosave.flush_then(self.training.start_prepared, self.training.abandon)

    def save_then(self, done: Callable[[], object], failed: Callable[[], object]) -> None:
        """Save all off the GUI thread; `failed` is called after `trouble` was."""
        self.autosave.flush_then(done, failed)

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
        self.training.close()
        try:
            self.autosave.close(save=not saved or self._saved_serials != self._serials())
            self.project.save()
        except OSError as error:
            self.trouble.emit(f"The last changes could not be saved: {error}.")

    # -- inside ---------------------------------------------------------------------------

    def _on_ink(self) -> None:
        self.autosave.request()
        self.regions.refresh()
        self.slices_changed.emit()

    def _on_proposal_edit(self) -> None:
        self.autosave.request()
        self.regions.refresh()

    def _save(self) -> int:
        """Write what changed; runs in the autosave thread."""
        serials = self._serials()
        pieces = self.project.ink_store.save(self.references.ink)
        # An undo may change slices that are not in view; the whole volume is looked at here.
        self._index = index_slices(self.references.ink, self.references.axis)
        for proposal in list(self.proposals.values()):
            pieces += proposal.store.save(proposal.corrections())
        self._saved_serials = serials
        return pieces

    def _serials(self) -> tuple[int, ...]:
        """Return numbers that rise with every edit."""
        proposals = list(self.proposals.values())
        return (self.references.serial, *(proposal.serial for proposal in proposals))

    def _on_saved(self, pieces: int) -> None:
        if self._closed:
            return
        self.references.take_index(self._index)
        if pieces:
            self.project.saved = time.time()
            self.saved.emit(self.project.saved)
            self._recount()

    def _save_head(self) -> None:
        """Write project.json as it stands now, in the autosave thread: a disk may be slow."""
        if self._closed:
            return  # closing writes it at the end
        head = copy.copy(self.project)
        head.classes = copy.deepcopy(self.project.classes)
        head.accepted = list(self.project.accepted)
        head.rounds = [dict(row) for row in self.project.rounds]
        self.autosave.do(head.save)

    def _index_in_thread(self, tries: int = _MERGE_TRIES) -> None:
        """Learn the state of all slices along the current axis."""
        references, axis, serial = self.references, self.references.axis, self.references.serial

        def work() -> SliceIndex:
            return index_slices(references.ink, axis)

        def done(index: SliceIndex) -> None:
            if self._closed or axis != references.axis:
                return
            if references.serial != serial and tries > 0:
                self._index_in_thread(tries - 1)
            references.take_index(index)

        in_background(
            work,
            done,
            lambda error: self.trouble.emit(str(error)),
        )

    def _classes_edited(self) -> None:
        self._save_head()
        self.references.set_classes(self.classes)
        for proposal in self.proposals.values():
            proposal.set_classes(self.classes)
        self.classes_changed.emit()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ProposalReady):
            self._bring_up([event.slug])
        elif isinstance(event, Estimated):
            self.estimates[event.slug] = event
            self.estimate_changed.emit(event.slug, event)
        elif isinstance(event, Finished):
            if self.project.rounds:
                self.project.rounds[-1]["finished"] = time.time()
                self.project.rounds[-1]["recommended"] = event.recommended
                self._save_head()
            if event.recommended in self.proposals:
                self.activate(event.recommended)

    def _bring_up(self, slugs: list[str]) -> None:
        """Read the newest versions in a thread, then show them."""
        for slug in slugs:
            in_background(
                partial(self._load, slug),
                lambda loaded, slug=slug: self._show(slug, *loaded),  # type: ignore[misc]
                lambda error: self.trouble.emit(str(error)),
            )

    def _load(self, slug: str) -> tuple[Proposal, int, Any]:
        version = self.project.proposal_version(slug)
        proposal = self.project.read_proposal(slug)
        layer = self.proposals.get(slug)
        if layer is not None:
            return proposal, version, layer.merge(proposal)
        store = self.project.correction_store(slug)
        return proposal, version, (*ProposalLayer.prepare(proposal, store), store)

    def _show(
        self, slug: str, proposal: Proposal, version: int, merged: Any, tries: int = _MERGE_TRIES
    ) -> None:
        if self._closed:
            return
        layer = self.proposals.get(slug)
        selected = self.viewer.layers.selection.active
        if layer is None:
            data, kept, store = merged
            layer = ProposalLayer(
                self.viewer, self.image, proposal, version, self.classes, store, data, kept
            )
            layer.edited.connect(self._on_proposal_edit)
            self.proposals[slug] = layer
            self._below_references(layer.layer)
            if not self.active or self.active not in self.proposals:
                self.activate(slug)
            else:
                # Adding a layer selects it; the user may be painting on another one.
                layer.layer.visible = False
                self.viewer.layers.selection.active = selected
        elif version > layer.version:
            data, kept, serial = merged
            if (serial != layer.serial or layer.stroking) and tries > 0:
                # The user painted while this was prepared: prepare again, stroke included.
                in_background(
                    lambda: layer.merge(proposal),
                    lambda again: self._show(slug, proposal, version, again, tries - 1),
                    lambda error: self.trouble.emit(str(error)),
                )
                return
            if serial != layer.serial:
                data, kept, _ = layer.merge(proposal)
            layer.replace(proposal, version, data, kept)
            if slug == self.active:
                self.regions.show(layer, self.references.ink)
        self._recount()
        self.proposals_changed.emit()

    def _recount(self) -> None:
        """Count the active proposal's regions per slice, and their shares, in a thread."""
        layer = self.proposals.get(self.active)
        if self._closed or layer is None:
            return
        if self._counting:  # one at a time: the processor is the trainer's and the viewer's too
            self._count_again = True
            return
        self._counting = True
        slug, axis, ink = self.active, self.project.axis, self.references.ink

        def over() -> None:
            self._counting = False
            if self._count_again:
                self._count_again = False
                self._recount()

        def done(result: tuple[npt.NDArray[np.int64], dict[str, float]]) -> None:
            if not self._closed:
                if axis == self.project.axis:
                    self._counts[slug] = result[0]
                self.shares_changed.emit(slug, result[1])
                over()

        def failed(error: Exception) -> None:
            self.trouble.emit(str(error))
            over()

        in_background(lambda: layer.count_open(axis, ink), done, failed)

    def _below_references(self, layer: Any) -> None:
        """Keep References on top, so that ink is never hidden."""
        layers = self.viewer.layers
        top = layers.index(self.references.layer)
        here = layers.index(layer)
        if here > top:
            layers.move(here, top)


def make_project(
    path: Path,
    array: npt.NDArray[Any],
    info: ImageInfo,
    classes: ClassTable,
    axis: int,
    ink: npt.NDArray[np.uint8] | None,
) -> tuple[Project, npt.NDArray[np.uint8]]:
    """Create a project and its ink on disk; takes time, so use a thread.

    Parameters
    ----------
    ink : ndarray of uint8 or None
        Ink to begin with (an existing References layer), None for blank.
    """
    project = Project.create(path, array, info, classes, axis)
    blank = project.ink_store.load()
    if ink is not None:
        project.ink_store.save(ink)
        return project, ink.copy()
    return project, blank


def open_project(path: Path) -> tuple[Project, npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Open a project with its image and ink; takes time, so use a thread.

    Raises
    ------
    ProjectError
        When it is no project, or damaged.
    """
    project = Project.open(path)
    image = np.asarray(project.image())
    try:
        return project, image, project.ink_store.load()
    except ValueError as error:
        raise ProjectError(str(error)) from error
