"""What napari calls to save labels: back in the order and geometry of where they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats import FormatError, read
from ..formats import write_labels as write_file
from ..volume.geometry import CanonicalOrder, Geometry
from ..volume.image import Volume
from .layer_roles import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Units that pint spells out -> units of a geometry.
_UNITS = {
    "millimeter": "mm",
    "micrometer": "um",
    "micron": "um",
    "nanometer": "nm",
    "meter": "m",
    "pixel": "pixel",
}


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
    order, like = _target(np.shape(data), meta)
    write_file(path, order.invert(np.asarray(data)), like)
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


def _target(shape: tuple[int, ...], meta: Mapping[str, Any]) -> tuple[CanonicalOrder, Volume]:
    """Return the way to the order of the file, and a volume with the header to write."""
    entry = meta.get("metadata", {}).get(METADATA, {})
    if "order" in entry:
        order = CanonicalOrder.from_dict(entry["order"])
        if order.shape == tuple(shape):
            return order, _like(entry.get("source"), order.source)
    n = len(shape)
    if n not in (2, 3):
        raise FormatError(f"The labels have {n} dimensions; only planes and volumes can be saved.")
    units = {_UNITS.get(str(unit), "pixel") for unit in meta.get("units") or ("pixel",)}
    geometry = Geometry.from_spacing(
        tuple(abs(float(size)) for size in meta.get("scale", (1.0,) * n)),
        shape,
        origin=tuple(float(place) for place in meta.get("translate", (0.0,) * n)),
        units=units.pop() if len(units) == 1 else "pixel",
    )
    return geometry.canonical(), _bare(geometry)


def _like(source: str | None, geometry: Geometry) -> Volume:
    """Return the source file's volume if it is still the same, for its header; else a bare one."""
    if source:
        try:
            volume = read(source)
        except FormatError:
            return _bare(geometry)  # moved or changed since; the layer remembers the geometry
        if volume.geometry == geometry:
            return volume
    return _bare(geometry)


def _bare(geometry: Geometry) -> Volume:
    """Return a volume that has a geometry and no voxels worth storing."""
    return Volume(np.broadcast_to(np.uint8(0), geometry.shape), geometry)
