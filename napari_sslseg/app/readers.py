"""What napari calls to open a file: volumes the right way up, with their geometry."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats import FormatError, read, read_labels, suffix_of
from .layer_roles import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..volume.image import Volume

    PathLike = str | os.PathLike[str]
    LayerData = tuple[Any, dict[str, Any], str]

#: Words in the name of a file that holds labels rather than an image.
_LABEL_WORDS = re.compile(
    r"(?<![a-z])(gt|labels?|labelmap|masks?|segs?|segmentations?|refs?|references?)(?![a-z])"
)

#: More distinct values than this are no classes, whatever the name says.
_MOST_CLASSES = 64


def get_reader(path: PathLike | list[PathLike]) -> Callable[..., list[LayerData]] | None:
    """Return the reader of a file or of several, or None if any is of another kind."""
    paths = path if isinstance(path, list) else [path]
    if not paths or not all(suffix_of(item) for item in paths):
        return None
    return read_layers


def read_layers(path: PathLike | list[PathLike]) -> list[LayerData]:
    """Read one file or several into layers.

    Raises
    ------
    FormatError
        With one sentence for the user, if a file cannot be read.
    """
    paths = path if isinstance(path, list) else [path]
    return [layer for item in paths for layer in _read_file(item)]


def image_layers(volume: Volume) -> list[LayerData]:
    """Return an image as layers in display order.

    Three or four 8-bit channels are taken for colours and make one layer; other channels make a
    layer each.
    """
    array = volume.geometry.canonical().apply(volume.array)
    options = placement(volume)
    if not volume.has_channel_axis:
        return [(array, {**options, **_window(array)}, "image")]
    if volume.channels in (3, 4) and array.dtype == np.uint8:
        return [(array, {**options, "rgb": True}, "image")]
    return [
        (
            array[..., channel],
            {**options, **_window(array[..., channel]), "name": f"{volume.name} [{channel}]"},
            "image",
        )
        for channel in range(volume.channels)
    ]


def _window(array: NDArray[Any]) -> dict[str, Any]:
    """Return grey values to show as black and white: a few bright voxels must not darken the rest.

    From about a hundred thousand voxels, so that a memory-mapped volume opens at once.
    """
    step = max(1, round((array.size / 1e5) ** (1 / array.ndim)))
    sample = np.asarray(array[(slice(None, None, step),) * array.ndim], dtype=np.float64)
    low, high = (float(v) for v in np.percentile(sample, [0.5, 99.7]))
    return {"contrast_limits": (low, high)} if high > low else {}


def labels_layer(volume: Volume) -> LayerData:
    """Return labels as a layer in display order, in an array of its own that can be painted on."""
    shown = volume.geometry.canonical().apply(volume.array)
    return np.array(shown, order="C"), placement(volume), "labels"


def placement(volume: Volume) -> dict[str, Any]:
    """Return a layer's name and place in the world.

    The true affine cannot be given to the layer: napari does not draw permuted or oblique axes
    while it slices. It goes into the metadata, with the way back to the order of the file.
    """
    order = volume.geometry.canonical()
    names = ("S", "P", "L") if volume.geometry.oriented else ("z", "y", "x")
    return {
        "name": volume.name,
        "scale": order.scale,
        "translate": order.translate,
        "units": (volume.geometry.units,) * volume.geometry.ndim,
        "axis_labels": names[-volume.geometry.ndim :],
        "metadata": {
            METADATA: {
                "source": volume.source,
                "affine": order.geometry.affine.tolist(),
                "order": order.to_dict(),
            }
        },
    }


def _read_file(path: PathLike) -> list[LayerData]:
    if _LABEL_WORDS.search(os.path.basename(path).lower()):
        try:
            labels = read_labels(path)
        except FormatError:
            pass  # an image with a misleading name, or unreadable: the next line says which
        else:
            if len(np.unique(labels.array)) <= _MOST_CLASSES:
                return [labels_layer(labels)]
    return image_layers(read(path))
