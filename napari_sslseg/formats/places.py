"""Whether a file says where its voxels lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .registry import suffix_of

if TYPE_CHECKING:
    from ..volume.image import Volume


def says_where(volume: Volume) -> bool:
    """Whether a file says where its voxels lie, and not only how large they are.

    Parameters
    ----------
    volume : Volume
        As it was read from one file, with its header.
    """
    header: Any = volume.header
    suffix = suffix_of(volume.source or "")
    if suffix in (".nii", ".nii.gz"):
        return int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    if suffix in (".nrrd", ".nhdr"):
        return bool(header.nrrd)
    return volume.geometry.oriented
