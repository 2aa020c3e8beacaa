"""What a format cannot hold of where an image lies, said before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..volume.geometry import Geometry
    from ..volume.image import Volume

#: Formats that keep every number of an oriented image.
_WHOLE = ("nifti", "nrrd", "metaimage")

#: Formats of pixels and voxel sizes only.
_SIZES_ONLY = ("tiff", "ome-tiff")

#: Cosine between two axes above which they are not at right angles.
_SHEARED = 1e-4


def losses(format_key: str, volume: Volume) -> list[str]:
    """Return one sentence for each thing that a format cannot hold of a volume.

    Parameters
    ----------
    format_key : str
        Key of an `ExportFormat`.
    volume : Volume
        Only its geometry is looked at.
    """
    geometry = volume.geometry
    if format_key in _WHOLE:
        return _of_whole(format_key, geometry)
    if format_key in _SIZES_ONLY:
        return _of_sizes(geometry)
    if format_key == "ome-zarr":
        return _of_zarr(geometry)
    if format_key == "npy":
        return ["A NumPy file holds the voxels alone: voxel size, position and direction are lost."]
    if format_key in ("stl", "obj"):
        return [
            "A surface runs half way between voxels and cannot be turned back into them.",
            *_pixels(geometry),
        ]
    if format_key == "rtstruct":
        return ["Contours hold outlines in each slice; whoever fills them may differ at the edge."]
    if format_key in ("csv", "json"):
        said = ["A table holds numbers, no mask."]
        if geometry.units == "pixel":
            said.append("The image has no voxel size, so voxels are counted, not millilitres.")
        return said
    return []


def is_sheared(geometry: Geometry) -> bool:
    """Whether axes are not at right angles, as in CT with a tilted gantry: cosine above 1e-4."""
    n = geometry.ndim
    axes = geometry.affine[:3, :n] / np.linalg.norm(geometry.affine[:3, :n], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(n)).max() > _SHEARED)


def _of_whole(format_key: str, geometry: Geometry) -> list[str]:
    said = []
    if geometry.units == "pixel":
        said += _pixels(geometry)
    elif geometry.units != "mm" and format_key != "nifti":
        said.append(f"Lengths are converted from {geometry.units} to millimetres.")
    if is_sheared(geometry) and format_key != "nifti":
        said.append(
            "The image's axes are not at right angles (a tilted gantry); the file says so, but "
            "some programs straighten it."
        )
    return said


def _of_sizes(geometry: Geometry) -> list[str]:
    if not geometry.oriented:
        return [] if not any(geometry.origin) else ["TIFF holds no position: it is lost."]
    said = [
        "TIFF cannot say where the image lies in space: position and direction are lost, and "
        "pages, rows and columns are stored as they are shown."
    ]
    if geometry.is_oblique:
        said.append("The image is oblique, so no reader can put these labels back but by hand.")
    return said


def _of_zarr(geometry: Geometry) -> list[str]:
    if geometry.is_oblique or is_sheared(geometry):
        return [
            "OME-Zarr 0.4 holds no rotation: the image is oblique and is stored straightened "
            "about its first voxel, so positions in space are lost."
        ]
    if geometry.oriented and not geometry.canonical().is_identity:
        return [
            "OME-Zarr 0.4 holds no flips: the axes are reordered to z, y, x ascending to Superior, "
            "Posterior and Left, so that every voxel keeps its place."
        ]
    return []


def _pixels(geometry: Geometry) -> list[str]:
    if geometry.units != "pixel":
        return []
    return ["The image has no voxel size; a pixel is written as one millimetre."]
