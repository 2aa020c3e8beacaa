"""Labels as OME-Zarr 0.4: several resolutions, with the names and colours of the classes.

.. [1] https://ngff.openmicroscopy.org/0.4/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, ClassTable, voxel_counts
from .extras import needing
from .ome_zarr import NOT_ANNOTATED_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..volume.image import Volume

NAME = "OME-Zarr"

VERSION = "0.4"

#: Units of a geometry -> units as the format spells them; a pixel is no unit of length.
UNITS = {"m": "meter", "mm": "millimeter", "um": "micrometer", "nm": "nanometer"}

#: A level with no longer axis than this needs no coarser one.
_SMALL = 256

#: Longest side of a chunk.
_CHUNK = 128


def write_labels(path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
    """Write labels whose classes have no names; as `write_named_labels`."""
    present = np.flatnonzero(voxel_counts(labels))
    write_named_labels(path, labels, like, ClassTable.from_ids(present.tolist()))


def write_named_labels(
    path: Path, labels: NDArray[np.uint8], like: Volume, classes: ClassTable
) -> None:
    """Write a label image that is a group of its own.

    The format knows neither flips nor rotations. So an oriented image is written in display
    order: then x, y, z ascend to Left, Posterior, Superior, as in DICOM's patient coordinates,
    and scale and translation place every voxel exactly, unless the image is oblique.

    Parameters
    ----------
    path : Path
        New folder.
    labels : ndarray of uint8
        In the file order of `like`.
    like : Volume
        Gives the geometry.
    classes : ClassTable
        Names and colours.
    """
    with needing("zarr", NAME):
        import numcodecs
        import zarr
    order = like.geometry.canonical()
    array = np.ascontiguousarray(order.apply(labels))
    scale, translation = np.array(order.scale), [float(v) for v in order.translate]
    group = zarr.create_group(store=str(path), zarr_format=2)
    datasets = []
    for level, (data, factors) in enumerate(_pyramid(array, tuple(order.scale))):
        group.create_array(
            str(level),
            data=np.ascontiguousarray(data),
            chunks=tuple(min(_CHUNK, n) for n in data.shape),
            chunk_key_encoding={"name": "v2", "separator": "/"},
            compressors=numcodecs.Blosc(cname="zstd", clevel=5),
        )
        transformations: list[dict[str, Any]] = [
            {"type": "scale", "scale": [float(v) for v in scale * factors]},
            {"type": "translation", "translation": translation},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    unit = {"unit": UNITS[like.geometry.units]} if like.geometry.units in UNITS else {}
    axes = [{"name": name, "type": "space", **unit} for name in "zyx"[-array.ndim :]]
    multiscale = {
        "version": VERSION,
        "name": "labels",
        "axes": axes,
        "datasets": datasets,
        "type": "nearest",
    }
    attributes: dict[str, Any] = {
        "multiscales": [multiscale],
        "image-label": _image_label(array, classes),
    }
    group.attrs.update(attributes)


def _pyramid(
    array: NDArray[np.uint8], scale: tuple[float, ...]
) -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Return views of falling resolution, and the strides they were taken with.

    Every second voxel is kept along the axes that are finest, so that voxels become cubes. The
    first voxel stays the first one, so all levels have the same translation.
    """
    levels = [(array, np.ones(array.ndim))]
    while max(levels[-1][0].shape) > _SMALL:
        data, factors = levels[-1]
        size = np.asarray(scale) * factors
        long = np.array(data.shape) > 1
        halve = long & (size < 2 * size[long].min())
        step = np.where(halve, 2, 1)
        levels.append((data[tuple(slice(None, None, int(s)) for s in step)], factors * step))
    return levels


def _image_label(array: NDArray[np.uint8], classes: ClassTable) -> dict[str, Any]:
    """Return names and colours; both lists hold the same values, as validators want it."""
    rows = [(BACKGROUND, "Background", [0, 0, 0, 0])]
    for item in classes:
        rows.append((item.id, item.name, [*bytes.fromhex(item.color[1:]), 255]))
    if (array == NOT_ANNOTATED).any():
        rows.append((NOT_ANNOTATED, NOT_ANNOTATED_NAME, [0, 0, 0, 0]))
    return {
        "version": VERSION,
        "colors": [{"label-value": value, "rgba": rgba} for value, _, rgba in rows],
        "properties": [{"label-value": value, "name": name} for value, name, _ in rows],
    }
