"""The second most likely class of a doubtful part."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .components import surrounding_class

Labels = npt.NDArray[np.uint8]


def runner_up(
    labels: Labels, part: npt.NDArray[np.bool_], other: Labels | None = None
) -> int | None:
    """Return the class to flip a part to.

    Where another proposal says something else for at least half of the part, it is what that one
    says most; else the most frequent class around the part, other than its own.

    Parameters
    ----------
    labels : ndarray of uint8
        The proposal.
    part : ndarray of bool
        Connected voxels of it.
    other : ndarray of uint8, optional
        Another proposal.

    Returns
    -------
    int or None
        None when the part is empty, or nothing but its own class is around it.
    """
    if not part.any():
        return None
    own = int(np.bincount(labels[part], minlength=256).argmax())
    if other is not None:
        said = np.bincount(other[part], minlength=256)
        said[own] = 0
        if 2 * said.sum() >= np.count_nonzero(part):
            return int(said.argmax())
    around = surrounding_class(labels, part, own)
    return None if around == own else around
