"""The array of a layer of ours stays ours, whatever napari or another plugin puts in its place.

Ink and classes are unsigned bytes, and what is saved, compared and shown beside them refers to one
array of them. napari converts the data of a layer on request, and suggests it where a label does
not fit; from then on, strokes would go into an array that nobody saves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_warning

from .layer_roles import forget_history
from .strokes import mask_positions

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    from napari.layers import Labels

    Positions = npt.NDArray[np.integer]

_MOST = 254
_BECAUSE = "class ids run from 0 to 254, and what is saved is one byte a voxel"


class OwnArray:
    """Keeps the array of a labels layer; what takes its place is copied into it.

    Parameters
    ----------
    layer : Labels
        Over an array of unsigned bytes.
    edited : callable
        Called after voxels may have changed by that.
    written : callable
        Told, before that, the places that were written to, in the array laid flat, some at a time:
        a plugin that was asked to change labels speaks for the user.
    most : int, optional
        The largest label that means something in this layer.
    """

    def __init__(
        self,
        layer: Labels,
        edited: Callable[[], object],
        written: Callable[[Iterable[Positions]], object],
        most: int = _MOST,
    ) -> None:
        self._layer, self._edited, self._written = layer, edited, written
        self._most = most
        self._array: npt.NDArray[np.uint8] = layer.data
        layer.events.data.connect(self._on_data)

    def become(self, array: npt.NDArray[np.uint8]) -> None:
        """Put another array of ours in the place of the one before."""
        self._array = array
        self._layer.data = array

    def _on_data(self, event: Any = None) -> None:
        layer, given = self._layer, self._layer.data
        if given is self._array:
            return
        # Of zeros that nobody has written to, a large array takes no memory.
        changed = np.zeros(self._array.shape, dtype=np.bool_)
        text = self._take(given, changed)
        layer.data = self._array
        if layer.selected_label > self._most:  # it was possible for a moment
            layer.selected_label = 1
        forget_history(layer)
        self._written(mask_positions(changed))
        self._edited()
        if text:
            show_warning(text)

    def _take(self, given: Any, changed: npt.NDArray[np.bool_]) -> str:
        """Copy what fits, mark where that changed something, and say what there is to say."""
        name, own = self._layer.name, self._array
        if tuple(given.shape) != own.shape:
            return f"“{name}” stays as it was: other labels have another shape than the image."
        left = 0
        for here, other, mark in zip(own, given, changed, strict=True):
            slab = np.asarray(other)
            fits = (slab >= 0) & (slab <= self._most)
            left += int(np.count_nonzero(~fits))
            # Only what differs: of a mapped array each page that is written to takes memory.
            fits &= slab != here
            if fits.any():
                np.copyto(here, slab, where=fits, casting="unsafe")
                mark[fits] = True
        if left:
            return (
                f"{left} voxels of “{name}” stay as they were: {_BECAUSE}, so labels above "
                f"{_MOST} cannot be kept."
            )
        if np.dtype(given.dtype) != np.uint8:
            return f"“{name}” keeps its data type: {_BECAUSE}. No voxel was changed by that."
        return ""
