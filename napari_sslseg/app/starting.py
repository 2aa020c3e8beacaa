"""The first volume of a new project: from an image layer, with ink that is there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.classes import ClassTable
from .image_source import adopt_ink, make_project, new_project_path, read_layer
from .layer_roles import METADATA, REFERENCES
from .slice_index import SliceIndex, index_slices

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Image, Labels

    from ..volume.project import Project


def adoptable(layers: Iterable[Any], image: Image) -> Labels | None:
    """Return a layer of ink that is there already, for instance from the sample."""
    shape = image.data[0].shape if image.multiscale else image.data.shape
    for layer in layers:
        named = layer.name == REFERENCES and type(layer).__name__ == "Labels"
        if named and tuple(layer.data.shape) == tuple(shape[:3]):
            found: Labels = layer
            return found
    return None


def make_first_project(
    image: Image, channels: Sequence[Image], axis: int, adopted: Labels | None
) -> tuple[Project, npt.NDArray[np.uint8], SliceIndex]:
    """Make a project for an image; takes time, so use a thread.

    Parameters
    ----------
    image : Image
    channels : sequence of Image
        All channels of the volume, where there are several.
    axis : int
        Slicing axis.
    adopted : Labels or None
        Ink to begin with.
    """
    array, info = read_layer(image, channels)
    ink = None if adopted is None else adopt_ink(adopted)
    table = ClassTable.from_ids(np.unique(ink)) if ink is not None else ClassTable()
    if adopted is not None:
        for row in adopted.metadata.get(METADATA, {}).get("classes", []):
            table.rename(int(row["id"]), str(row["name"]))
    if not len(table):
        table.add("Structure")
    made = make_project(new_project_path(info.name), array, info, table, axis, ink)
    return *made, index_slices(made[1], axis)
