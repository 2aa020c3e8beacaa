"""Proposals where slices are known: what counts there is the user's ink, so that is what is seen.

On a reference the proposal means nothing any more, unless the user corrected it after inking. The
layer keeps it all the same, to be compared and accepted again; only the drawing leaves it out, and
the tools, which act on what is drawn.

Where a correction is later than ink, References are drawn as it says, or the ink would lie over
what the user has just painted. The ink stays what it is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.annotation import NOT_ANNOTATED, SliceState, corrected
from .cross_section import plane
from .reference_layer import slice_in_view
from .seen_tools import SeenTools

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from napari.components import ViewerModel

    from .proposal_layer import ProposalLayer
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer


class CountingArray:
    """Array-like of what counts: on known slices ink and later corrections, else the proposal.

    Parameters
    ----------
    arrays : tuple of ndarray
        As `ProposalLayer.arrays` returns them.
    ink : ndarray of uint8
    known : ndarray of bool, shape (Z,)
        Whether each slice is a reference.
    axis : int
        Slicing axis.
    """

    def __init__(
        self,
        arrays: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]],
        ink: npt.NDArray[np.uint8],
        known: npt.NDArray[np.bool_],
        axis: int,
    ) -> None:
        self._arrays, self._ink = arrays, ink
        shape = [1] * ink.ndim
        shape[axis] = len(known)
        self._known = np.broadcast_to(known.reshape(shape), ink.shape)

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        edited, proposed, said = (array[key] for array in self._arrays)
        known = self._known[key]
        if not known.any():
            return np.asarray(edited)
        # What lies on the disk is read on known slices alone.
        here, drawn = (edited[known], proposed[known], said[known]), np.array(edited)
        drawn[known] = np.where(corrected(*here), here[0], self._ink[key][known])
        return drawn


class SeenInk:
    """Array-like of ink as it is drawn: where the user corrected a proposal since, that.

    Parameters
    ----------
    ink : ndarray of uint8
    proposals : sequence of tuple of ndarray
        Those that are shown, as `ProposalLayer.arrays` returns them.
    """

    def __init__(
        self,
        ink: npt.NDArray[np.uint8],
        proposals: Sequence[
            tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]
        ],
    ) -> None:
        self._ink, self._proposals = ink, proposals

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        ink = np.asarray(self._ink[key])
        stated = ink != NOT_ANNOTATED
        if not stated.any():
            return ink
        drawn = np.array(ink)
        for arrays in self._proposals:
            # What lies on the disk is read where there is ink alone.
            edited, proposed, said = (array[key][stated] for array in arrays)
            drawn[stated] = np.where(corrected(edited, proposed, said), edited, drawn[stated])
        return drawn


class KnownSlices:
    """Lets napari, and the other planes, draw proposals as `CountingArray` has them.

    A reference in view shows ink alone, so that it is told from what is only proposed at once. Who
    hides References wants to see what was proposed, and does.

    Parameters
    ----------
    viewer : ViewerModel
    references : ReferenceLayer
    shelf : ProposalShelf
    """

    def __init__(
        self, viewer: ViewerModel, references: ReferenceLayer, shelf: ProposalShelf
    ) -> None:
        self._viewer, self._references, self._shelf = viewer, references, shelf
        self._drawn = (0, 0, 0)
        self._overruled = False
        shelf.added.connect(self._take_up)
        references.changed.connect(self._on_ink)
        references.layer.events.visible.connect(self._on_ink)
        self._draw(references.layer, self._ink_in_view)

    def seen(self, proposal: ProposalLayer) -> Any:
        """Return the array that a proposal is drawn from."""
        references = self._references
        # What a plugin puts in the place of ink may have another shape for a moment.
        if not references.layer.visible or references.ink.shape != proposal.proposed.shape:
            return proposal.layer.data
        axis, known = references.axis, references.states == SliceState.WHOLE
        return CountingArray(proposal.arrays(), references.ink, known, axis)

    def seen_ink(self) -> SeenInk:
        """Return the array that References are drawn from."""
        ink = self._references.ink
        shown = [p.arrays() for p in self._shelf.layers.values() if p.layer.visible]
        return SeenInk(ink, [arrays for arrays in shown if arrays[0].shape == ink.shape])

    # -- inside ---------------------------------------------------------------------------

    def _take_up(self, proposal: ProposalLayer) -> None:
        layer: Any = proposal.layer
        if not self._draw(layer, partial(self._in_view, proposal)):
            return
        SeenTools(layer, partial(self._acted_on, proposal))
        proposal.edited.connect(lambda: self._on_edit(proposal))
        layer.events.visible.connect(self._draw_ink)
        if "labels_update" in layer.events.emitters:  # while a stroke is drawn
            layer.events.labels_update.connect(self._draw_ink)

    def _draw(self, layer: Any, seen: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> bool:
        """Have a layer drawn as it is to be seen; return whether it can."""
        plain = getattr(layer, "_raw_to_displayed", None)
        if plain is None:  # another napari may call it otherwise; then all is drawn
            return False
        layer._raw_to_displayed = lambda raw, *args, **options: plain(seen(raw), *args, **options)
        return True

    def _acted_on(self, proposal: ProposalLayer, everywhere: bool) -> Any:
        """Return what tools act on, None where that is the proposal itself."""
        meets = self._known_in_view()[2]
        if everywhere and self._viewer.dims.ndisplay == 2:
            meets = len(self._references.references())
        seen = self.seen(proposal) if meets else None
        return seen if isinstance(seen, CountingArray) else None

    def _in_view(self, proposal: ProposalLayer, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the slice in view as it is drawn; a volume as it is."""
        across, index, known = self._known_in_view()
        if raw.ndim != 2 or not known:
            return raw
        drawn = plane(self.seen(proposal), across, index)
        if across == self._references.axis:
            ink = self._references.slice_ink(index)
            if np.array_equal(drawn, ink):
                return np.zeros_like(raw)
        return self._as_shown(drawn, raw)

    def _ink_in_view(self, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the slice of ink in view as it is drawn; a volume as it is."""
        where = self._plane_in_view()
        if raw.ndim != 2 or where is None:
            return raw
        drawn = self._as_shown(plane(self.seen_ink(), *where), raw)
        self._overruled = not np.array_equal(drawn, raw)
        return drawn

    def _as_shown(self, drawn: npt.NDArray[Any], raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Lay a slice as the view has it, for what napari would draw."""
        first, second = self._viewer.dims.displayed[-2:]
        drawn = drawn.T if first > second else drawn
        return drawn if drawn.shape == raw.shape else raw

    def _plane_in_view(self) -> tuple[int, int] | None:
        """Return the axis that the view lies across, and where; None for a volume."""
        dims, layer = self._viewer.dims, self._references.layer
        hidden = [axis - (dims.ndim - 3) for axis in dims.not_displayed]
        hidden = [axis for axis in hidden if axis >= 0]
        if len(hidden) != 1 or not layer.visible:
            return None
        return hidden[0], slice_in_view(self._viewer, layer, hidden[0])

    def _known_in_view(self) -> tuple[int, int, int]:
        """Return the axis that the view lies across, where, and how many known slices it meets."""
        references, where = self._references, self._plane_in_view()
        if where is None:
            return 0, 0, 0
        axis, index = where
        whole = references.states == SliceState.WHOLE
        return axis, index, int(whole[index] if axis == references.axis else whole.sum())

    def _on_ink(self, event: Any = None) -> None:
        """Draw proposals anew when ink alone counts in view, or no longer does."""
        before, self._drawn = self._drawn, self._known_in_view()
        if self._drawn != before or self._drawn[2]:
            for proposal in self._shelf.layers.values():
                proposal.redraw()

    def _on_edit(self, proposal: ProposalLayer) -> None:
        """Show all of what counts after a stroke, of which napari draws its surroundings alone."""
        if self._known_in_view()[2]:
            proposal.redraw()
        self._draw_ink()

    def _draw_ink(self, event: Any = None) -> None:
        """Draw References anew when other corrections than before are later than ink in view."""
        where = self._plane_in_view()
        if where is None:
            return
        ink = plane(self._references.ink, *where)
        if self._overruled or not np.array_equal(plane(self.seen_ink(), *where), ink):
            self._references.redraw()
