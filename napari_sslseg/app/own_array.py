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

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Labels

_MOST = 255
_BECAUSE = "class ids run from 0 to 254, and what is saved is one byte a voxel"


class OwnArray:
    """Keeps the array of a labels layer; what takes its place is copied into it.

    Parameters
    ----------
    layer : Labels
        Over an array of unsigned bytes.
    edited : callable
        Called after voxels may have changed by that.
    """

    def __init__(self, layer: Labels, edited: Callable[[], object]) -> None:
        self._layer, self._edited = layer, edited
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
        text = self._take(given)
        layer.data = self._array
        if layer.selected_label > _MOST:  # it was possible for a moment
            layer.selected_label = 1
        forget_history(layer)
        self._edited()
        if text:
            show_warning(text)

    def _take(self, given: Any) -> str:
        """Copy what fits, and say what there is to say."""
        name, own = self._layer.name, self._array
        if tuple(given.shape) != own.shape:
            return f"“{name}” stays as it was: other labels have another shape than the image."
        left = 0
        for here, other in zip(own, given, strict=True):
            slab = np.asarray(other)
            fits = (slab >= 0) & (slab <= _MOST)
            left += int(np.count_nonzero(~fits))
            # Only what differs: of a mapped array each page that is written to takes memory.
            np.copyto(here, slab, where=fits & (slab != here), casting="unsafe")
        if left:
            return (
                f"{left} voxels of “{name}” stay as they were: {_BECAUSE}, so labels above "
                f"{_MOST - 1} cannot be kept."
            )
        if np.dtype(given.dtype) != np.uint8:
            return f"“{name}” keeps its data type: {_BECAUSE}. No voxel was changed by that."
        return ""
