"""How two masks agree: Dice of each class, and the slices that differ most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]


def dice_by_class(one: Labels, two: Labels) -> dict[int, float]:
    """Dice of each class that occurs in either mask, the background left out.

    Parameters
    ----------
    one, two : ndarray of uint8
        Of one shape.
    """
    in_one, in_two = (np.bincount(m.ravel(), minlength=256) for m in (one, two))
    both = np.bincount(one[one == two], minlength=256)
    total = in_one + in_two
    return {int(c): 2.0 * float(both[c]) / float(total[c]) for c in range(1, 256) if total[c] > 0}


def differing(one: Labels, two: Labels, axis: int) -> npt.NDArray[np.int64]:
    """Return how many voxels of each slice differ; slab by slab, for a thread.

    Parameters
    ----------
    one, two : ndarray of uint8, shape (Z, Y, X)
    axis : int
        Slicing axis.
    """
    counts = np.zeros(one.shape[axis], dtype=np.int64)
    for z in range(one.shape[0]):
        unequal = one[z] != two[z]
        if axis == 0:
            counts[z] = np.count_nonzero(unequal)
        else:
            counts += np.count_nonzero(unequal, axis=2 - axis)
    return counts
