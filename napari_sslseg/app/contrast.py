"""How far the contrast slider of an image goes.

napari lets a slider end at the contrast limits that a layer is made with, so that nothing beyond
a window could be chosen. The range of the values travels in the layer's metadata and is set when
the layer has been added to a viewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from ..volume.window import sample_of
from .layer_roles import METADATA

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from numpy.typing import NDArray

#: Key of the range in our metadata.
RANGE = "range"

#: Voxels up to which all are looked at; of more, or of a file that is not in memory, a sample.
_ALL = 30_000_000


def value_range(
    array: NDArray[Any], window: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Return the least and the largest value of an image, its window included.

    Parameters
    ----------
    array : ndarray, or a lazy array
        Of a large or a lazy one, some hundred thousand values are looked at.
    window : tuple of two float, optional
        Contrast limits that the range has to hold.

    Returns
    -------
    tuple of two float, or None
        None for an image of one value, or without a finite one.
    """
    whole = type(array) is np.ndarray and array.size <= _ALL
    values = array if whole else sample_of(array)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    ends = [float(values.min()), float(values.max())] if values.size else []
    ends += window or ()
    return (min(ends), max(ends)) if ends and max(ends) > min(ends) else None


def follow(viewer: ViewerModel) -> None:
    """Let the sliders of images that are added to a viewer go as far as their values do.

    Safe to call more than once.
    """
    viewer.layers.events.inserted.connect(_on_inserted)


def reach(layer: Any) -> None:
    """Let the slider of an image go as far as its values do; a layer that is no image stays."""
    if not isinstance(layer, Image) or layer.rgb:
        return
    ends = layer.metadata.get(METADATA, {}).get(RANGE)
    if ends is not None:
        low, high = layer.contrast_limits
        layer.contrast_limits_range = (min(ends[0], low), max(ends[1], high))


def _on_inserted(event: Any) -> None:
    reach(event.value)
