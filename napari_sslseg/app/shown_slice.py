"""Showing a slice of a layer, as napari slices it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels


def show_slice(viewer: ViewerModel, layer: Labels | Image, axis: int, index: int) -> None:
    """Move the viewer's slider to a slice of a volume; the reverse of `slice_in_view`.

    Of a layer that is rotated or sheared out of its slices napari heeds the position of the slider
    alone, so that the way back is another than that of the layer's transform.
    """
    start = layer.world_to_data(np.zeros(3))[axis]
    step = layer.world_to_data(np.eye(3)[axis])[axis] - start
    if step:  # else every position shows the same slice
        viewer.dims.set_point(axis + viewer.dims.ndim - 3, float((index - start) / step))
