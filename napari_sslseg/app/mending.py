"""Mending the proposal in view by more than strokes: each operation is one step to undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from ..editing.change import Change
from ..editing.components import component_at, fill_holes, keep_largest
from ..editing.doubt import DISPUTED
from ..editing.interpolation import interpolate
from ..editing.runner_up import runner_up
from ..editing.smoothing import smooth
from ..volume.annotation import NOT_ANNOTATED, SliceState, latest
from ..volume.proposal import Region
from .background import in_background
from .hand_work import HandWork

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.project import Project
    from .hand_work import Slices
    from .history import History
    from .proposal_layer import ProposalLayer
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer

    Labels = npt.NDArray[np.uint8]

NO_PROPOSAL = "press Train first; the first proposal comes within seconds."

#: Times that an operation is made afresh because the user painted just there meanwhile.
_TRIES = 5

#: What operations are called, as it reads after "Undo: ".
_WORDS = {"smooth": "smoothing", "fill": "filling holes in", "largest": "keeping the largest of"}


class Mender:
    """Operations on the proposal in view, computed in a thread.

    Parameters
    ----------
    project : Project
    references : ReferenceLayer
        Its ink is never touched, except by `accept_sure`.
    shelf : ProposalShelf
    history : History
    """

    said = Signal(str)
    """One sentence: what was done, or why nothing was."""

    def __init__(
        self, project: Project, references: ReferenceLayer, shelf: ProposalShelf, history: History
    ) -> None:
        self._project, self._references = project, references
        self._shelf, self._history = shelf, history
        self._hand_work = HandWork(project, history, shelf)
        self.busy = False

    # -- what the panel and the keys ask for ------------------------------------------------

    def improve(self, operation: str, class_id: int = 0, volume: bool = False) -> None:
        """Smooth, fill holes, or keep the largest part.

        Parameters
        ----------
        operation : {"smooth", "fill", "largest"}
        class_id : int
            Class to work on, 0 for all.
        volume : bool
            In the whole volume instead of the slice in view.
        """
        classes = self._project.classes
        ids = classes.ids if class_id == 0 else (class_id,)
        spacing = self._project.info.spacing
        axis = self._project.axis

        def work(labels: Labels, place: int | None) -> Labels:
            if operation == "smooth":
                size = spacing if place is None else [s for i, s in enumerate(spacing) if i != axis]
                return smooth(labels, ids, size)
            return (fill_holes if operation == "fill" else keep_largest)(labels, ids)

        what = "all classes" if class_id == 0 else classes.name(class_id)
        self._edit(work, f"{_WORDS[operation]} {what}", volume)

    def take_slice(self) -> None:
        """Take the slice in view from the other proposal."""
        other = self.other()
        if other is None:
            self.said.emit("There is no other proposal to take from.")
            return
        data, axis = other.layer.data, self._project.axis

        def work(labels: Labels, place: int | None) -> Labels:
            assert place is not None
            return np.moveaxis(data, axis, 0)[place].copy()

        self._edit(work, f"taking the slice from {other.name}", False)

    def take_part(self, point: tuple[int, ...], volume: bool = False) -> None:
        """Take the part under a point, in which the proposals differ, from the other one."""
        other = self.other()
        if other is None:
            self.said.emit("There is no other proposal to take from.")
            return
        data, axis = other.layer.data, self._project.axis

        def work(labels: Labels, place: int | None) -> Labels | str:
            theirs = data if place is None else np.moveaxis(data, axis, 0)[place]
            seed = point if place is None else tuple(np.delete(point, axis))
            part = component_at(labels != theirs, seed)
            if not part.any():
                return "Both proposals say the same here."
            return np.where(part, theirs, labels)

        self._edit(work, f"taking a part from {other.name}", volume, int(point[axis]))

    def flip(self, point: tuple[int, ...], volume: bool = False) -> None:
        """Give the disputed part under a point the class that is the next most likely."""
        proposal = self._shelf.in_view()
        if proposal is None:
            self.said.emit(f"Nothing to flip: {NO_PROPOSAL}")
            return
        other, axis = self.other(), self._project.axis
        regions = proposal.open_regions(self._references.ink)

        def work(labels: Labels, place: int | None) -> Labels | str:
            key = ... if place is None else (slice(None),) * axis + (place,)
            seed = point if place is None else tuple(np.delete(point, axis))
            here = regions[key]
            disputed = ((here == DISPUTED[0]) | (here == DISPUTED[1])) & (labels == labels[seed])
            part = component_at(disputed, seed)
            if not part.any():
                return "The predictions do not disagree here: click on orange or red."
            second = None if other is None else other.layer.data[key]
            value = runner_up(labels, part, second)
            if value is None:
                return "No other class is likely here."
            return np.where(part, np.uint8(value), labels)

        self._edit(work, "flipping a part to its second class", volume, int(point[axis]))

    def interpolate(self) -> None:
        """Fill the slices between the two nearest known ones around the slice in view.

        Known are references, and slices that the user has corrected other than by an operation on
        many slices.
        """
        proposal = self._shelf.in_view()
        if proposal is None:
            self.said.emit(f"Nothing to interpolate: {NO_PROPOSAL}")
            return
        axis, current = self._project.axis, self._references.current_slice()
        ink = self._references.ink
        layer_data = proposal.layer.data
        states = self._references.states.copy()
        spacing = tuple(s for i, s in enumerate(self._project.info.spacing) if i != axis)
        unseen = self._hand_work.by_operations(proposal.slug, axis)
        words = ""

        def known(z: int) -> bool:
            if states[z] == SliceState.WHOLE:
                return True
            return z not in unseen and bool(proposal.slice_of(axis, z)[1].any())

        def work() -> Change | str:
            nonlocal words
            low, high = _ends(known, current, len(states))
            if low is None or high is None:
                return "Correct or accept a slice on either side first; between them is filled."
            if high - low < 2:
                return "Nothing to fill here: the slices on either side are corrected or accepted."
            stated = np.moveaxis(ink, axis, 0)
            one, two = (latest(stated[z], *proposal.slice_of(axis, z)) for z in (low, high))
            between = interpolate(one, two, high - low - 1, (spacing[0], spacing[1]))
            words = f"interpolating slices {low + 1} to {high - 1}"
            after = layer_data.copy()
            part = np.moveaxis(after, axis, 0)[low + 1 : high]
            part[...] = np.where(stated[low + 1 : high] == NOT_ANNOTATED, between, part)
            return Change.of_volume(layer_data, after)

        self._run(work, lambda: words, proposal, (axis, current), several=True)

    def accept_sure(self) -> int:
        """Make what both predictions agree on and are sure of ink, in the slice in view.

        What the user has corrected in the slice comes with it. The rest stays open.

        Returns
        -------
        int
            Number of voxels that became ink.

        Raises
        ------
        ValueError
            When there is no proposal yet.
        """
        proposal = self._shelf.in_view()
        if proposal is None:
            raise ValueError("There is no proposal to accept from yet; press Train first.")
        axis, index = self._project.axis, self._references.current_slice()
        classes, corrected = proposal.slice_of(axis, index)
        sure = (np.moveaxis(proposal.regions, axis, 0)[index] == Region.UC) & ~corrected
        ink = self._references.slice_ink(index)
        wanted = (sure & (ink == NOT_ANNOTATED)) | corrected
        values = np.where(wanted, classes, ink).astype(np.uint8)
        text = f"accepting the sure part of slice {index}"
        return self._references.write_slice(index, values, text, said=wanted)

    def other(self) -> ProposalLayer | None:
        """Return the proposal that is not in view."""
        slugs = sorted(self._shelf.layers)
        if self._shelf.active not in slugs or len(slugs) < 2:
            return None
        place = slugs.index(self._shelf.active)
        return self._shelf.layers[slugs[(place + 1) % len(slugs)]]

    # -- inside ---------------------------------------------------------------------------

    def _edit(
        self,
        operation: Callable[[Labels, int | None], Labels | str],
        text: str,
        volume: bool,
        index: int | None = None,
    ) -> None:
        """Run an operation on a slice, or the volume, of the proposal in view."""
        proposal = self._shelf.in_view()
        if proposal is None:
            self.said.emit(f"Nothing to mend: {NO_PROPOSAL}")
            return
        axis = self._project.axis
        index = self._references.current_slice() if index is None else index
        data, ink = proposal.layer.data, self._references.ink

        def work() -> Change | str:
            if volume:
                after = operation(data, None)
                if isinstance(after, str):
                    return after
                np.copyto(after, data, where=ink != NOT_ANNOTATED)
                return Change.of_volume(data, after)
            before = np.ascontiguousarray(np.moveaxis(data, axis, 0)[index])
            after = operation(before, index)
            if isinstance(after, str):
                return after
            stated = np.moveaxis(ink, axis, 0)[index] != NOT_ANNOTATED
            after = np.where(stated, before, after).astype(np.uint8)
            return Change.of_slice(data.shape, axis, index, before, after)

        where = "in the whole volume" if volume else f"in slice {index}"
        self._run(work, lambda: f"{text} {where}", proposal, (axis, index), several=volume)

    def _run(
        self,
        work: Callable[[], Change | str],
        text: Callable[[], str],
        proposal: ProposalLayer,
        place: tuple[int, int],
        tries: int = _TRIES,
        *,
        several: bool,
    ) -> None:
        """Make a change in a thread and write it, as an operation on one or `several` slices."""
        if self.busy and tries == _TRIES:
            self.said.emit("One moment: the operation before is still being worked out.")
            return
        self.busy = True
        hand_work = self._hand_work

        def worked() -> tuple[Change | str, Slices | None]:
            result = work()
            if isinstance(result, str) or not several:
                return result, None
            return result, hand_work.first_corrected(result, proposal)

        def done(made: tuple[Change | str, Slices | None]) -> None:
            result, slices = made
            if isinstance(result, Change) and not self._shelf.closed:
                with hand_work.operation(slices):
                    written = self._history.write(proposal.layer, result, text(), place)
                if not written:
                    if tries > 0:
                        self._run(work, text, proposal, place, tries - 1, several=several)
                        return
                    result = "Nothing was changed, as you painted there meanwhile. Try again."
                elif not len(result):
                    result = f"Nothing to change by {text()}."
                else:
                    voxels = f"{len(result)} voxel" + ("" if len(result) == 1 else "s")
                    result = f"Done: {text()} ({voxels}). Undo: Ctrl+Z."
            self.busy = False
            if isinstance(result, str):
                self.said.emit(result)

        def failed(error: Exception) -> None:
            self.busy = False
            self.said.emit(f"Nothing was changed: {error}.")

        in_background(worked, done, failed)


def _ends(known: Callable[[int], bool], current: int, count: int) -> tuple[int | None, int | None]:
    """Return the known slices to interpolate between, None where there is none on that side.

    Those on either side of the slice in view. If that is known itself, it is the first of them;
    the last one where the next slice is known as well, or none is.
    """
    before = current if known(current) else _first(known, range(current - 1, -1, -1))
    after = _first(known, range(current + 1, count))
    if before == current and (after is None or after == current + 1):
        after, before = current, _first(known, range(current - 1, -1, -1))
    return before, after


def _first(known: Callable[[int], bool], indices: range) -> int | None:
    return next((z for z in indices if known(z)), None)
