"""The way from a layer's array back to the order, geometry and header of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine

from ..formats import FormatError, read
from ..volume.geometry import CanonicalOrder, Geometry
from ..volume.image import Volume
from ..volume.order import DISPLAY_AXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..volume.project import ImageInfo

#: Units that pint spells out -> units of a geometry.
_UNITS = {
    "millimeter": "mm",
    "micrometer": "um",
    "micron": "um",
    "nanometer": "nm",
    "meter": "m",
    "pixel": "pixel",
    "mm": "mm",
    "um": "um",
    "nm": "nm",
    "m": "m",
}


def target_of(
    shape: tuple[int, ...], entry: Mapping[str, Any], world: Geometry
) -> tuple[CanonicalOrder, Volume]:
    """Return how to bring a shown array back to its file, and a volume with the header to write.

    Reads the source file when it is still there: use a thread where that may take long.

    Parameters
    ----------
    shape : tuple of int
        Of the array as shown.
    entry : mapping
        What the reader of this plugin left in the layer's metadata: source, part, order.
    world : Geometry
        Where napari shows the array; for layers of other origin.

    Returns
    -------
    order : CanonicalOrder
        ``order.invert`` takes a shown array to the file's order.
    like : Volume
        Carries the header to copy; only the geometry when the file is gone or never was.
    """
    if "order" in entry:
        order = CanonicalOrder.from_dict(entry["order"])
        if order.shape == tuple(shape):
            source, part = str(entry.get("source") or ""), str(entry.get("part") or "")
            return order, _like(source, part, order.source)
    return world.canonical(), bare(world)


def project_target(info: ImageInfo) -> tuple[CanonicalOrder, Volume]:
    """Return the same for the image of a project; reads its file, so use a thread."""
    return target_of(info.shape, info.layer.get("metadata", {}), _shown_geometry(info))


def remembered_order(info: ImageInfo) -> CanonicalOrder:
    """Return the way from the shown image of a project to its file, without reading that.

    Its ``source`` is the geometry of the image in the order of the file.
    """
    entry = info.layer.get("metadata", {})
    if "order" in entry:
        order = CanonicalOrder.from_dict(entry["order"])
        if order.shape == tuple(info.shape):
            return order
    return _shown_geometry(info).canonical()


def _shown_geometry(info: ImageInfo) -> Geometry:
    keys = ("scale", "translate", "rotate", "shear", "affine", "units")
    meta = {"scale": info.spacing} | {key: info.layer[key] for key in keys if key in info.layer}
    return world_geometry(info.shape, meta)


def world_geometry(shape: tuple[int, ...], meta: Mapping[str, Any]) -> Geometry:
    """Return where napari shows an array, from the state of its layer.

    napari's last axes are taken for Superior, Posterior and Left, as the plugin shows images.

    Parameters
    ----------
    shape : tuple of int
        Spatial shape, two or three lengths.
    meta : mapping
        Keyword arguments of the layer: scale, translate, rotate, shear, affine, units.

    Raises
    ------
    FormatError
        If there are more dimensions.
    """
    n = len(shape)
    if n not in (2, 3):
        raise FormatError(f"The labels have {n} dimensions; only planes and volumes can be saved.")
    own = Affine(
        scale=meta.get("scale", (1.0,) * n),
        translate=meta.get("translate", (0.0,) * n),
        rotate=meta.get("rotate"),
        shear=meta.get("shear"),
        ndim=n,
    )
    matrix = own.affine_matrix
    further = meta.get("affine")
    if further is not None:
        matrix = np.asarray(getattr(further, "affine_matrix", further), float) @ matrix
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    for shown, (axis, sign) in enumerate(DISPLAY_AXES[3 - n :]):
        affine[axis, :n] = sign * matrix[shown, :n]
        affine[axis, 3] = sign * matrix[shown, n]
    if n == 2:
        affine[2, 2] = 1.0
    try:
        return Geometry(affine + 0.0, shape, _unit(meta.get("units")), oriented=False)
    except ValueError as error:
        raise FormatError(f"The layer cannot be saved: {error}; correct its scale.") from error


def bare(geometry: Geometry) -> Volume:
    """Return a volume that has a geometry and no voxels worth storing."""
    return Volume(np.broadcast_to(np.uint8(0), geometry.shape), geometry)


def _unit(units: Sequence[Any] | None) -> str:
    found = {_UNITS.get(str(unit), "pixel") for unit in units or ("pixel",)}
    return found.pop() if len(found) == 1 else "pixel"


def _like(source: str, part: str, geometry: Geometry) -> Volume:
    """Return the source file's volume if it is still the same, for its header; else a bare one."""
    if source:
        try:
            volume = read(source, part or None)
        except FormatError:
            return bare(geometry)  # moved or changed since; what is remembered is enough
        if volume.geometry == geometry:
            return volume
    return bare(geometry)
