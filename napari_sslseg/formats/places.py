"""Whether a file says where its voxels lie, and in which order it holds them if not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .registry import suffix_of

if TYPE_CHECKING:
    from ..volume.image import Volume

_NIFTI = (".nii", ".nii.gz")
_NRRD = (".nrrd", ".nhdr")


def says_where(volume: Volume) -> bool:
    """Whether a file says where its voxels lie, and not only how large they are.

    Parameters
    ----------
    volume : Volume
        As it was read from one file. Without its header, its geometry is believed.
    """
    header: Any = volume.header
    suffix = suffix_of(volume.source or "")
    if header is not None and suffix in _NIFTI:
        return int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    if header is not None and suffix in _NRRD:
        return bool(header.nrrd)
    # Without directions an image may say where it begins, as OME-Zarr does.
    return volume.geometry.oriented or any(volume.geometry.origin)


def in_file_order(volume: Volume) -> bool:
    """Whether labels of an image are kept in the order of its own file, where no place is said.

    So are arrays of NumPy, and NIfTI and NRRD files that hold as little. TIFF, pictures and
    OME-Zarr hold images as they are shown.

    Parameters
    ----------
    volume : Volume
        As of `says_where`.
    """
    suffix = suffix_of(volume.source or "")
    return suffix == ".npy" or (suffix in (*_NIFTI, *_NRRD) and not says_where(volume))
