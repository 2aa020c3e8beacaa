"""Where an array lies in the world.

World coordinates are RAS+ (x to the patient's Right, y to Anterior, z to Superior), the convention
of NIfTI [1]_. ITK's formats (NRRD, MetaImage) use LPS+, which negates x and y.

.. [1] https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .order import DISPLAY_AXES, CanonicalOrder, closest_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["CanonicalOrder", "Geometry"]

#: RAS <-> LPS: both are their own inverse.
_RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Axis codes of an ascending and of a descending world axis, x, y, z.

#: Length of one unit in millimetres; a pixel has no length and is taken as one millimetre.
_MILLIMETRES = {"m": 1e3, "mm": 1.0, "um": 1e-3, "nm": 1e-6, "pixel": 1.0}

#: Cosine to the closest world axis below which an axis counts as oblique (about 0.06 degrees).
_OBLIQUE_COSINE = 1.0 - 5e-7


@dataclass(frozen=True, eq=False)
class Geometry:
    """Position, orientation and voxel size of an array with two or three spatial axes.

    Parameters
    ----------
    affine : array_like, shape (4, 4)
        Maps an array index ``(i, j, k, 1)`` to world RAS+ coordinates in `units`. An array of two
        dimensions has the index ``k = 0``. Stored as a read-only float64 copy.
    shape : sequence of int
        The two or three spatial lengths of the array, in array order.
    units : {"mm", "um", "nm", "m", "pixel"}
        Unit of the world coordinates.
    oriented : bool
        Whether the directions are known. If not (TIFF, plain arrays), the array's own order is
        taken for the display order, and the affine should say the same (as `from_spacing` does).

    Raises
    ------
    ValueError
        If the affine is not a finite, invertible affine transform, or the shape or unit is not
        one of the above.

    Examples
    --------
    >>> geometry = Geometry.from_spacing((2.0, 0.5, 0.5), (10, 64, 64), origin=(1.0, 2.0, 3.0))
    >>> geometry.spacing, geometry.origin
    ((2.0, 0.5, 0.5), (-2.0, -1.0, 1.0))
    """

    affine: NDArray[np.float64]
    shape: tuple[int, ...]
    units: str = "mm"
    oriented: bool = True

    def __post_init__(self) -> None:
        """Check and freeze the values."""
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError("the affine is not a 4x4 matrix of finite numbers")
        if not np.array_equal(affine[3], (0.0, 0.0, 0.0, 1.0)):
            raise ValueError("the last row of the affine is not (0, 0, 0, 1)")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if (lengths == 0).any() or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
            raise ValueError("the affine is singular: two axes coincide or a voxel has no size")
        shape = tuple(int(length) for length in self.shape)
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise ValueError(f"the spatial shape {shape} is not two or three positive lengths")
        if self.units not in _MILLIMETRES:
            raise ValueError(f"the unit {self.units!r} is not one of {', '.join(_MILLIMETRES)}")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def from_spacing(
        cls,
        spacing: Sequence[float],
        shape: Sequence[int],
        *,
        origin: Sequence[float] | None = None,
        units: str = "mm",
    ) -> Geometry:
        """Geometry of an array without known directions, such as a TIFF stack or a napari layer.

        The array's axes are taken for the display axes: (Superior, Posterior, Left) in three
        dimensions, (Posterior, Left) in two.

        Parameters
        ----------
        spacing : sequence of float
            Positive voxel size along each array axis, in `units`.
        shape : sequence of int
            Spatial shape of the array.
        origin : sequence of float, optional
            Position of the first voxel along each array axis, in `units`; zero by default.
        units : str
            Unit of spacing and origin.

        Raises
        ------
        ValueError
            If these are not two or three values each, alike, a spacing is not positive, or as of
            `Geometry`.
        """
        n = len(shape)
        origin = (0.0,) * n if origin is None else origin
        if n not in (2, 3) or len(spacing) != n or len(origin) != n:
            raise ValueError("shape, spacing and origin need two or three values each, alike")
        if min(spacing) <= 0:
            raise ValueError(f"the spacing {tuple(spacing)} is not positive")
        affine = np.zeros((4, 4))
        affine[3, 3] = 1.0
        for axis, (world, sign) in enumerate(DISPLAY_AXES[3 - n :]):
            affine[world, axis] = sign * spacing[axis]
            affine[world, 3] = sign * origin[axis]
        if n == 2:
            affine[2, 2] = 1.0
        return cls(affine, tuple(shape), units, oriented=False)

    @classmethod
    def from_lps(
        cls,
        direction: ArrayLike,
        spacing: ArrayLike,
        origin: ArrayLike,
        shape: Sequence[int],
        *,
        units: str = "mm",
    ) -> Geometry:
        """Geometry from ITK's description of an image, in two or three dimensions.

        Parameters
        ----------
        direction : array_like, n*n values
            Direction cosines in LPS+, one column for each array axis (row-major, as ITK gives it).
        spacing, origin : array_like, n values
            Voxel size, and LPS+ position of the first voxel, in `units`.
        shape : sequence of int
            Spatial shape of the array in ITK's index order ``(i, j[, k])``.
        units : str
            Unit of spacing and origin.

        Raises
        ------
        ValueError
            If direction, spacing and origin are of different n, or as of `Geometry`.
        """
        step, start = np.asarray(spacing, float).ravel(), np.asarray(origin, float).ravel()
        n = len(step)
        lps = np.eye(4)
        lps[:n, :n] = np.asarray(direction, float).reshape(n, n) * step
        lps[:n, 3] = start
        return cls(_RAS_LPS @ lps, tuple(shape), units)

    def to_lps(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return ITK's (direction (n, n), spacing (n,), origin (n,)) in LPS+ and `units`."""
        n = self.ndim
        lps = _RAS_LPS @ self.affine
        spacing = np.array(self.spacing)
        return lps[:n, :n] / spacing, spacing, lps[:n, 3].copy()

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size along each array axis, in `units`."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(length) for length in lengths[: self.ndim])

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel size along each array axis in millimetres (a pixel counts as one)."""
        return tuple(_MILLIMETRES[self.units] * length for length in self.spacing)

    @property
    def origin(self) -> tuple[float, float, float]:
        """World RAS+ position of the first voxel, in `units`."""
        x, y, z = self.affine[:3, 3]
        return float(x), float(y), float(z)

    @property
    def is_oblique(self) -> bool:
        """Whether any array axis is not parallel to a world axis."""
        directions = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return bool((np.abs(directions).max(axis=0) < _OBLIQUE_COSINE).any())

    def in_millimetres(self) -> Geometry:
        """Return the same geometry with world coordinates in millimetres."""
        factor = _MILLIMETRES[self.units]
        affine = self.affine.copy()
        affine[:3] *= factor
        if self.ndim == 2:  # the third axis of a 2D image has no length: keep it a unit vector
            affine[:3, 2] = self.affine[:3, 2]
        return Geometry(affine, self.shape, "mm", self.oriented)

    def position(self, index: ArrayLike) -> NDArray[np.float64]:
        """Return world RAS+ positions ``(..., 3)``, in `units`, of array indices ``(..., ndim)``.

        Raises
        ------
        ValueError
            When the last axis has another length.
        """
        points = np.asarray(index, dtype=np.float64)
        n = self.ndim
        return np.asarray(points @ self.affine[:3, :n].T + self.affine[:3, 3])

    def canonical(self) -> CanonicalOrder:
        """Return the order in which an array of this geometry is shown.

        Each array axis is matched with the world axis closest to it (for obliques: the assignment
        with the largest sum of cosines), so the result is always a permutation and flips.
        """
        n = self.ndim
        if not self.oriented:
            return CanonicalOrder(self, tuple(range(n)), (False,) * n)
        world, signs = closest_axes(self.affine)
        permutation, flips = [], []
        for wanted, sign in DISPLAY_AXES:
            axis = world.index(wanted)
            if axis < n:  # the third axis of a 2D image is not an axis of the array
                permutation.append(axis)
                flips.append(signs[axis] != sign)
        return CanonicalOrder(self, tuple(permutation), tuple(flips))

    def __eq__(self, other: object) -> bool:
        """Whether every number and flag is the same."""
        if not isinstance(other, Geometry):
            return NotImplemented
        return (
            np.array_equal(self.affine, other.affine)
            and (self.shape, self.units) == (other.shape, other.units)
            and self.oriented == other.oriented
        )

    def __hash__(self) -> int:
        """Hash of the values (adding zero makes -0.0, which equals 0.0, hash as it does)."""
        return hash(((self.affine + 0.0).tobytes(), self.shape, self.units, self.oriented))
