"""Arrays brought onto another grid by ITK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..volume.geometry import Geometry


def resampled(
    array: NDArray[Any],
    source: Geometry,
    onto: Geometry,
    outside: float,
    how: Literal["linear", "nearest"],
) -> NDArray[Any]:
    """Return the values of an array at the voxels of another grid.

    Parameters
    ----------
    array : ndarray, shape (*source.shape)
        Real values, without channels, of a type that ITK knows.
    source, onto : Geometry
        Of the array, and of the result; of as many dimensions.
    outside : float
        Value of voxels that lie outside of the array.
    how : {"linear", "nearest"}
        Between voxels, or the value of the nearest one.

    Returns
    -------
    ndarray, shape (*onto.shape)
        Of the type of `array`.

    Raises
    ------
    ValueError
        If the geometries differ in dimensions.
    """
    import SimpleITK as sitk

    if source.ndim != onto.ndim:
        raise ValueError(f"{source.ndim} dimensions cannot be brought onto {onto.ndim}")
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    _place(image, source)
    reference = sitk.Image([int(n) for n in onto.shape], sitk.sitkUInt8)
    _place(reference, onto)
    kind = sitk.sitkLinear if how == "linear" else sitk.sitkNearestNeighbor
    moved = sitk.Resample(image, reference, sitk.Transform(), kind, float(outside))
    values: NDArray[Any] = sitk.GetArrayFromImage(moved).T
    return values


def _place(image: Any, geometry: Geometry) -> None:
    direction, spacing, origin = geometry.in_millimetres().to_lps()
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
