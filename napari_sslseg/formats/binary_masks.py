"""Masks that hold 255 where an object is, as most programs write pictures of two values.

In labels of this program 255 stands for voxels that nobody annotated. Taken by that word, such a
mask would say that everything but the object is background.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, voxel_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..volume.image import Volume

#: What the user is told.
REMARK = (
    "The file holds only 0 and 255, as binary masks do: 255 is taken for class 1, not for voxels "
    "that are not annotated."
)


def is_binary_mask(labels: Volume, shape: tuple[int, ...]) -> bool:
    """Whether 255 stands for an object in a file of labels.

    It does where the file has no other value but 0, and does not itself say that 255 is "not
    annotated" (OME-Zarr can). Nothing but 255 on as many voxels as the image has is no object:
    references that were saved before anything was painted look like that.

    Parameters
    ----------
    labels : Volume
        As `read_labels` returns it.
    shape : tuple of int
        Of the image that they belong to.
    """
    if getattr(labels.header, "names_not_annotated", False):
        return False
    counts = voxel_counts(np.asarray(labels.array))
    total = int(counts.sum())
    if counts[NOT_ANNOTATED] == total and total >= math.prod(shape):
        return False
    return bool(counts[NOT_ANNOTATED]) and counts[BACKGROUND] + counts[NOT_ANNOTATED] == total


def object_as_one(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask of 0 and 255 as one of 0 and 1, a new array of the same shape."""
    return np.minimum(labels, np.uint8(1))
