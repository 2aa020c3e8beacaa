"""What napari calls to save labels: back in the order and geometry of where they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats import FormatError
from ..formats import write_labels as write_file
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, ClassTable, SegmentClass
from .export_target import target_of, world_geometry
from .layer_roles import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write_labels(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Save one labels layer.

    A layer that came from a file, or was made on an image that did, is written with that file's
    geometry header; any other with the scale and translation that it has in napari.

    Returns
    -------
    list of str
        The path written.

    Raises
    ------
    FormatError
        With one sentence for the user, if the labels cannot be saved.
    """
    shape = np.shape(data)
    entry = meta.get("metadata", {}).get(METADATA, {})
    order, like = target_of(shape, entry, world_geometry(shape, meta))
    write_file(path, order.invert(np.asarray(data)), like, _classes(meta))
    return [path]


def write_labels_like(path: str, layers: Sequence[tuple[Any, dict[str, Any], str]]) -> list[str]:
    """Save a labels layer with the geometry of the image layer selected with it."""
    labels = next(data for data, _, kind in layers if kind == "labels")
    image, meta, _ = next(layer for layer in layers if layer[2] == "image")
    shape = np.shape(image)[:-1] if meta.get("rgb") else np.shape(image)
    if np.shape(labels) != shape:
        raise FormatError(
            f"{path} cannot be written: the labels have the shape {np.shape(labels)}, the image "
            f"has {shape}."
        )
    return write_labels(path, labels, meta)


def _classes(meta: Mapping[str, Any]) -> ClassTable | None:
    """Return the names and colours of a layer of this plugin, for formats that hold them."""
    features, colors = meta.get("features"), getattr(meta.get("colormap"), "color_dict", None)
    if features is None or colors is None or "class" not in features:
        return None
    table = ClassTable()
    for class_id, name in zip(features["index"], features["class"], strict=True):
        color = colors.get(int(class_id))
        if BACKGROUND < int(class_id) < NOT_ANNOTATED and color is not None and str(name).strip():
            rgb = "".join(f"{round(float(v) * 255):02x}" for v in np.asarray(color)[:3])
            table.set(SegmentClass(int(class_id), str(name), f"#{rgb}"))
    return table
