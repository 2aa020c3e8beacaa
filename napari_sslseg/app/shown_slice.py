"""Showing a slice of a layer, as napari slices it, and the one that was shown last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from ..volume.project import Project

#: Key in the project's settings: slicing axis and slice.
_SETTING = "shown_slice"


def show_slice(viewer: ViewerModel, layer: Labels | Image, axis: int, index: int) -> None:
    """Move the viewer's slider to a slice of a volume; the reverse of `slice_in_view`.

    Of a layer that is rotated or sheared out of its slices napari heeds the position of the slider
    alone, so that the way back is another than that of the layer's transform.
    """
    start = layer.world_to_data(np.zeros(3))[axis]
    step = layer.world_to_data(np.eye(3)[axis])[axis] - start
    if step:  # else every position shows the same slice
        viewer.dims.set_point(axis + viewer.dims.ndim - 3, float((index - start) / step))


def remember_slice(project: Project, index: int) -> None:
    """Have the settings of a project, which are saved elsewhere, say which slice is shown."""
    project.settings = {**project.settings, _SETTING: [project.axis, index]}


def remembered_slice(project: Project) -> int | None:
    """Return the slice that was shown last along the slicing axis; None where none was."""
    found = project.settings.get(_SETTING)
    if not isinstance(found, list) or len(found) != 2 or found[0] != project.axis:
        return None
    index = found[1]
    inside = isinstance(index, int) and 0 <= index < project.info.shape[project.axis]
    return index if inside else None
