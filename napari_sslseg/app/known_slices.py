"""Proposals where slices are known: what counts there is the user's ink, so that is what is seen.

On a reference the proposal means nothing any more, unless the user corrected it after inking. The
layer keeps it all the same, to be compared and accepted again; only the drawing leaves it out, and
the tools, which act on what is drawn.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.annotation import SliceState, corrected
from .cross_section import plane
from .reference_layer import slice_in_view
from .seen_tools import SeenTools

if TYPE_CHECKING:
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
        shelf.added.connect(self._take_up)
        references.changed.connect(self._on_ink)
        references.layer.events.visible.connect(self._on_ink)

    def seen(self, proposal: ProposalLayer) -> Any:
        """Return the array that a proposal is drawn from."""
        references = self._references
        # What a plugin puts in the place of ink may have another shape for a moment.
        if not references.layer.visible or references.ink.shape != proposal.proposed.shape:
            return proposal.layer.data
        axis, known = references.axis, references.states == SliceState.WHOLE
        return CountingArray(proposal.arrays(), references.ink, known, axis)

    # -- inside ---------------------------------------------------------------------------

    def _take_up(self, proposal: ProposalLayer) -> None:
        layer: Any = proposal.layer
        plain = getattr(layer, "_raw_to_displayed", None)
        if plain is None:  # another napari may call it otherwise; then all is drawn
            return

        def draw(raw: npt.NDArray[Any], *args: Any, **options: Any) -> Any:
            return plain(self._in_view(proposal, raw), *args, **options)

        layer._raw_to_displayed = draw
        SeenTools(layer, partial(self._acted_on, proposal))
        proposal.edited.connect(lambda: self._on_edit(proposal))

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
        first, second = self._viewer.dims.displayed[-2:]
        drawn = drawn.T if first > second else drawn
        return drawn if drawn.shape == raw.shape else raw

    def _known_in_view(self) -> tuple[int, int, int]:
        """Return the axis that the view lies across, where, and how many known slices it meets."""
        dims, references = self._viewer.dims, self._references
        hidden = [axis - (dims.ndim - 3) for axis in dims.not_displayed]
        hidden = [axis for axis in hidden if axis >= 0]
        if len(hidden) != 1 or not references.layer.visible:
            return 0, 0, 0
        index = slice_in_view(self._viewer, references.layer, hidden[0])
        whole = references.states == SliceState.WHOLE
        known = whole[index] if hidden[0] == references.axis else whole.sum()
        return hidden[0], index, int(known)

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
