"""Labels laid onto the grid of an image: by what both files say of space, else by their shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.geometry import Geometry
from .errors import FormatError
from .grids import Placement, difference, placement, same_grid, with_slice_axis
from .places import in_file_order, says_where
from .resampling import resampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..volume.image import Volume


class GridDiffersError(FormatError):
    """Labels are on another grid than the image; they can be resampled if the user agrees.

    Parameters
    ----------
    path : str
    reason : str
        What differs, see `grids.difference`.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{path} is on another grid than the image: {reason}; agree to resample it, or give "
            "labels on the image's grid."
        )


@dataclass(frozen=True)
class PlacedLabels:
    """Labels on the grid of an image.

    Parameters
    ----------
    labels : ndarray of uint8
        In the file order of the image; 255 where the file says nothing.
    resampled : bool
        Whether the file was on another grid.
    remarks : tuple of str
        A sentence if their shape alone says where they lie.
    """

    labels: NDArray[np.uint8]
    resampled: bool = False
    remarks: tuple[str, ...] = ()


def laid_onto(path: str, source: Volume, like: Volume, *, resample: bool = False) -> PlacedLabels:
    """Lay labels onto the grid of an image.

    Axes in another order or direction, and labels of a part of the image, are no other grid, as
    long as voxel lies on voxel. Where one of the two files does not say where it lies, labels of
    the image's shape lie on it: in the order of its file if they are stored so (see
    `in_file_order`), else as it is shown, and in the other order where only that one fits.

    Parameters
    ----------
    path : str
        Of the labels, for messages.
    source : Volume
        Labels, as read from one file.
    like : Volume
        The image; its values are not looked at.
    resample : bool
        Bring labels on another grid onto this one, each voxel taking the nearest label.

    Raises
    ------
    GridDiffersError
        If the grids differ and `resample` is false.
    FormatError
        If labels that do not say where they lie are of another shape.
    """
    own, onto = source.geometry, like.geometry
    array = np.asarray(source.array)
    if own.ndim != onto.ndim and own.oriented and onto.oriented:
        # Most programs make a volume of a single slice of a patient.
        stack, wide = with_slice_axis(own), with_slice_axis(onto)
        source = replace(source, array=array.reshape(stack.shape), geometry=stack)
        found = laid_onto(path, source, replace(like, geometry=wide), resample=resample)
        return replace(found, labels=found.labels.reshape(onto.shape))
    labels = np.full(onto.shape, NOT_ANNOTATED, dtype=np.uint8)
    known = _can_be_placed(own, onto)
    placed = None
    if known or any(own.origin):  # else the origin is made up, and what fits is chance
        placed = placement(own, onto)
    if placed is None or not _covers(placed, array, labels):
        fitting = _by_shape(source, like, placed)
        if fitting is not None:
            return fitting
        if not says_where(source):
            placed = None  # where it begins is made up
    if placed is not None and placed.put(array, labels):
        return PlacedLabels(labels)
    if not known:
        raise FormatError(
            f"{path} does not fit the image and does not say where it lies: {_shapes(own, onto)}; "
            "give a file of the same shape."
        )
    if not resample:
        raise GridDiffersError(path, difference(own, onto))
    return PlacedLabels(by_nearest(array, own, onto), True)


def _covers(placed: Placement, array: NDArray[np.uint8], onto: NDArray[np.uint8]) -> bool:
    """Whether an array lies on all of another one, and on nothing else."""
    return placed.turned(array).shape == onto.shape and not any(placed.offset)


def _by_shape(source: Volume, like: Volume, placed: Placement | None) -> PlacedLabels | None:
    """Return labels that fit by their shape, where one of the two does not say where it lies."""
    own, onto = source.geometry, like.geometry
    array, order = np.asarray(source.array), onto.canonical()
    said, there = says_where(source), says_where(like)
    if said and not own.oriented and onto.oriented and same_grid(own, _straightened(onto)):
        return PlacedLabels(np.array(order.invert(array), order="C"))
    # Directions are not said by all that say where they begin.
    undirected = placed is None and own.oriented and not onto.oriented
    if said and there and not undirected:
        return None
    shown = own.canonical().apply(array)
    if onto.ndim == 3 and (1, *shown.shape) == order.shape:
        shown = shown[None]  # TIFF does not tell a stack of one page from a plane
    fitting = {}
    if shown.shape == order.shape:
        fitting["as the image is shown"] = order.invert(shown)
    if array.shape == onto.shape:
        fitting["in the order of the image's file"] = array
    if not fitting:
        return None
    orders = [*fitting]
    if in_file_order(source) or (own.oriented and in_file_order(like)):
        orders.reverse()
    labels = np.array(fitting[orders[0]], order="C")
    both = len(orders) == 2 and not np.array_equal(labels, fitting[orders[1]])
    if not (said or there or both):
        return PlacedLabels(labels)  # the usual case of pictures
    how = f", {orders[0]} (it would fit {orders[1]}, too)" if both else ""
    why = "the image does not say" if said else "the file does not say"
    why = why if said or there else "neither file says"
    remark = (
        f"Placed by its shape alone{how}, as {why} where it lies: check left and right, front and "
        "back."
    )
    return PlacedLabels(labels, remarks=(remark,))


def _shapes(own: Geometry, onto: Geometry) -> str:
    """Return the shapes of labels without a place and of an image that they do not fit."""
    if own.ndim != onto.ndim:
        return difference(own, onto)
    stored, shown = (" × ".join(map(str, s)) for s in (onto.shape, onto.canonical().shape))
    also = "" if stored == shown else f", or {shown} as it is shown"
    return f"its shape is {' × '.join(map(str, own.shape))}, the image's {stored}{also}"


def _straightened(image: Geometry) -> Geometry:
    """Return a grid in display order as formats without rotations state it, OME-Zarr for one.

    It has the first voxel and the voxel size of the image, and is the same where no axis is
    oblique.
    """
    order = image.canonical()
    return Geometry.from_spacing(
        order.scale, order.shape, origin=order.translate, units=image.units
    )


def _can_be_placed(geometry: Geometry, onto: Geometry) -> bool:
    """Whether labels of another shape can be placed at all: not a bare stack in a patient."""
    if geometry.oriented:
        return True
    return geometry.units != "pixel" and (any(geometry.origin) or not onto.oriented)


def by_nearest(array: NDArray[np.uint8], source: Geometry, onto: Geometry) -> NDArray[np.uint8]:
    """Return the nearest label of each voxel of a grid; 255 outside of the labels.

    Raises
    ------
    FormatError
        If one is a plane and the other a volume.
    """
    if source.ndim != onto.ndim:
        raise FormatError("Labels of a plane cannot be brought onto a volume, nor the reverse.")
    return np.ascontiguousarray(resampled(array, source, onto, NOT_ANNOTATED, "nearest"))
