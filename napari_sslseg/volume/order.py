"""The order in which an array is shown, and the exact way back to the order of its file."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .geometry import Geometry

#: Display axes as (world axis, sign): Superior, Posterior, Left.
DISPLAY_AXES = ((2, 1), (1, -1), (0, -1))


@dataclass(frozen=True)
class CanonicalOrder:
    """A permutation and flips between an array in file order and the array as shown.

    The display order of an oriented image is numpy ``(S, P, L)``: the first axis ascends towards
    Superior, the second towards Posterior, the third towards the patient's Left. With napari's
    default view an axial slice then has anterior at the top and the patient's right on the left,
    as radiologists expect it. In two dimensions the axis across the image is left out.

    Parameters
    ----------
    source : Geometry
        Geometry of the array in file order.
    permutation : tuple of int
        ``permutation[d]`` is the file axis shown as display axis ``d``.
    flips : tuple of bool
        ``flips[d]`` says whether display axis ``d`` runs against its file axis.
    """

    source: Geometry
    permutation: tuple[int, ...]
    flips: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Check that the order fits the geometry."""
        n = self.source.ndim
        if sorted(self.permutation) != list(range(n)) or len(self.flips) != n:
            raise ValueError(f"{self.permutation}, {self.flips} is no order of {n} axes")

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of the array as shown."""
        return tuple(self.source.shape[axis] for axis in self.permutation)

    @property
    def is_identity(self) -> bool:
        """Whether the array is shown in file order."""
        return self.permutation == tuple(range(len(self.permutation))) and not any(self.flips)

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of `array` in display order.

        Parameters
        ----------
        array : ndarray, shape (*source.shape, ...)
            Array in file order; axes after the spatial ones (channels) stay where they are.

        Raises
        ------
        ValueError
            If the spatial shape is not that of the source.
        """
        n = len(self.permutation)
        self._check(array.shape[:n], self.source.shape, "file")
        rest = tuple(range(n, array.ndim))
        return array.transpose(self.permutation + rest)[self._slices()]

    def invert(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of `array`, given in display order, in file order.

        Parameters
        ----------
        array : ndarray, shape (*self.shape, ...)
            Axes after the spatial ones (channels) stay where they are.

        Raises
        ------
        ValueError
            If the spatial shape is not that of the array as shown.
        """
        n = len(self.permutation)
        self._check(array.shape[:n], self.shape, "display")
        rest = tuple(range(n, array.ndim))
        back = tuple(self.axis_to_display(axis) for axis in range(n))
        return array[self._slices()].transpose(back + rest)

    def axis_to_display(self, file_axis: int) -> int:
        """Return the display axis of a file axis, from 0; ValueError for one that is not there."""
        return self.permutation.index(file_axis)

    @property
    def geometry(self) -> Geometry:
        """Geometry of the array in display order: the same voxels at the same positions."""
        columns = self.source.affine.copy()
        for display, (axis, flip) in enumerate(zip(self.permutation, self.flips, strict=True)):
            step = self.source.affine[:, axis]
            columns[:, display] = -step if flip else step
            if flip:
                columns[:, 3] += step * (self.source.shape[axis] - 1)
        return replace(self.source, affine=columns, shape=self.shape)

    @property
    def scale(self) -> tuple[float, ...]:
        """Positive voxel size along each display axis, in the geometry's units."""
        spacing = self.source.spacing
        return tuple(spacing[axis] for axis in self.permutation)

    @property
    def translate(self) -> tuple[float, ...]:
        """Position of the first shown voxel along the display axes, in the geometry's units.

        Exact unless the geometry is oblique: then the volume is shown straightened about its
        first voxel.
        """
        origin = self.geometry.origin
        world, _ = closest_axes(self.source.affine)
        shown = {world[axis] for axis in self.permutation}
        directions = [(axis, sign) for axis, sign in DISPLAY_AXES if axis in shown]
        # Adding zero turns -0.0 into 0.0, which reads better in a status bar.
        return tuple(sign * origin[world] + 0.0 for world, sign in directions)

    def to_dict(self) -> dict[str, Any]:
        """Return the order and the source geometry as plain lists, fit for JSON and metadata."""
        return {
            "permutation": list(self.permutation),
            "flips": list(self.flips),
            "affine": self.source.affine.tolist(),
            "shape": list(self.source.shape),
            "units": self.source.units,
            "oriented": self.source.oriented,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CanonicalOrder:
        """Restore an order from `to_dict`; the numbers come back bit for bit, also through JSON.

        Raises
        ------
        KeyError
            If a key of `to_dict` is missing.
        ValueError
            If the values are no geometry, or no order of its axes.
        """
        from .geometry import Geometry  # which imports this module

        geometry = Geometry(
            np.array(values["affine"], dtype=np.float64),
            tuple(values["shape"]),
            str(values["units"]),
            bool(values["oriented"]),
        )
        return cls(
            geometry,
            tuple(int(axis) for axis in values["permutation"]),
            tuple(bool(flip) for flip in values["flips"]),
        )

    def _slices(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)

    @staticmethod
    def _check(shape: tuple[int, ...], wanted: tuple[int, ...], order: str) -> None:
        if tuple(shape) != tuple(wanted):
            raise ValueError(f"the array has the shape {shape}, not {wanted} in {order} order")


def closest_axes(affine: NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the world axis closest to each of the three array axes, and its sign (+1, -1).

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
        Of array indices to RAS+ positions; see `Geometry`.

    Returns
    -------
    tuple of three int, tuple of three int
        For each array axis: 0, 1 or 2 for x, y, z, each once, and 1 where both ascend together.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    # Rounding makes exact ties (45 degrees) resolve alike on every machine: first permutation.
    cosines = np.round(directions, 9)
    world = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(abs(cosines[w, axis]) for axis, w in enumerate(order)),
    )
    signs = tuple(-1 if cosines[w, axis] < 0 else 1 for axis, w in enumerate(world))
    return world, signs
