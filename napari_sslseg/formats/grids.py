"""Whether two images are on one grid of voxels, and how they differ if not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: Shares of a voxel by which the centres of two voxels may differ that are one.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Placement:
    """Where an array lies in another one, voxel on voxel.

    Parameters
    ----------
    permutation : tuple of int
        ``permutation[a]`` is the axis of the placed array that runs along axis ``a`` of the other.
    flips : tuple of bool
        Whether it runs against it.
    offset : tuple of int
        Index, in the other, of the corner of the placed array; may be negative.
    """

    permutation: tuple[int, ...]
    flips: tuple[bool, ...]
    offset: tuple[int, ...]

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of an array of the placed grid with the axes of the other one."""
        view = array.transpose(self.permutation)
        return view[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def overlap(self, array: NDArray[Any], onto: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return views of the voxels that both arrays have, with the axes of the other one.

        Parameters
        ----------
        array : ndarray
            On the placed grid.
        onto : ndarray
            On the other one, of as many axes.

        Returns
        -------
        tuple of two ndarrays
            Of `array` and of `onto`, of one shape; empty where they do not meet.
        """
        view = self.turned(array)
        inside, target = [], []
        for length, start, limit in zip(view.shape, self.offset, onto.shape, strict=True):
            low, high = max(0, -start), min(length, limit - start)
            inside.append(slice(low, max(low, high)))
            target.append(slice(start + low, start + max(low, high)))
        return view[tuple(inside)], onto[tuple(target)]

    def put(self, labels: NDArray[np.uint8], onto: NDArray[np.uint8]) -> bool:
        """Copy labels into an array unless one lies outside of it; returns whether it was done.

        Parameters
        ----------
        labels : ndarray of uint8
            On the placed grid; its zeros may lie outside, and are copied as well.
        onto : ndarray of uint8
            On the other one; changed in place.
        """
        part, target = self.overlap(labels, onto)
        if np.count_nonzero(part) < np.count_nonzero(labels):
            return False
        target[...] = part
        return True


def placement(placed: Geometry, onto: Geometry) -> Placement | None:
    """Return how a grid lies in another whose voxels it shares; None if it does not.

    A grid may be turned, mirrored and cropped against the other. Along an axis of one voxel the
    voxel size does not matter.

    Parameters
    ----------
    placed, onto : Geometry
        In any units. All voxel centres have to meet within `TOLERANCE` of a voxel of `onto`.
    """
    n = onto.ndim
    if placed.ndim != n:
        return None
    a, b = placed.in_millimetres().affine, onto.in_millimetres().affine
    index = np.linalg.inv(b) @ a  # index of `placed` -> index of `onto`
    matrix, start = index[:n, :n].copy(), index[:n, 3]
    if n == 2 and np.abs(index[2, :2]).max(initial=0.0) > TOLERANCE:
        return None
    if n == 2 and placed.oriented and onto.oriented and abs(index[2, 3]) > TOLERANCE:
        return None
    if not _fit_free_axes(matrix, placed.shape):
        return None
    steps = np.round(matrix)
    if sorted(np.abs(steps).sum(axis=0)) != [1] * n or sorted(np.abs(steps).sum(axis=1)) != [1] * n:
        return None
    last = np.array(placed.shape) - 1
    # An error in the steps grows along the axis, so the far corner has to fit as well.
    drift = np.abs(matrix - steps) @ last + np.abs(start - np.round(start))
    if drift.max() > TOLERANCE:
        return None
    permutation = tuple(int(np.abs(steps[axis]).argmax()) for axis in range(n))
    signs = [steps[axis, permutation[axis]] for axis in range(n)]
    first = [
        round(float(start[axis])) - (int(last[permutation[axis]]) if signs[axis] < 0 else 0)
        for axis in range(n)
    ]
    return Placement(permutation, tuple(bool(s < 0) for s in signs), tuple(first))


def with_slice_axis(image: Geometry) -> Geometry:
    """Return a plane that says where it lies as a stack of one slice, in mm; others as they are."""
    if image.ndim == 3 or not image.oriented:
        return image
    return Geometry(image.in_millimetres().affine, (*image.shape, 1))


def same_grid(one: Geometry, other: Geometry) -> bool:
    """Whether each voxel of an array is, within `TOLERANCE`, that of the same index in another."""
    placed = placement(one, other)
    n = one.ndim
    return one.shape == other.shape and placed == Placement(tuple(range(n)), (False,) * n, (0,) * n)


def _fit_free_axes(matrix: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Replace, in place, the steps along axes of one voxel, which lead nowhere, by fitting ones."""
    for axis, length in enumerate(shape):
        if length > 1:
            continue
        others = np.delete(np.abs(np.round(matrix)), axis, axis=1)
        free = np.flatnonzero(others.sum(axis=1) == 0)
        if not len(free):
            return False
        along = max(free, key=lambda world, a=axis: abs(matrix[world, a]))  # type: ignore[misc]
        step = np.zeros(len(shape))
        step[along] = 1.0 if matrix[along, axis] >= 0 else -1.0
        matrix[:, axis] = step
    return True


def difference(one: Geometry, other: Geometry) -> str:
    """Return what differs between two grids, in words: ``"its shape is …"``.

    Lengths of both are along the axes of `other`, the image, in the order of its file: as the
    slicing axis is counted on the command line, and as programs print the shape. Where they lie
    counts if both say it, by directions or by an origin alone.

    Returns
    -------
    str
        Clauses with commas between them. It is taken for granted that something differs.
    """
    if one.ndim != other.ndim:
        return f"it has {one.ndim} dimensions, the image has {other.ndim}"
    order = other.canonical()
    a, b = one.canonical().geometry, order.geometry
    axes = [order.axis_to_display(axis) for axis in range(other.ndim)]
    said = []
    if a.shape != b.shape:
        own = tuple(a.shape[axis] for axis in axes)
        # Else somebody who looks at both files would see one shape.
        turned = " along the image's axes" if one.shape == other.shape else ""
        said.append(f"its shape{turned} is {_sizes(own)}, the image's {_sizes(other.shape)}")
    if not np.allclose(a.spacing_mm, b.spacing_mm, rtol=1e-3):
        sizes = tuple(a.spacing_mm[axis] for axis in axes)
        said.append(
            f"its voxels measure {_sizes(sizes)} mm, the image's {_sizes(other.spacing_mm)} mm"
        )
    if all(g.oriented or any(g.origin) for g in (one, other)):
        x, y = (g.in_millimetres() for g in (a, b))
        directions = [g.affine[:3, :3] / np.linalg.norm(g.affine[:3, :3], axis=0) for g in (x, y)]
        cosine = np.clip((directions[0] * directions[1]).sum(axis=0), -1, 1).min()
        angle = float(np.degrees(np.arccos(cosine)))
        if angle > 0.05:
            said.append(f"it is turned by {angle:.2g}°")
        middles = [g.position((np.array(g.shape) - 1) / 2) for g in (x, y)]
        apart = float(np.linalg.norm(middles[0] - middles[1]))
        if apart > 0.01 * min(y.spacing):
            unit = "voxels" if one.units == other.units == "pixel" else "mm"
            said.append(f"its centre lies {apart:.3g} {unit} off")
    return ", ".join(said) or "its voxels lie between the image's"


def _sizes(values: tuple[float, ...] | tuple[int, ...]) -> str:
    return " × ".join(f"{value:.4g}" for value in values)
